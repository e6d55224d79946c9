"""The reader's keys: one X25519 pair a month, made here, wrapped at rest, destroyed in the end.

    <folder>/<YYYY-MM>.key    nonce[12] ‖ AES-256-GCM(wrapping key, nonce, private, aad = month)

The wrapping key is a credential of the unit: a copy of the folder alone opens nothing. The
public half of the current month goes to a file of its own, which the gateways follow. A key
serves from its month to that of the next one; what it opens is kept for some months more, and
then the key goes as well: what a forgotten backup holds is closed by then.
"""

import os
import re
from itertools import pairwise
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.audit.content import KEY_BYTES, ContentKey, open_sealed
from appliance.errors import ApplianceError, VerificationError

_NONCE_BYTES = 12
_FILE_BYTES = _NONCE_BYTES + KEY_BYTES + 16
_SUFFIX = ".key"
_is_month = re.compile(r"\d{4}-(0[1-9]|1[0-2])\Z").match


class MonthKeyError(ApplianceError):
    """A key of the reader is missing, damaged, or wrapped under another credential."""

    code = "CM-JRN-54"


def month_after(month: str, count: int) -> str:
    """Return the month that comes `count` months later, such as `2027-01`."""
    months = int(month[:4]) * 12 + int(month[5:]) - 1 + count
    return f"{months // 12:04}-{months % 12 + 1:02}"


def overdue(months: list[str], now: str, kept: int) -> list[str]:
    """Return the months whose keys open nothing any more that is kept.

    Args:
        months: That have a key, ascending.
        now: The month.
        kept: Months for which contents are kept.
    """
    ended = pairwise(months)  # the last one is in use
    return [month for month, following in ended if month_after(following, kept) < now]


class MonthKeys:
    """The keys in one folder, which the reader alone enters."""

    def __init__(self, folder: Path, wrapping: bytes) -> None:
        """Take the folder and the credential, 32 bytes."""
        self._folder, self._cipher = folder, AESGCM(wrapping[:KEY_BYTES])

    def months(self) -> list[str]:
        """Return the months that have a key, ascending."""
        names = (path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}"))
        return sorted(name for name in names if _is_month(name))

    def make(self, month: str) -> bytes:
        """Make the key of a month, if there is none, and return its public half.

        Raises:
            MonthKeyError: The one that exists does not open.
            OSError: The folder is not writable.
        """
        assert _is_month(month)
        path = self._path(month)
        if not path.exists():
            nonce = os.urandom(_NONCE_BYTES)
            private = X25519PrivateKey.generate().private_bytes_raw()
            wrapped = self._cipher.encrypt(nonce, private, month.encode())
            write_whole(path, nonce + wrapped, 0o400)
        key = X25519PrivateKey.from_private_bytes(self._private(month))
        return key.public_key().public_bytes_raw()

    def open(self, sealed: bytes) -> ContentKey:
        """Return the content key that was sealed to one of the months.

        Raises:
            FormatError: Not a sealed key.
            VerificationError: Sealed to others: before there was a reader, or to a key that
                was destroyed.
        """
        for month in reversed(self.months()):
            try:
                return open_sealed(self._private(month), sealed)
            except VerificationError:
                continue
        raise VerificationError("no key of the reader opens this content")

    def destroy(self, month: str) -> None:
        """Overwrite the key of a month, durably, and remove it.

        Raises:
            OSError: It cannot be done.
        """
        path = self._path(month)
        path.chmod(0o600)
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            os.write(descriptor, bytes(_FILE_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path.unlink()
        _sync(path.parent)

    def _path(self, month: str) -> Path:
        return self._folder / f"{month}{_SUFFIX}"

    def _private(self, month: str) -> bytes:
        try:
            data = self._path(month).read_bytes()
            nonce, wrapped = data[:_NONCE_BYTES], data[_NONCE_BYTES:_FILE_BYTES]
            return self._cipher.decrypt(nonce, wrapped, month.encode())
        except (OSError, InvalidTag, ValueError) as exc:  # ValueError: too short
            raise MonthKeyError(f"the reader's key of {month} does not open") from exc


def write_whole(path: Path, content: bytes, mode: int) -> None:
    """Make or replace a file; it is whole or as it was, also after a power cut."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    fresh.rename(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
