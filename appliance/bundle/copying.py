"""Copying: from the media, or from files that the store has, into the store.

Every chunk is hashed as it is written, every file as a whole; a file gets its name in the store
when its bytes are on the disk. What a stopped copy left is hashed again on the disk, and only
what is missing there is read from the medium.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.bundle.chunks import BUFFER, Advance, Fault, Write, blame, blocks, open_regular
from appliance.bundle.manifest import Chunk, File, chunk_path
from appliance.bundle.medium import Media
from appliance.bundle.reading import Finding, FindingsError, needed_by
from appliance.bundle.refusal import BundleError, DamagedError
from appliance.bundle.store import Span, Store, make_folder, sync_folder
from appliance.bundle.verify import Release

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def full_disk_said() -> Iterator[None]:
    """Turn a full disk into a refusal that says so; what was copied is kept.

    Raises:
        BundleError: The disk is full, or a quota is reached.
    """
    try:
        yield
    except OSError as exc:
        if exc.errno not in _FULL:
            raise
        raise BundleError(
            "CM-INS-09",
            "Le disque s’est rempli pendant l’import. Libérez de la place, puis relancez : "
            "la copie reprend où elle s’est arrêtée.",
            "The disk became full during the import. Free some space, then start again: "
            "the copy goes on where it stopped.",
        ) from exc


class Copy:
    """One import's copying; what is bad is gathered, so that one run names all of it."""

    def __init__(
        self,
        media: Media,
        store: Store,
        release: Release,
        have: dict[str, Span],
        advance: Advance,
    ) -> None:
        self._media, self._store, self._have, self._advance = media, store, have, advance
        self._users = needed_by(release.manifest)
        self._bad: dict[str, Finding] = {}
        self.bytes_read = self.files = 0

    def all(self, files: list[File]) -> None:
        """Copy the files.

        Raises:
            DamagedError: Naming each chunk that is missing or wrong.
            BundleError: The disk is full.
        """
        folders = {self._store.blobs}
        for file in files:
            with full_disk_said():
                folders.add(self._file(file))
        for folder in folders:
            sync_folder(folder)
        if self._bad:
            raise FindingsError(self._bad.values(), self._media.absent())

    def _file(self, file: File) -> Path:
        """Copy one file, and return the folder where it is then."""
        partial, final = self._store.growing(file), self._store.blob(file)
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as out:
            digest = self._chunks(file, out.fileno())
            if digest is None:
                return self._store.partial
            os.ftruncate(out.fileno(), file.size)
            os.fchmod(out.fileno(), 0o555 if file.mode & 0o100 else 0o444)
            os.fsync(out.fileno())
        if digest != file.sha256:  # a signed manifest that contradicts itself
            partial.unlink()
            raise DamagedError(
                "CM-INS-11",
                f"{file.path} : ses morceaux sont bons, mais pas leur assemblage.",
                f"{file.path}: its chunks are good, but not together.",
            )
        make_folder(final.parent)
        partial.rename(final)
        self.files += 1
        return final.parent

    def _chunks(self, file: File, out: int) -> str | None:
        """Write the chunks in their places. Return the SHA-256 of all, None if one is bad."""
        whole, offset, good = hashlib.sha256(), 0, True
        for chunk in file.chunks:
            os.lseek(out, offset, os.SEEK_SET)
            if not _already(out, chunk, whole.update):
                os.lseek(out, offset, os.SEEK_SET)
                good &= self._chunk(chunk, _writer(out), whole.update)
            offset += chunk.size
        return whole.hexdigest() if good else None

    def _chunk(self, chunk: Chunk, write: Write, also: Write) -> bool:
        """Copy a chunk from a medium, or from a file of the store. A bad one is noted."""
        path, span = self._media.find(chunk.sha256), self._have.get(chunk.sha256)
        fault: Fault | None = Fault.MISSING
        try:
            if path is not None:
                fault = self._from_medium(path, chunk, write, also)
            elif span is not None:
                fault = _from_store(span, chunk, write, also)
        except DamagedError:  # not a regular file
            fault = Fault.MISSING
        except OSError as exc:
            if exc.errno in _FULL:
                raise
            fault = Fault.UNSTABLE  # the medium failed while it was read
        if fault is not None:
            digest = chunk.sha256
            label, users = self._media.label(digest), self._users[digest]
            self._bad[digest] = Finding(chunk_path(digest), label, fault, users)
        return fault is None

    def _from_medium(self, path: Path, chunk: Chunk, write: Write, also: Write) -> Fault | None:
        hashed, left = hashlib.sha256(), chunk.size
        for block in blocks(path, self._advance):
            self.bytes_read += len(block)
            left -= len(block)
            if left < 0:
                return Fault.SIZE
            hashed.update(block)
            also(block)
            write(block)
        if left:
            return Fault.SIZE
        found = hashed.hexdigest()
        return None if found == chunk.sha256 else blame(path, found)


def _from_store(span: Span, chunk: Chunk, write: Write, also: Write) -> Fault | None:
    """Copy a chunk out of a file of the store."""
    path, offset = span
    hashed, left = hashlib.sha256(), chunk.size
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        file.seek(offset)
        while left and (block := file.read(min(BUFFER, left))):
            left -= len(block)
            hashed.update(block)
            also(block)
            write(block)
    return None if hashed.hexdigest() == chunk.sha256 else Fault.CONTENT


def _already(out: int, chunk: Chunk, also: Write) -> bool:
    """Tell whether an earlier run wrote this chunk here; `also` gets its bytes then."""
    start = os.lseek(out, 0, os.SEEK_CUR)
    if os.fstat(out).st_size < start + chunk.size or _digest(out, chunk.size) != chunk.sha256:
        return False
    os.lseek(out, start, os.SEEK_SET)
    _digest(out, chunk.size, also)
    return True


def _digest(out: int, size: int, also: Write | None = None) -> str:
    hashed, left = hashlib.sha256(), size
    while left and (block := os.read(out, min(BUFFER, left))):
        left -= len(block)
        hashed.update(block)
        if also is not None:
            also(block)
    return hashed.hexdigest()


def _writer(out: int) -> Write:
    """Return what writes a block whole: a nearly full disk takes a part, then refuses."""

    def write(block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            rest = rest[os.write(out, rest) :]

    return write
