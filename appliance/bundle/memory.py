"""What was read and found good, so that an interrupted verification goes on where it stopped.

An entry holds as long as the file keeps its device, inode, size and time of change. That is for
patience, not for trust: what is installed is hashed again while it is copied.
"""

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic

import msgspec

_EVERY = 2.0  # seconds between two writings
_Identity = tuple[int, int, int, int]  # device, inode, size in bytes, mtime in ns


class Memory:
    """Files that were read whole, by digest. In a file, or for one run if `path` is None."""

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._lock, self._written = path, Lock(), monotonic()
        self._known: dict[str, _Identity] = {}
        if path is not None:  # lost or damaged, it is empty: everything is read again
            with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
                self._known = msgspec.json.decode(path.read_bytes(), type=dict[str, _Identity])

    def knows(self, path: Path, digest: str) -> bool:
        """Tell whether this very file was found to have the digest."""
        with self._lock:
            kept = self._known.get(digest)
        return kept is not None and kept == _identity(path)

    def keep(self, path: Path, digest: str) -> None:
        """Remember a file that was just read and found good."""
        with self._lock:
            self._known[digest] = _identity(path)
            due = monotonic() - self._written > _EVERY
        if due:
            self.save()

    def save(self) -> None:
        """Write what is known. A folder that cannot be written is no reason to stop."""
        if self._path is None:
            return
        with self._lock, suppress(OSError):
            self._written = monotonic()
            partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            partial.write_bytes(msgspec.json.encode(self._known))
            partial.replace(self._path)


def _identity(path: Path) -> _Identity:
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
