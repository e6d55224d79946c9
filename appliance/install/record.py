"""What an installation writes down: `state.json` and `journal.jsonl`, both durable.

One installer holds the folder by a lock; what it starts inherits the lock, so that a second
start waits for an orphan of the first to end. A file is replaced by write, fsync, rename, fsync
of the folder; a line of the journal is written whole and synced before anything goes on.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from appliance.errors import ApplianceError
from appliance.install.chain import EMPTY, Head, Value, after, head_of, line, whole
from appliance.install.phases import State

STATE, JOURNAL, LOCK = "state.json", "journal.jsonl", "lock"
PATIENCE = 60.0  # seconds for the tasks of a killed installer to end


class HeldError(ApplianceError):
    """Another installation runs in this folder."""

    code = "CM-INS-63"


def replace_file(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file whole or not at all, durably."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    fresh.rename(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def held(folder: Path, patience: float = PATIENCE) -> Iterator[int]:
    """Hold the folder; yield the descriptor of the lock, to be inherited by what is started.

    Raises:
        HeldError: Another installation still runs after `patience` seconds.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, time.monotonic() + patience)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            if time.monotonic() > deadline:
                raise HeldError(
                    "Une autre installation tourne sur cette machine. / "
                    "Another installation runs on this machine."
                ) from exc
            time.sleep(0.1)


def now() -> datetime:
    """Return the wall clock, UTC."""
    return datetime.now(UTC)


class Record:
    """The folder of an installation. Its lock is held by the caller."""

    def __init__(self, folder: Path, clock: Callable[[], datetime] = now) -> None:
        self.folder = folder
        self._clock = clock
        self._head = self._mend()

    @property
    def head(self) -> Head:
        """Where the journal ends."""
        return self._head

    @property
    def journal(self) -> bytes:
        """Return the journal as it is stored."""
        path = self.folder / JOURNAL
        return path.read_bytes() if path.exists() else b""

    def state(self) -> State | None:
        """Return the stored state; none before the first installation.

        Raises:
            FormatError: The file is damaged: nothing is guessed.
        """
        path = self.folder / STATE
        return State.parse(path.read_bytes()) if path.exists() else None

    def save(self, state: State) -> None:
        """Make a state durable."""
        replace_file(self.folder / STATE, state.text())

    def note(self, event: str, fields: Mapping[str, Value] | None = None) -> None:
        """Append an event to the journal, durably."""
        at = self._clock().isoformat(timespec="milliseconds")
        written = line(self._head, at, event, fields or {})
        with (self.folder / JOURNAL).open("ab") as file:
            file.write(written)
            file.flush()
            os.fsync(file.fileno())
        self._head = after(self._head, written)

    def _mend(self) -> Head:
        """Cut a torn last line, and check the rest.

        Raises:
            BrokenChainError: The journal was edited.
        """
        path = self.folder / JOURNAL
        if not path.exists():
            path.touch(mode=0o600)
            sync_folder(self.folder)
            return EMPTY
        stored = path.read_bytes()
        kept = whole(stored)
        head = head_of(kept)
        if kept != stored:
            os.truncate(path, len(kept))
        return head
