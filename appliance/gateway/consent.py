"""A person's word on contents, as the gateway records it: to open one, to eliminate many. Pure.

The gateway writes it, not the console: it holds no session, so it believes the person's own
token alone, and asks that a code was given a moment ago.
"""

from appliance.audit.event import Fact, Kind, fact
from appliance.audit.reading.approval import ROLES
from appliance.audit.visa import GATE
from appliance.errors import FormatError
from appliance.gateway.openapi import Approval, Visa
from appliance.identity.principal import ForbiddenError, Principal, check_elevated


def approval(caller: Principal, wish: Approval, event_id: str, now: float) -> Fact:
    """Return the event of an approval.

    Args:
        caller: Holds the scope `content.approve`.
        wish: The record, and the reason in their words.
        event_id: Of the event.
        now: Seconds since 1970.

    Raises:
        ForbiddenError: An application key, or neither of the two roles.
        StepUpError: No code was given a moment ago.
        FormatError: There is no reason.
    """
    role = next((role for role in ROLES if role in caller.roles), "")
    if caller.key is not None or not role:
        raise ForbiddenError(f"a person in one of the roles {', '.join(ROLES)} is needed")
    check_elevated(caller, now)
    if not (given := " ".join(wish.reason.split())):
        raise FormatError("a reason is needed")
    return fact(
        Kind.CONTENT_APPROVE, caller.subject, event_id,
        record=wish.record, role=role, name=caller.name[:200], reason=given[:200],
    )  # fmt: skip


def visa(caller: Principal, wish: Visa, event_id: str) -> Fact:
    """Return the event of a visa.

    Args:
        caller: Holds the scope `erasure.approve`.
        wish: The list, and the reference of the visa.
        event_id: Of the event.

    Raises:
        ForbiddenError: An application key.
        FormatError: The list names no records, or the visa has no reference.
    """
    if caller.key is not None:
        raise ForbiddenError("a person is needed")
    if not (reference := " ".join(wish.reference.split())) or wish.first >= wish.end:
        raise FormatError("a visa has a reference, and is for a range of records")
    return fact(
        Kind.GATE_DECIDE, caller.subject, event_id,
        gate=GATE, list=wish.list, first=wish.first, end=wish.end, count=wish.count,
        sha256=wish.sha256, reference=reference, name=caller.name[:200],
    )  # fmt: skip
