"""Which events give way when there is no room: in the queue, or on the disk.

Terminal before audit and administration, these before intents, these before refusals: what
was begun can always be ended, and who is to repair the site can always be recorded.
"""

from enum import IntEnum

from appliance.audit.event import FACTS, BudgetChange, Event, Intent, Kind, Terminal
from appliance.audit.journal import LEAF_BYTES_MAX, LEAVES_MAX
from appliance.errors import ApplianceError

GIB = 1 << 30
TERMINAL_BYTES = LEAF_BYTES_MAX + 16  # of a terminal event in a record of its own


class UnavailableError(ApplianceError):
    """The event is not in the log. Sending it again is safe."""

    code = "CM-JRN-01"


class Rank(IntEnum):
    """The lower, the longer it is admitted."""

    TERMINAL = 0
    ADMIN = 1
    INTENT = 2
    REFUSAL = 3


class Level(IntEnum):
    """Of the disk."""

    PLENTY = 0
    WARN = 1  # less than a fifth is free
    NO_MODELS = 2  # less than a tenth: no intent
    RESERVED = 3  # the last twentieth: terminal, audit and administration only


# (part of the volume, bytes): less than both is the level. The second bound is for a log on a
# large disk that it shares: a tenth of it would be years of records.
_BOUNDS = {
    Level.RESERVED: (0.05, 1 * GIB),
    Level.NO_MODELS: (0.10, 2 * GIB),
    Level.WARN: (0.20, 4 * GIB),
}
_QUEUE = {
    Rank.TERMINAL: LEAVES_MAX,
    Rank.ADMIN: LEAVES_MAX * 7 // 8,
    Rank.INTENT: LEAVES_MAX * 3 // 4,
    Rank.REFUSAL: LEAVES_MAX // 4,
}
_REFUSALS = {Kind.AUTH_DENIED, Kind.AUTHZ_DENIED}
_WORK = ("casemate.rag.", Kind.TOOL_CALL)  # a result ends what its call began


def _rank(kind: Kind) -> Rank:
    if kind in _REFUSALS:
        return Rank.REFUSAL
    return Rank.INTENT if kind.startswith(_WORK) else Rank.ADMIN


_RANKS: dict[type, Rank] = {
    Intent: Rank.INTENT,
    BudgetChange: Rank.ADMIN,
    **dict.fromkeys(Terminal.__subclasses__(), Rank.TERMINAL),
    **{struct: _rank(kind) for kind, struct in FACTS.items()},
}


def rank_of(event: Event) -> Rank:
    """Return the rank of an event."""
    return _RANKS[type(event)]


def level_of(free: int, total: int) -> Level:
    """Return how full a disk is.

    Args:
        free: Bytes.
        total: Bytes of the file system.
    """
    for level, (part, most) in _BOUNDS.items():
        if free < min(total * part, most):
            return level
    return Level.PLENTY


def check_queue(event: Event, waiting: int) -> None:
    """Check that one more event may wait for the disk.

    Raises:
        UnavailableError: Too many do already, for its rank.
    """
    if waiting >= _QUEUE[_RANKS[type(event)]]:
        raise UnavailableError("too many events are waiting")


def check_room(event: Event, level: Level, room: int, to_come: int) -> None:
    """Check that the disk has room, for an intent also for the event that ends it.

    Args:
        event: Not yet admitted.
        level: Of the disk.
        room: Bytes of the journal that nobody can take away.
        to_come: Events that have a claim on it: ends of open requests, and the queue.

    Raises:
        UnavailableError: It has none.
    """
    if level >= Level.RESERVED and rank_of(event) >= Rank.INTENT:
        raise UnavailableError("the disk of the log is nearly full")
    if isinstance(event, Intent):
        if level >= Level.NO_MODELS:
            raise UnavailableError("the disk of the log is filling: no model is asked")
        if room < (to_come + 2) * TERMINAL_BYTES:
            raise UnavailableError("no room for the end of the request")
