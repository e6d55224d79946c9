"""Work on a log whose recorder is stopped: as its owner, with its lock, by a named person.

Commands of this kind are run by root at the rack (the files belong to the recorder's user). The
process becomes that user before it touches anything, for good: what it writes belongs to the
recorder, and a defect here is no defect of root's.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.audit import volume
from appliance.audit.lineage import current_origin, folders_of, keys_ever, known_elsewhere
from appliance.audit.publisher import Publisher
from appliance.audit.recovery import recover
from appliance.audit.segments import VolumeError
from appliance.audit.volume import Volume
from appliance.audit.writer import Writer
from appliance.ledger.period import Calendar
from appliance.settings import RecorderSettings

_UMASK = 0o027


@dataclass(frozen=True, slots=True)
class Held:
    """A log that is whole and held: nobody else writes it."""

    volume: Volume
    publisher: Publisher
    writer: Writer

    def publish(self) -> None:
        """Make durable what was recorded, sign it, and keep the state with it.

        Raises:
            OSError: A write failed.
        """
        self.writer.commit()
        leaves, hashes = self.writer.unpublished()
        state = self.writer.admission.to_bytes()
        self.publisher.publish(leaves, hashes)
        self.writer.published(len(leaves))
        self.volume.write_snapshot(state)


def become_owner(directory: Path) -> None:
    """Become the user to whom the log belongs, when root runs the command.

    Raises:
        VolumeError: The folder is not there.
    """
    os.umask(_UMASK)
    try:
        found = directory.lstat()
    except OSError as exc:
        raise VolumeError(f"{directory}: {exc.strerror}") from exc
    if os.geteuid() == 0 and found.st_uid != 0:
        os.setgroups([])
        os.setgid(found.st_gid)
        os.setuid(found.st_uid)


def destroy_key(path: Path) -> None:
    """Overwrite a private key and take it away; what a disk keeps of it is not known."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold the lock of a folder whose log need not be whole.

    Raises:
        VolumeError: The recorder runs, or the folder is not there.
    """
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as exc:
        raise VolumeError(f"{directory}: {exc.strerror}") from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as exc:
        raise VolumeError(f"{directory}: the recorder runs; stop it first") from exc
    finally:
        os.close(fd)


@contextmanager
def held(settings: RecorderSettings) -> Iterator[Held]:
    """Recover the log as the recorder would, and hold it.

    Raises:
        VolumeError: The recorder runs, or there is no log.
        RollbackError: The log is behind what was signed, or differs from it.
        FormatError: It is damaged.
        VerificationError: It contradicts itself.
    """
    with volume.locked(settings.directory, settings.segment_bytes) as locked:
        origin = current_origin(settings.directory, settings.origin)
        signer = volume.read_signer(settings.directory, origin)
        publisher = Publisher(settings.directory, settings.last_signed, signer)
        keys = keys_ever(settings.directory, signer.verifiers)
        known = known_elsewhere(folders_of(settings), keys)
        calendar = Calendar(settings.time_zone)
        found = recover(locked, publisher, calendar, [one for one, _ in known])
        yield Held(locked, publisher, Writer(locked, found, publisher.entry, uid=os.getuid()))


def now() -> int:
    """Return the wall clock, microseconds since 1970."""
    return time.time_ns() // 1000
