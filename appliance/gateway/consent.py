"""A person's word that a sealed content may be opened, as the gateway records it. Pure.

The gateway writes it, not the console: it holds no session, so it believes the person's own
token alone, and asks that a code was given a moment ago.
"""

from appliance.audit.event import Fact, Kind, fact
from appliance.audit.reading.approval import ROLES
from appliance.errors import FormatError
from appliance.gateway.openapi import Approval
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
