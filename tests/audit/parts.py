"""Parts of a recorder in the process of a test: on a real volume, with a clock of the test."""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from appliance.audit import volume
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.event import Event, Leaf
from appliance.audit.key import Signer
from appliance.audit.publisher import Publisher
from appliance.audit.recovery import Recovered, recover
from appliance.audit.volume import Volume
from appliance.audit.writer import Writer
from appliance.ledger.admission import Admission
from appliance.ledger.period import Calendar
from appliance.settings import RecorderSettings
from tests.recording import ORIGIN, SEED

CALENDAR = Calendar("Europe/Paris")
NOON = 1_795_431_600_000_000  # 23 November 2026, 12:00 in Paris, microseconds
UID = 4242  # of the recorder


@dataclass
class Clock:
    """Wall and monotonic clock, microseconds."""

    at: int = NOON
    mono: int = 1_000_000_000

    def __call__(self) -> tuple[int, int]:
        return self.at, self.mono

    def run(self, seconds: float, *, wall: float | None = None) -> None:
        """Let time pass; the wall clock by as much unless told otherwise."""
        self.mono += round(seconds * 1_000_000)
        self.at += round((seconds if wall is None else wall) * 1_000_000)


@dataclass
class Parts:
    """What a recorder is made of."""

    volume: Volume
    publisher: Publisher
    found: Recovered
    writer: Writer
    clock: Clock

    def append(self, *events: Event, uid: int = 1000) -> list[int]:
        """Append, commit, and return the indexes."""
        places = [self.writer.append(event, uid)[0] for event in events]
        self.writer.commit()
        return places

    def publish(self, *, snapshot: bool = True) -> None:
        """Make a checkpoint now, and keep the state with it."""
        self.writer.commit()
        leaves, hashes = self.writer.unpublished()
        state = self.writer.admission.to_bytes()
        self.publisher.publish(leaves, hashes)
        self.writer.published(len(leaves))
        if snapshot:
            self.volume.write_snapshot(state)


@contextmanager
def opened(
    settings: RecorderSettings, clock: Clock | None = None, known: Sequence[Checkpoint] = ()
) -> Iterator[Parts]:
    """Recover the log, as the process would."""
    clock = clock or Clock()
    with volume.locked(settings.directory, settings.segment_bytes) as locked:
        publisher = Publisher(settings.directory, settings.last_signed, Signer(ORIGIN, SEED))
        found = recover(locked, publisher, CALENDAR, known)
        writer = Writer(locked, found, publisher.entry, uid=UID, clock=clock)
        yield Parts(locked, publisher, found, writer, clock)


def leaves_of(settings: RecorderSettings) -> list[Leaf]:
    """Return what is on the disk."""
    return [Leaf.parse(stored) for stored in volume.read(settings.directory)]


def same(one: Admission, other: Admission) -> bool:
    """Tell whether two states are equal, whatever they remember the day from."""
    return dataclasses.replace(one, calendar=CALENDAR) == dataclasses.replace(
        other, calendar=CALENDAR
    )
