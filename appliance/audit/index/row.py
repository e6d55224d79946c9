"""What the working copy keeps of a leaf: the words of a search, and its digests.

A leaf is read leniently here: the recorder wrote it, and a copy that stopped at a leaf it does
not know would hide all that follows. Whether a leaf is in order is for `verify` to say.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from appliance.audit.tree import leaf_hash
from appliance.errors import FormatError

SLICE = 1024  # leaves of which the bounds of the clock are kept together
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_S = 253_402_300_799  # seconds: the last of the year 9999, Python's last
PRUNE = "audit.prune"
_MICRO = 1_000_000
_PREFIX, _SUFFIX = "casemate.", ".v1"

OUTCOMES = {
    "llm.completion": "ok",
    "llm.refused": "refused",
    "llm.error": "failed",
    "llm.interrupted": "interrupted",
    "auth.denied": "refused",
    "authz.denied": "refused",
    "service.stop": "interrupted",
    "service.degraded": "degraded",
    "service.restored": "ok",
    "audit.degraded": "degraded",
    "audit.loss": "degraded",
    "clock.step": "degraded",
}
# Fields that name what an event is about; the first that is there counts.
OBJECTS = (
    "document", "key", "user", "budget", "name", "collection", "phase", "part", "page", "model",
)  # fmt: skip


class _Event(msgspec.Struct):
    type: str
    actor: str = ""
    request: str | None = None
    reason: str = ""
    model: str = ""
    budget: str = ""
    key: str = ""
    data: dict[str, str | int] = {}


class _Leaf(msgspec.Struct):
    at: int
    event: _Event
    index: int


_decode = msgspec.json.Decoder(_Leaf).decode


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `audit.event`."""

    idx: int
    at: datetime
    subject: str
    type: str
    outcome: str | None
    code: str | None
    actor: str
    request: str | None
    object: str | None
    leaf_hash: bytes  # 32
    digest: bytes  # 32: SHA-256 of the stored bytes
    pruned: int = 0  # all below this index was pruned; of no column


def read(stored: bytes) -> Row:
    """Return the row of a leaf.

    Raises:
        FormatError: Not the bytes of a leaf.
    """
    try:
        leaf = _decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FormatError(f"not a leaf: {exc}") from exc
    event = leaf.event
    name = event.type.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    reason = event.reason or event.data.get("reason", "")
    return Row(
        idx=leaf.index,
        at=moment(leaf.at),
        subject=name.split(".", 1)[0],
        type=name,
        outcome=OUTCOMES.get(name),
        code=_text(str(reason)) or None,
        actor=_text(event.actor),
        request=event.request and _text(event.request),
        object=_object(event),
        leaf_hash=leaf_hash(stored),
        digest=hashlib.sha256(stored).digest(),
        pruned=_pruned(event) if name == PRUNE else 0,
    )


def _object(event: _Event) -> str | None:
    of_data = (event.data.get(name) for name in OBJECTS)
    found = (event.key, event.budget, event.model, *of_data)
    return next((folded(str(value)) for value in found if value), None)


def folded(text: str) -> str:
    """Return a name as it is searched for."""
    return _text(text).casefold()


def _text(text: str) -> str:
    """Return a text that PostgreSQL can hold."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _pruned(event: _Event) -> int:
    found = event.data.get("end", 0)
    return found if isinstance(found, int) else 0


def moment(microseconds: int) -> datetime:
    """Return a time of the log; one that no calendar holds becomes the nearest that does."""
    bounded = min(max(microseconds, 0), LATEST_S * _MICRO)
    return EPOCH + timedelta(microseconds=bounded)


@dataclass(frozen=True, slots=True)
class Slice:
    """Bounds of the clock among the leaves of one run of `SLICE`."""

    slice: int
    low: datetime
    high: datetime


def slices(rows: Iterable[Row]) -> list[Slice]:
    """Return the bounds of the clock of these rows, by run."""
    found: dict[int, Slice] = {}
    for row in rows:
        number = row.idx // SLICE
        known = found.get(number)
        low, high = (known.low, known.high) if known else (row.at, row.at)
        found[number] = Slice(number, min(low, row.at), max(high, row.at))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of the copy that is not as the log has it."""

    idx: int
    columns: tuple[str, ...]  # that differ; `MISSING` or `SURPLUS` when the row itself does


MISSING, SURPLUS = ("missing",), ("surplus",)
COLUMNS = (
    "at", "subject", "type", "outcome", "code", "actor", "request", "object", "leaf_hash",
    "digest",
)  # fmt: skip


def first_difference(expected: Sequence[Row], found: Sequence[Row]) -> Difference | None:
    """Return the first row in which the copy is not as the log says.

    Args:
        expected: Rows made from leaves of the log.
        found: Rows of the copy, of the same range of indexes.
    """
    wanted, held = ({row.idx: row for row in rows} for rows in (expected, found))
    for idx in sorted(wanted.keys() | held.keys()):
        columns = _differing(wanted.get(idx), held.get(idx))
        if columns:
            return Difference(idx, columns)
    return None


def _differing(wanted: Row | None, held: Row | None) -> tuple[str, ...]:
    if held is None:
        return MISSING
    if wanted is None:
        return SURPLUS
    return tuple(name for name in COLUMNS if getattr(wanted, name) != getattr(held, name))


def in_a_row(stored: Iterable[bytes], start: int) -> Iterator[Row]:
    """Yield the rows of leaves that have to follow one another.

    Args:
        stored: Leaves.
        start: Index that the first one has to have.

    Raises:
        FormatError: One is no leaf, or is not at its place.
    """
    for place, one in enumerate(stored, start):
        row = read(one)
        if row.idx != place:
            raise FormatError(f"the leaf at {place} says that it is {row.idx}")
        yield row
