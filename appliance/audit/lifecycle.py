"""What an event does to the state of the log, and the replay of stored leaves.

The recorder applies each event before it writes it; `verify` and a restart apply the stored
leaves. Both use the clock of the leaf, so that the budgets come out equal.
"""

import hashlib
from collections.abc import Iterable
from typing import assert_never

import msgspec

from appliance.audit.event import BudgetChange, Event, Fact, Id, Intent, Kind, Terminal, parse
from appliance.errors import ApplianceError, FormatError, VerificationError
from appliance.ledger.admission import Admission
from appliance.ledger.budget import Limit
from appliance.ledger.period import Period

INTENT = str(Intent.__struct_config__.tag)


class Stored(msgspec.Struct, forbid_unknown_fields=True):
    """A leaf whose event is still the bytes that were hashed into its id."""

    at: int  # microseconds since 1970
    boot: str
    event: msgspec.Raw
    index: int
    mono: int  # microseconds
    uid: int


class _Name(msgspec.Struct):
    id: Id
    type: str
    request: Id | None = None


_stored = msgspec.json.Decoder(Stored).decode
_name = msgspec.json.Decoder(_Name).decode


def parse_stored(leaf: bytes) -> Stored:
    """Read a leaf of the journal.

    Raises:
        FormatError: It is none.
    """
    try:
        return _stored(leaf)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FormatError(f"not a leaf: {exc}") from exc


def apply(state: Admission, event: Event, at: int) -> None:
    """Change the state as the event says. After a refusal nothing has changed.

    Args:
        state: Of the log before the event.
        event: Not yet in the log.
        at: The clock of its leaf, microseconds since 1970.

    Raises:
        LifecycleError: It contradicts the log.
        BudgetError: A hard limit would be passed.
        StoppedError: An intent, while the service is stopped.
    """
    if isinstance(event, Intent):
        state.begin(event.request, event.reserve, (event.actor, event.label), at)
    elif isinstance(event, Terminal):
        state.end(event.request, event.spend)
    elif isinstance(event, BudgetChange):
        period = Period.named(event.period)
        state.limit(event.budget, Limit(event.limit, period, event.hard))
    elif isinstance(event, Fact):
        if event.kind is Kind.SERVICE_STOP:
            state.stop(event.actor)
        elif event.kind is Kind.SERVICE_APPROVE:
            state.approve(event.actor)
    else:
        assert_never(event)


def replay(state: Admission, leaves: Iterable[bytes]) -> None:
    """Apply the leaves that follow `state.size`.

    Raises:
        FormatError: A leaf is unreadable.
        VerificationError: One contradicts those before it, or is not at its place.
    """
    for leaf in leaves:
        stored = parse_stored(leaf)
        event = parse(bytes(stored.event))
        index = state.size
        if stored.index != index or event.id in state.places:
            raise VerificationError(f"record {index} is not at its place")
        try:
            apply(state, event, stored.at)
        except ApplianceError as exc:
            raise VerificationError(f"record {index}: {exc}") from exc
        state.place(event.id, hashlib.sha256(stored.event).digest())


def recall(state: Admission, leaves: Iterable[bytes], first: int) -> None:
    """Remember the ids of leaves from before a snapshot.

    Args:
        state: From the snapshot.
        leaves: The last `IDS_KEPT` before `state.size`, or all.
        first: Index of the first of them.

    Raises:
        FormatError: A leaf is unreadable, or not at its place.
    """
    for index, leaf in enumerate(leaves, first):
        stored = parse_stored(leaf)
        try:
            name = _name(stored.event)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise FormatError(f"not an event: {exc}") from exc
        if stored.index != index:
            raise FormatError(f"record {index} is not at its place")
        request = name.request if name.type == INTENT else None
        state.recall(index, name.id, hashlib.sha256(stored.event).digest(), request)
