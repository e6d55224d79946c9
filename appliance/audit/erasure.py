"""Contents are erased by destroying their keys, between two records that say so.

`content.erase` names the records from `first` to before `end`. Once it is durable their sealed
keys are overwritten, durably; then `content.erased` says how many there were, and who asked is
answered. Leaves, commitments and proofs stay as they are. A recorder that ends in between goes
on at its next start: all this is one turn of its loop, which no checkpoint parts.
"""

from appliance.audit.event import FACTS, Event, Fact, Kind, Leaf
from appliance.audit.writer import Writer
from appliance.errors import FormatError

_Begun, _Ended = FACTS[Kind.CONTENT_ERASE], FACTS[Kind.CONTENT_ERASED]
_SUBJECT = b'"type":"casemate.content.'


class Erasures:
    """What is to be erased once the log is durable up to here."""

    def __init__(self, writer: Writer) -> None:
        """Take up what the last process left unfinished."""
        self._writer = writer
        self._begun: dict[int, tuple[int, int]] = {}  # index of the record -> range
        for index, leaf in enumerate(writer.recent, writer.first):
            if _SUBJECT in leaf:
                self._recall(index, Leaf.parse(leaf).event)

    def check(self, event: Event) -> None:
        """Check the range of an event that asks for an erasure.

        Raises:
            FormatError: It names records that there are not, or is none.
        """
        found = _range(event)
        if found and not 0 <= found[0] < found[1] <= self._writer.admission.size:
            raise FormatError("not a range of records to erase")

    def take(self, index: int, event: Event) -> None:
        """Take what was recorded at `index`; other events ask for nothing."""
        if found := _range(event):
            self._begun[index] = found

    def carry_out(self) -> None:
        """Destroy the keys, now that the log says that they will be.

        Raises:
            OSError: What reached the disk is unknown: the process has to end.
        """
        if not self._begun:
            return
        for index, (first, end) in self._begun.items():
            keys = self._writer.volume.sealed.destroy(first, end)
            self._writer.record(Kind.CONTENT_ERASED, erase=index, keys=keys)
        self._begun.clear()
        self._writer.commit()

    def _recall(self, index: int, event: Event) -> None:
        if isinstance(event, Fact) and isinstance(event, _Ended):
            self._begun.pop(int(event.data["erase"]), None)
        else:
            self.take(index, event)


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
