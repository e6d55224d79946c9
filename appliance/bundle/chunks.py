"""Chunks: the pieces in which files travel, named by their SHA-256 and never trusted unread.

A medium is hostile: what is opened is a regular file and not a link, what is read is counted. A
wrong digest is read a second time past the page cache: two equal answers blame the bytes on the
medium, two different ones its reader or the memory, and then no answer counts.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

from appliance.bundle.manifest import CHUNK_BYTES_MAX, Chunk, chunk_path
from appliance.bundle.refusal import DamagedError

BUFFER = 4 << 20  # bytes; large enough for USB, small enough for eight readers
Advance = Callable[[int], None]  # told how many bytes were just read
Write = Callable[[bytes], object]


class Fault(StrEnum):
    """What is wrong with a chunk or a file of a medium."""

    MISSING = "missing"
    SIZE = "size"
    CONTENT = "content"
    UNSTABLE = "unstable"  # two readings, two results


def _nothing(_: int) -> None:
    """Tell nobody."""


def open_regular(path: Path) -> int:
    """Open a regular file for reading; no link is followed, no device waits.

    Raises:
        OSError: It is absent or cannot be read.
        DamagedError: It is not a regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise _not_a_file(path) from exc
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _not_a_file(path)
    return descriptor


def read_small(path: Path, limit: int) -> bytes:
    """Return the bytes of a small file of a medium.

    Raises:
        DamagedError: Absent, unreadable, not a regular file, or longer than `limit` bytes.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            data = file.read(limit + 1)
    except OSError as exc:
        raise DamagedError(
            "CM-INS-04",
            f"Fichier absent ou illisible : {path}",
            f"File missing or unreadable: {path}",
        ) from exc
    if len(data) > limit:
        raise DamagedError("CM-INS-04", f"Fichier trop long : {path}", f"File too long: {path}")
    return data


def blocks(path: Path, advance: Advance = _nothing, *, fresh: bool = False) -> Iterator[bytes]:
    """Yield the bytes of a file in order. `fresh` asks the medium again, not the page cache.

    Raises:
        OSError: The medium cannot be read.
    """
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        if fresh:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := file.read(BUFFER):
            advance(len(block))
            yield block


def digest_of(path: Path, advance: Advance = _nothing, *, fresh: bool = False) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    hashed = hashlib.sha256()
    for block in blocks(path, advance, fresh=fresh):
        hashed.update(block)
    return hashed.hexdigest()


def size_fault(path: Path, size: int) -> Fault | None:
    """Say whether a file is there with its size; its bytes are not read."""
    try:
        found = path.lstat()
    except OSError:
        return Fault.MISSING
    if not stat.S_ISREG(found.st_mode):
        return Fault.MISSING
    return None if found.st_size == size else Fault.SIZE


def fault(path: Path, digest: str, advance: Advance = _nothing) -> Fault | None:
    """Say what is wrong with the bytes of a file; a wrong digest is read twice."""
    try:
        first = digest_of(path, advance)
        return None if first == digest else blame(path, first)
    except FileNotFoundError:
        return Fault.MISSING
    except (OSError, DamagedError):  # the medium failed while it was read
        return Fault.UNSTABLE


def blame(path: Path, first: str) -> Fault:
    """Read again a file whose digest was wrong: is it the bytes, or their reading?"""
    try:
        return Fault.CONTENT if digest_of(path, fresh=True) == first else Fault.UNSTABLE
    except (OSError, DamagedError):
        return Fault.UNSTABLE


def write(source: Path, folder: Path, size: int = CHUNK_BYTES_MAX) -> tuple[str, list[Chunk]]:
    """Cut a file into chunks under `folder`, and return its SHA-256 and its chunks, in order.

    Args:
        source: Read once.
        folder: Of the bundle. A chunk that is already there is not written again.
        size: Bytes of each chunk but the last.
    """
    whole, found = hashlib.sha256(), list[Chunk]()
    partial = folder / "chunks" / f".partial-{os.getpid()}"
    partial.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as file:
        while True:
            with partial.open("wb") as out:
                chunk = _one(file.read, size, out.write, whole.update)
            if chunk is None:
                break
            place = folder / chunk_path(chunk.sha256)
            place.parent.mkdir(exist_ok=True)
            partial.replace(place)
            found.append(chunk)
    partial.unlink()
    return whole.hexdigest(), found


def _one(
    read: Callable[[int], bytes], size: int, write_out: Write, also: Write
) -> Chunk | None:
    """Copy the next `size` bytes, or fewer at the end, and return their chunk."""
    hashed, left = hashlib.sha256(), size
    while left and (block := read(min(BUFFER, left))):
        write_out(block)
        also(block)
        hashed.update(block)
        left -= len(block)
    return Chunk(hashed.hexdigest(), size - left) if left < size else None


def _not_a_file(path: Path) -> DamagedError:
    return DamagedError(
        "CM-INS-04",
        f"Ce n’est pas un fichier ordinaire : {path}",
        f"Not a regular file: {path}",
    )
