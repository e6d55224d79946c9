"""The start of the recorder: from the edge of the tiles, the snapshot, and the journal's tail.

Nothing is written here. The log that is found has to extend what was signed last.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.audit import pruned
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.event import Kind
from appliance.audit.lifecycle import parse_stored, recall, replay
from appliance.audit.publisher import Publisher
from appliance.audit.tree import Frontier, leaf_hash
from appliance.audit.volume import Volume
from appliance.errors import FormatError
from appliance.ledger import admission
from appliance.ledger.admission import Admission
from appliance.ledger.period import Calendar

_STOP = b'"type":"%b"' % Kind.AUDIT_STOP.encode()


@dataclass(frozen=True, slots=True)
class Recovered:
    """The log as the last process left it."""

    admission: Admission
    frontier: Frontier
    leaves: list[bytes]  # not published yet
    hashes: list[bytes]  # theirs
    shutdown: str  # of the last process: first, clean or crash
    last: tuple[str, int] | None  # boot of the last leaf, its wall clock minus monotonic


def recover(
    volume: Volume, publisher: Publisher, calendar: Calendar, known: Sequence[Checkpoint] = ()
) -> Recovered:
    """Read the log back; `known` are its checkpoints that came back from elsewhere.

    Raises:
        RollbackError: The log is behind what was signed, or differs from it.
        FormatError: The journal is damaged.
        VerificationError: The log contradicts itself.
    """
    head = publisher.load()
    state = _snapshot(volume, calendar)
    oldest = max(0, state.size - admission.IDS_KEPT)  # whose id is remembered
    oldest = max(oldest, min(volume.begins, pruned.minimum(volume.directory)))
    first = min(head.size, oldest)
    leaves = volume.take_leaves(first)
    tail = leaves[max(0, head.size - first) :]
    frontier = publisher.open(tail, volume.size, known)
    recall(state, leaves[oldest - first : state.size - first], oldest)
    replay(state, leaves[state.size - first :])
    last = leaves[-1] if leaves else b""
    return Recovered(
        state, frontier, tail, [leaf_hash(leaf) for leaf in tail], _shutdown(last), _clock(last)
    )


def _snapshot(volume: Volume, calendar: Calendar) -> Admission:
    """Return the state to go on from; without a snapshot that fits, all is replayed."""
    data = volume.read_snapshot()
    if data is not None:
        try:
            state = Admission.from_bytes(data, calendar)
        except FormatError:
            return _first(volume, calendar)
        if state.size <= volume.size:
            return state
    return _first(volume, calendar)


def _first(volume: Volume, calendar: Calendar) -> Admission:
    """Return the state before the first record that is there."""
    begins = pruned.minimum(volume.directory)
    if not begins:
        return Admission(calendar)
    return Admission.from_bytes(pruned.read_state(volume.directory, begins), calendar)


def _shutdown(last: bytes) -> str:
    if not last:
        return "first"
    return "clean" if _STOP in last else "crash"


def _clock(last: bytes) -> tuple[str, int] | None:
    if not last:
        return None
    stored = parse_stored(last)
    return stored.boot, stored.at - stored.mono
