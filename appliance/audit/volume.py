"""The recorder's directory: its files, its lock, its recovery.

    signing.key      seed of the log's Ed25519 key (RFC 8032, 5.1.5), 0400
    signing-p256.key     private scalar of its ECDSA P-256 key, 32 bytes, 0400; a log that was
                     made before there was one goes on without
    verifier-key     the keys that verify what those two sign, one a line
    journal/         see `journal.py` and `segments.py`
    sealed/          content keys, see `sealed.py`
    snapshot         state of the admission at a checkpoint; without it all is replayed
    anchored         the last anchor that the published log tells of, see `anchored.py`
    checkpoint, tile/    what is published, see `publisher.py`

One process has the directory at a time: flock(2) on it, released by the kernel when the process
ends, however it ends.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.audit import anchored, journal, sealed, segments
from appliance.audit.frame import Anchored
from appliance.audit.journal import Scan
from appliance.audit.key import Signer, parse_keys
from appliance.audit.publisher import write_files
from appliance.audit.sealed import SealedKeys
from appliance.audit.segments import Segments, VolumeError
from appliance.errors import FormatError

__all__ = [
    "Disk",
    "Volume",
    "VolumeError",
    "create",
    "locked",
    "read",
    "read_key",
    "read_signer",
    "tail",
]

KEY, KEY_P256, VERIFIER_KEY = "signing.key", "signing-p256.key", "verifier-key"
JOURNAL, SEALED, SNAPSHOT = "journal", "sealed", "snapshot"
SEGMENT_BYTES = 64 << 20
SEALED_PART = 4  # a segment of keys is that much smaller
KEY_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Disk:
    """Room on the file system of the log, as it was when looked at."""

    free: int  # bytes
    total: int


def create(
    directory: Path, seed: bytes, segment_bytes: int = SEGMENT_BYTES, p256: bytes | None = None
) -> None:
    """Make an empty log. Nothing that exists is ever overwritten.

    Args:
        directory: Of the log.
        seed: Of the Ed25519 key.
        segment_bytes: Size of a segment of the journal.
        p256: Private scalar of the ECDSA key; None: the log signs with one key.

    Raises:
        VolumeError: There is one, or a part of one, or no directory.
    """
    try:
        for name in (KEY, KEY_P256, JOURNAL, SEALED, SNAPSHOT):
            if os.path.lexists(directory / name):
                raise VolumeError(f"{directory / name} exists and is not overwritten")
        segments.create(directory / JOURNAL, segment_bytes, journal.header(0))
        sealed.create(directory / SEALED, segment_bytes // SEALED_PART)
        if p256 is not None:
            _write_new(directory / KEY_P256, p256, 0o400)
        _write_new(directory / KEY, seed, 0o400)  # last: with it, the log is complete
        _sync_directory(directory)
    except OSError as exc:
        raise VolumeError(f"{directory}: {exc.strerror or exc}") from exc


def read_key(directory: Path, name: str = KEY) -> bytes:
    """Return a private key of the log.

    Args:
        directory: Of the log.
        name: Of the file.

    Raises:
        VolumeError: It cannot be read.
    """
    try:
        fd = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            return os.read(fd, KEY_BYTES_MAX)
        finally:
            os.close(fd)
    except OSError as exc:
        raise VolumeError(f"{directory}: {exc.strerror}: {name}") from exc


def read_signer(directory: Path, origin: str) -> Signer:
    """Return the private keys of the log: those whose public halves are published.

    Raises:
        VolumeError: One cannot be read, or is not the one that `verifier-key` names: a log
            that lost its second key would go on, and nobody who verifies would take it.
        FormatError: One is no key.
    """
    p256 = None
    if os.path.lexists(directory / KEY_P256):
        p256 = read_key(directory, KEY_P256)
    signer = Signer(origin, read_key(directory), p256)
    try:
        published = (directory / VERIFIER_KEY).read_text("utf-8")
    except FileNotFoundError:
        return signer
    if parse_keys(published) != signer.verifiers:
        raise VolumeError(f"{directory}: the private keys are not those of {VERIFIER_KEY}")
    return signer


def read(directory: Path) -> list[bytes]:
    """Return all leaves without taking the lock, also while the recorder writes.

    Raises:
        VolumeError: The journal cannot be read.
        FormatError: The journal is damaged.
    """
    return tail(directory, 0)


def tail(directory: Path, start: int) -> list[bytes]:
    """Return the leaves from `start` on, without the lock.

    Raises:
        VolumeError: The journal cannot be read.
        FormatError: The journal is damaged, or begins after `start`.
    """
    try:
        files = Segments(directory / JOURNAL, 0)
        try:
            return _leaves(files, _last_segment(files), start)
        finally:
            files.close()
    except OSError as exc:
        raise VolumeError(f"{directory}: {exc.strerror}: {JOURNAL}") from exc


def _last_segment(files: Segments) -> Scan:
    firsts = files.firsts()
    if not firsts:
        raise FormatError("the journal has no segment")
    last = journal.scan(files.read(firsts[-1]))
    if last.first != firsts[-1]:
        raise FormatError(f"the segment of record {firsts[-1]} is another one")
    return last


def _leaves(files: Segments, last: Scan, start: int) -> list[bytes]:
    """Return the leaves from `start` on; each segment has to end where the next one begins."""
    parts, at = [last.leaves], last.first
    for first in reversed(files.firsts()):
        if at <= start:
            break
        if first >= at:
            continue
        found = journal.scan(files.read(first))
        if found.first != first or found.next != at or found.torn:
            raise FormatError(f"the segment of record {first} does not lead to record {at}")
        parts.append(found.leaves)
        at = first
    if at > start:
        raise FormatError(f"the journal begins with record {at}, record {start} is needed")
    return [leaf for part in reversed(parts) for leaf in part][start - at :]


class Volume:
    """A locked directory with a journal at which leaves can be appended."""

    def __init__(self, directory: Path, segment_bytes: int) -> None:
        """Recover the journal.

        Raises:
            FormatError: It is damaged. It is left as it is, for examination.
            OSError: It cannot be read or written.
        """
        self.directory = directory
        self._files = Segments(directory / JOURNAL, segment_bytes)
        self.sealed = SealedKeys(directory / SEALED, segment_bytes // SEALED_PART)
        try:
            last = _last_segment(self._files)
            self._files.resume(last.first, last.end)
            self.sealed.recover(last.next)
        except BaseException:  # whatever ends it, no descriptor stays open
            self.close()
            raise
        self._last: Scan | None = last
        self.begins = self._files.firsts()[0]  # first record of the journal
        self.size = last.next  # durable leaves
        self.truncated = last.torn  # bytes of a torn record that were cut

    def close(self) -> None:
        """Close every file."""
        self._files.close()
        self.sealed.files.close()

    def take_leaves(self, start: int) -> list[bytes]:
        """Return the leaves found from `start` on. Once, before the first append.

        Raises:
            FormatError: The journal is damaged, or begins after `start`.
        """
        last, self._last = self._last, None
        assert last is not None
        return _leaves(self._files, last, start)

    def append(self, leaves: Sequence[bytes]) -> None:
        """Make `leaves` durable together, once the content keys are written.

        Raises:
            OSError: What reached the disk is unknown: the process has to end.
        """
        record = journal.encode(leaves)
        self.sealed.write()
        if not self._files.fits(len(record)):
            self._files.roll(self.size, journal.header(self.size))
        self._files.write(record)
        self._files.sync()
        self.size += len(leaves)

    def check(self) -> Disk:
        """Check that the files are still those in the directory, and look at the room.

        Raises:
            OSError: One was deleted or replaced: nothing may be written any more.
        """
        self._files.check()
        self.sealed.files.check()
        found = os.statvfs(self.directory)
        return Disk(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)

    @property
    def room(self) -> int:
        """Bytes for records to come that the file system cannot take away."""
        return self._files.room

    @property
    def wants_next(self) -> bool:
        """Whether `prepare` has something to do."""
        return self._files.wants_next or self.sealed.files.wants_next

    def prepare(self) -> None:
        """Make the next segments ready. Runs in a thread.

        Raises:
            OSError: There is no room.
        """
        for files in (self._files, self.sealed.files):
            if files.wants_next:
                files.prepare()

    def read_snapshot(self) -> bytes | None:
        """Return the last snapshot, if there is one."""
        try:
            return (self.directory / SNAPSHOT).read_bytes()
        except FileNotFoundError:
            return None

    def read_anchored(self) -> Anchored | None:
        """Return the last anchor that was written down, if there is one of this log."""
        try:
            return anchored.from_file((self.directory / anchored.FILE).read_bytes(), self.size)
        except FileNotFoundError:
            return None

    def write_anchored(self, last: Anchored) -> None:
        """Write down the last anchor, durably."""
        write_files(self.directory, {anchored.FILE: anchored.to_file(last)})

    def write_snapshot(self, data: bytes) -> None:
        """Replace the snapshot, durably."""
        write_files(self.directory, {SNAPSHOT: data})


@contextmanager
def locked(directory: Path, segment_bytes: int = SEGMENT_BYTES) -> Iterator[Volume]:
    """Take the directory, recover its journal, and lend it.

    Raises:
        VolumeError: Another process has it, or there is no log in it.
        FormatError: The journal is damaged. It is left as it is, for examination.
    """
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as exc:
        raise VolumeError(f"{directory}: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            volume = Volume(directory, segment_bytes)
        except BlockingIOError as exc:
            raise VolumeError(f"{directory}: another recorder has it") from exc
        except OSError as exc:
            raise VolumeError(f"{directory}: {exc.strerror}") from exc
        try:
            yield volume
        finally:
            volume.close()
    finally:
        os.close(fd)


def _write_new(path: Path, data: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
