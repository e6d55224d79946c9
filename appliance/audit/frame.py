"""Frames between the recorder and its clients: `u32 length ‖ JSON`, big-endian.

Clients do not wait for answers, which come in any order and are matched by `ref`. An `append`
carries the events of one turn of the client's loop, under `ref`, `ref + 1`, …; each has an
answer of its own. A frame of the recorder is a list of answers: those that one fdatasync gave.
Answers with `ref` 0 answer nothing: they tell the stop state.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from appliance.audit.event import Event, Id, Number, Short
from appliance.errors import FormatError

FRAME_BYTES_MAX = 1 << 21  # of a client
EVENTS_MAX = 256  # of one append: at most as long as a frame may be
SEALED_BYTES_MAX = 256
LIVE_MAX = 10_000
READ_MAX = 256  # leaves in one answer

_LENGTH = struct.Struct(">I")

Sealed = Annotated[bytes, msgspec.Meta(max_length=SEALED_BYTES_MAX)]


class Append(
    msgspec.Struct,
    forbid_unknown_fields=True, omit_defaults=True, tag_field="op", tag="append",
):  # fmt: skip
    """Events to record, in this order."""

    events: Annotated[list[Event], msgspec.Meta(min_length=1, max_length=EVENTS_MAX)]
    ref: int  # of the first event; one more for each that follows
    sealed: dict[Id, Sealed] = {}  # event id -> content key sealed to its readers
    sent: int = 0  # microseconds, monotonic clock of this machine: too old is refused


class Attach(msgspec.Struct, forbid_unknown_fields=True, tag_field="op", tag="attach"):
    """Who speaks on this connection, and the requests that it still serves."""

    gateway: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    live: Annotated[list[Id], msgspec.Meta(max_length=LIVE_MAX)]
    ref: int


class _Question(msgspec.Struct, forbid_unknown_fields=True, tag_field="op"):
    """What changes nothing. A class of its own: a union is slow to ask `isinstance`."""


class Status(_Question, tag="status"):
    """How the log stands; and budgets: those named, or all for null."""

    ref: int
    budgets: list[Short] | None = []


class Read(_Question, tag="read"):
    """Leaves from an index on; a negative one counts from the end."""

    max: Number
    ref: int
    start: int = msgspec.field(name="from")


class Prove(_Question, tag="prove"):
    """A leaf and the proof that it is in the signed log."""

    index: Number
    ref: int


class Unseal(_Question, tag="sealed"):
    """The sealed content key that came with a leaf."""

    index: Number
    ref: int


class Erased(_Question, tag="erased"):
    """The records whose contents are erased for good: no content, no person is named."""

    ref: int


class Extend(_Question, tag="extend"):
    """The signed checkpoint, and the proof that it extends the log of `old` leaves."""

    old: Number  # leaves; 0: nothing to prove
    ref: int


Question = Status | Read | Prove | Unseal | Extend | Erased
Request = Append | Attach | Question


def gather(
    entries: Iterable[tuple[int, Event | Question, bytes | None]], *, sent: int
) -> list[Append | Question]:
    """Put events with consecutive refs into one request.

    Args:
        entries: Ref, message, sealed key of an event; by ascending ref.
        sent: Monotonic clock, microseconds.
    """
    requests: list[Append | Question] = []
    group = Append([], 0)
    for ref, message, sealed in entries:
        if isinstance(message, _Question):
            message.ref = ref
            requests.append(message)
            continue
        if ref != group.ref + len(group.events) or len(group.events) == EVENTS_MAX:
            group = Append([], ref, {}, sent)
            requests.append(group)
        group.events.append(message)
        if sealed is not None:
            group.sealed[message.id] = sealed
    return requests


class Answer(msgspec.Struct, omit_defaults=True):
    """Of the recorder: where the event is, what was asked for, or why not."""

    ref: int
    index: int = -1
    leaf: str = ""  # base64 of the leaf hash
    error: str = ""  # a code of the table of errors
    detail: str = ""
    stopped: bool | None = None
    body: msgspec.Raw = msgspec.Raw(b"")


class BudgetState(msgspec.Struct, frozen=True):
    """How a budget stands, in its own period."""

    used: int
    reserved: int
    limit: int | None  # None: no limit
    period: str
    hard: bool


class Anchored(msgspec.Struct, frozen=True):
    """The last checkpoint that is kept outside the machine, as far as the log knows."""

    size: int  # leaves
    at: int  # seconds since 1970, as the one who keeps it says
    kind: str


class State(msgspec.Struct, frozen=True):
    """How the log stands."""

    size: int  # durable leaves
    root: bytes  # of as many leaves
    checkpoint_size: int
    checkpoint_at: int  # microseconds since 1970; 0: none by this process
    stopped: bool
    stopped_by: str
    approvals: list[str]  # who approved since
    open: int  # requests without an end
    degraded: str  # "" or why some events are refused
    budgets: dict[str, BudgetState]
    anchored: Anchored | None = None  # None: nothing ever was


class Leaves(msgspec.Struct, frozen=True):
    """Stored leaves, from `first` on."""

    first: int
    leaves: list[bytes]


class Proved(msgspec.Struct, frozen=True):
    """A leaf with its tlog-proof."""

    leaf: bytes
    proof: bytes


class Extended(msgspec.Struct, frozen=True):
    """A signed checkpoint, and the consistency proof from an earlier size."""

    note: bytes
    path: list[bytes]  # RFC 9162, 2.1.4.1


class Key(msgspec.Struct, frozen=True):
    """A sealed content key."""

    sealed: bytes


class Ranges(msgspec.Struct, frozen=True):
    """Ranges of records, from the first to before the end, ascending."""

    ranges: list[tuple[int, int]]


def pack(body: bytes) -> bytes:
    """Return the frame that holds `body`."""
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Cuts a stream into frames."""

    __slots__ = ("_bytes_max", "_rest")

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the bodies that are whole.

        Raises:
            FormatError: A frame is too long. The stream is of no use any more.
        """
        buffer = self._rest + data if self._rest else data
        offset, end = 0, len(buffer)
        self._rest = b""
        while end - offset >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, offset)
            if length > self._bytes_max:
                raise FormatError("frame is too long")
            if end - offset - _LENGTH.size < length:
                break
            offset += _LENGTH.size + length
            yield buffer[offset - length : offset]
        self._rest = buffer[offset:]
