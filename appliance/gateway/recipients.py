"""To whom contents are sealed: the owners' history, and the reader of this month.

The reader replaces the file of its public key once a month; a worker notices within a second. A
file that cannot be read leaves the last key in use: what was sealed to it still opens.
"""

import base64
import logging
from pathlib import Path

from appliance.settings import SettingsError

log = logging.getLogger(__name__)

_PUBLIC_BYTES = 32


def read_public(path: Path) -> bytes:
    """Return an X25519 public key.

    Raises:
        SettingsError: There is none in the file.
    """
    try:
        key = path.read_bytes()
        if len(key) != _PUBLIC_BYTES:
            key = base64.b64decode(key.strip() + b"==")
    except (OSError, ValueError) as exc:
        raise SettingsError(f"{path}: {exc}") from exc
    if len(key) != _PUBLIC_BYTES:
        raise SettingsError(f"{path}: not an X25519 public key of {_PUBLIC_BYTES} bytes")
    return key


class Recipients:
    """The public keys, as they were when last looked at."""

    def __init__(self, history: Path, reader: Path | None) -> None:
        """Read them.

        Raises:
            SettingsError: One is missing.
        """
        self._reader = reader
        self._seen = self._stamp()
        self.keys = [read_public(path) for path in (history, reader) if path]

    def look(self) -> None:
        """Take over the reader's key that was replaced."""
        if self._reader is None or (stamp := self._stamp()) == self._seen:
            return
        try:
            self.keys[1:] = [read_public(self._reader)]
        except SettingsError as exc:
            log.error("reader_key.unreadable", extra={"reason": str(exc)})  # noqa: TRY400 - no stack
        else:
            self._seen = stamp

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self._reader.stat() if self._reader else None
        except OSError:
            return (0, 0)
        return (found.st_ino, found.st_mtime_ns) if found else (0, 0)
