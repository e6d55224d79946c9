"""Contents are erased by destroying their keys, between two records that say so.

`content.erase` names the records from `first` to before `end`. Once it is durable their sealed
keys are overwritten, durably; then `content.erased` says how many there were, and who asked is
answered. Leaves, commitments and proofs stay as they are. A recorder that ends in between goes
on at its next start: all this is one turn of its loop, which no checkpoint parts.

No content is erased before its time, whoever asks: each record whose key would go has to be
older than the floor by the clock of its own leaf. A range that was asked for once is erased
again in a store of keys that came back from a backup, before the recorder serves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.audit import erased_marks, pruned
from appliance.audit.erased_marks import Marks
from appliance.audit.event import FACTS, Event, Fact, Kind, Leaf
from appliance.audit.retention import before, join
from appliance.audit.visa import VisaError, check_visa
from appliance.audit.writer import Writer, clocks
from appliance.errors import ApplianceError, FormatError

_Begun, _Ended = FACTS[Kind.CONTENT_ERASE], FACTS[Kind.CONTENT_ERASED]
_SUBJECT = b'"type":"casemate.content.'
_AT = b'{"at":'
KEYS_MAX = 10_000  # in one range: their leaves are read while others wait
_READ = 4_096  # leaves read at once when a store came back


class TooYoungError(ApplianceError):
    """A content of the range is younger than the site has to keep it."""

    code = "CM-JRN-50"


class Published(Protocol):
    """The part of the log that is in tiles."""

    kept: int
    """First record that was not pruned."""

    def entries(self, start: int, limit: int) -> list[bytes]:
        """Return leaves from `start` on, at most `limit`."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What an erasure has to respect."""

    floor_months: int = 0  # 0: no floor
    visa: bool = False  # each erasure names the record of its visa
    clock: Callable[[], tuple[int, int]] = clocks


class Erasures:
    """What is to be erased once the log is durable up to here."""

    def __init__(self, writer: Writer, published: Published, rules: Rules) -> None:
        """Take up what the last process left unfinished, and what a restored store brings back.

        Args:
            writer: Of the log.
            published: Its leaves that are in tiles.
            rules: Of the site.

        Raises:
            OSError: What reached the disk is unknown: the process has to end.
        """
        self._writer, self._published, self._rules = writer, published, rules
        self._begun: dict[int, tuple[int, int]] = {}  # index of the record -> range
        done, in_store = map(erased_marks.read, self._folders)
        self.marks = done or Marks()
        writer.erased = self.marks.ranges
        self._restored = in_store is None or in_store.last != self.marks.last
        if self._restored:
            self._replay(max(0, min(in_store.last if in_store else 0, self.marks.last)))
        for index, leaf in enumerate(writer.recent, writer.first):
            if _SUBJECT in leaf:
                self._recall(index, Leaf.parse(leaf).event)

    @property
    def _folders(self) -> tuple[Path, Path]:
        return self._writer.volume.directory, self._writer.volume.sealed.files.folder

    def check(self, event: Event) -> None:
        """Check the range of an event that asks for an erasure.

        Raises:
            FormatError: It names records that there are not, or is none, or holds too many.
            TooYoungError: One of the contents has to be kept.
            VisaError: The site asks for a visa, and there is none for the range.
        """
        found = _range(event)
        if found is None:
            return
        if not 0 <= found[0] < found[1] <= self._writer.admission.size:
            raise FormatError("not a range of records to erase")
        if self._rules.visa:
            self._check_visa(event, *found)
        if self._rules.floor_months:
            self._check_age(*found)

    def _check_visa(self, event: Event, first: int, end: int) -> None:
        visa = event.data.get("visa") if isinstance(event, Fact) else None
        if not isinstance(visa, int) or not 0 <= visa < self._writer.admission.size:
            raise VisaError("the erasure names no record of a visa")
        check_visa(Leaf.parse(self._writer.leaf(visa)), first, end)

    def _check_age(self, first: int, end: int) -> None:
        held = self._writer.volume.sealed.held(first, end)
        if len(held) > KEYS_MAX:
            raise FormatError(f"at most {KEYS_MAX} contents are erased at once")
        bound = before(self._rules.clock()[0], self._rules.floor_months)
        for index in held:
            # What was pruned was past a floor of its own.
            if index >= self._published.kept and _at(self._writer.leaf(index)) > bound:
                months = self._rules.floor_months
                raise TooYoungError(f"record {index} has to be kept for {months} months")

    def take(self, index: int, event: Event) -> None:
        """Take what was recorded at `index`; other events ask for nothing."""
        if found := _range(event):
            self._begun[index] = found

    def carry_out(self) -> None:
        """Destroy the keys, now that the log says that they will be.

        Raises:
            OSError: What reached the disk is unknown: the process has to end.
        """
        if not self._begun and not self._restored:
            return
        sealed = self._writer.volume.sealed
        for index, (first, end) in self._begun.items():
            keys = sealed.destroy(first, end)
            self._writer.record(Kind.CONTENT_ERASED, erase=index, keys=keys)
        ranges = join(
            [*self.marks.ranges, *self._begun.values()],
            lambda first, end: bool(sealed.held(first, end)),
        )
        self.marks = Marks(max([*self._begun, self.marks.last]), ranges)
        self._writer.erased = ranges
        for folder in reversed(self._folders):
            erased_marks.write(folder, self.marks)
        self._begun.clear()
        self._restored = False
        self._writer.commit()

    def _replay(self, start: int) -> None:
        """Take each erasure that published leaves from `start` on ask for."""
        volume = self._writer.volume
        if kept := pruned.minimum(volume.directory):  # those keys went with their records
            volume.sealed.destroy(0, kept)
        start = max(start, kept)
        start = max(start, self._published.kept)
        while start < self._writer.first:
            leaves = self._published.entries(start, min(_READ, self._writer.first - start))
            for index, leaf in enumerate(leaves, start):
                if _SUBJECT in leaf:
                    self.take(index, Leaf.parse(leaf).event)
            start += len(leaves)

    def _recall(self, index: int, event: Event) -> None:
        if isinstance(event, Fact) and isinstance(event, _Ended):
            if self._restored:  # it ended in the store that is gone
                return
            self._begun.pop(int(event.data["erase"]), None)
        else:
            self.take(index, event)


def _at(leaf: bytes) -> int:
    """Return the wall clock of a leaf, without reading the rest."""
    assert leaf.startswith(_AT)
    return int(leaf[len(_AT) : leaf.index(b",")])


def _range(event: Event) -> tuple[int, int] | None:
    """Return the records that an event asks to erase."""
    if not (isinstance(event, Fact) and isinstance(event, _Begun)):
        return None
    first, end = event.data.get("first"), event.data.get("end")
    if first is None and end is None:
        return None
    if not (isinstance(first, int) and isinstance(end, int)):
        return -1, -1
    return first, end
