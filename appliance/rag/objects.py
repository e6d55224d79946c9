"""Originals, encrypted at rest: content-addressed, one random key per document.

The name of a file is HMAC-SHA256 under a key of its collection, so that a copy in another
collection is not revealed. The contents are AES-256-GCM in segments (number and "last" flag are
authenticated, so that a cut or reordered file is refused) under a random key, which is wrapped
under a key of the collection and lives in the row: without its row, a file is noise. Keys of a
collection are HKDF-SHA256 of the site's `object_key` and the collection's id.

No clear text touches the disk. Files appear whole: write, fsync, rename, fsync of the folder.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import AsyncIterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import ApplianceError

SEGMENT = 1 << 20  # bytes of clear text
_KEY, _NONCE, _TAG = 32, 12, 16


class ObjectError(ApplianceError):
    """An original is missing, or is not the one that its row names."""

    code = "CM-DOC-04"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a row keeps of an original."""

    content_id: bytes
    wrapped_key: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Objects:
    """The folder of originals and the key from which those of collections are derived."""

    folder: Path
    key: bytes  # of the credential `object_key`

    def derive(self, vault: UUID, purpose: bytes) -> bytes:
        """Return a key of the collection `vault`."""
        info = b"casemate object " + purpose + vault.bytes
        return HKDF(SHA256(), _KEY, salt=None, info=info).derive(self.key)

    def path(self, vault: UUID, content_id: bytes) -> Path:
        """Return where an original lies."""
        name = content_id.hex()
        return self.folder / vault.hex / name[:2] / name

    async def receive(self, vault: UUID, chunks: AsyncIterable[bytes]) -> "Incoming":
        """Encrypt what arrives into a file without a name yet.

        Raises what `chunks` raises, and leaves nothing then.
        """
        incoming = Incoming(self, vault)
        try:
            async for chunk in chunks:
                incoming.write(chunk)
            incoming.finish()
        except BaseException:  # a request that is cancelled leaves no file either
            incoming.discard()
            raise
        return incoming

    def read(self, vault: UUID, stored: Stored) -> bytes:
        """Return an original.

        Raises:
            ObjectError: It is missing, or not the one that the row names.
        """
        try:
            wrapping = AESGCM(self.derive(vault, b"wrap"))
            nonce, wrapped = stored.wrapped_key[:_NONCE], stored.wrapped_key[_NONCE:]
            key = wrapping.decrypt(nonce, wrapped, stored.content_id)
            sealed = self.path(vault, stored.content_id).read_bytes()
            clear = b"".join(_open(key, sealed))
        except (OSError, InvalidTag, ValueError) as exc:
            raise ObjectError("an original cannot be read") from exc
        if not hmac.compare_digest(self._address(vault, clear), stored.content_id):
            raise ObjectError("an original is not the one that its row names")
        return clear

    def remove(self, vault: UUID, content_id: bytes) -> None:
        """Remove an original; one that is gone is fine."""
        self.path(vault, content_id).unlink(missing_ok=True)

    def _address(self, vault: UUID, clear: bytes) -> bytes:
        return hmac.digest(self.derive(vault, b"address"), clear, "sha256")


class Incoming:
    """An original that is being written. Ends with `keep` or `discard`."""

    def __init__(self, objects: Objects, vault: UUID) -> None:
        self.size = 0
        self._objects, self._vault = objects, vault
        folder = objects.folder / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / secrets.token_hex(16)
        self._file = self._path.open("xb")
        self._key = secrets.token_bytes(_KEY)
        self._cipher = AESGCM(self._key)
        self._address = hmac.new(objects.derive(vault, b"address"), digestmod=hashlib.sha256)
        self._pending = bytearray()
        self._segments = 0

    @property
    def content_id(self) -> bytes:
        """Return the address of what was written."""
        return self._address.digest()

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.size += len(chunk)
        self._address.update(chunk)
        self._pending += chunk
        while len(self._pending) > SEGMENT:  # the last one, full or not, is for `finish`
            self._seal(bytes(self._pending[:SEGMENT]), last=False)
            del self._pending[:SEGMENT]

    def finish(self) -> None:
        """Make what was written durable."""
        self._seal(bytes(self._pending), last=True)
        self._pending.clear()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def keep(self) -> Stored:
        """Give the file its name. An older file of that name had a key that is gone."""
        content_id = self.content_id
        target = self._objects.path(self._vault, content_id)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._path.rename(target)
        for folder in (target.parent, target.parent.parent, self._objects.folder):
            _sync_folder(folder)
        nonce = secrets.token_bytes(_NONCE)
        wrapping = AESGCM(self._objects.derive(self._vault, b"wrap"))
        wrapped = nonce + wrapping.encrypt(nonce, self._key, content_id)
        return Stored(content_id, wrapped, self.size)

    def discard(self) -> None:
        """Remove the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _seal(self, clear: bytes, *, last: bool) -> None:
        nonce = self._segments.to_bytes(_NONCE)  # the key is used for this file only
        self._file.write(self._cipher.encrypt(nonce, clear, b"last" if last else b"more"))
        self._segments += 1


def _open(key: bytes, sealed: bytes) -> Iterator[bytes]:
    cipher = AESGCM(key)
    step = SEGMENT + _TAG
    for number, start in enumerate(range(0, max(len(sealed), 1), step)):
        last = start + step >= len(sealed)
        part = sealed[start : start + step]
        yield cipher.decrypt(number.to_bytes(_NONCE), part, b"last" if last else b"more")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
