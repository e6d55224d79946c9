"""Who lets the content of one record be opened: two people, in two roles, a moment ago.

An approval is a leaf `content.approve` that a gateway wrote: it alone authenticates people, by
their own token and a code that was just asked for. The reader takes leaves from the signed log
and nothing else: what a console says of them counts for nothing. Pure: the clock comes in.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from appliance.audit.event import Fact, Kind, Leaf
from appliance.errors import ApplianceError

ROLES = ("auditeur", "rssi")  # one of each; nobody holds both
FRESH = 15 * 60  # seconds
AHEAD = 10  # seconds that a leaf may be ahead of the clock: more is a clock that was changed
_MICRO = 1_000_000


class ApprovalError(ApplianceError):
    """The leaf is no approval, too old, of somebody who may not give one, or used already."""

    code = "CM-JRN-52"


class UnapprovedError(ApplianceError):
    """An approval of the other role is missing."""

    code = "CM-JRN-51"


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's word, as the log holds it."""

    index: int  # of the leaf
    record: int  # whose content may be opened
    actor: str  # subject
    name: str  # user name, for pages
    role: str
    reason: str
    at: int  # microseconds since 1970, clock of the leaf

    def is_fresh(self, now: float) -> bool:
        """Tell whether it may still be used at `now` (seconds since 1970)."""
        return -AHEAD <= now - self.at / _MICRO <= FRESH


def read_approval(leaf: Leaf, writers: Collection[int], now: float) -> Approval:
    """Return the approval that a leaf is.

    Args:
        leaf: Proved to be in the signed log.
        writers: User ids of the gateways, as the recorder stamps them.
        now: Seconds since 1970.

    Raises:
        ApprovalError: It is none, or not fresh.
    """
    event = leaf.event
    if not isinstance(event, Fact) or event.kind is not Kind.CONTENT_APPROVE:
        raise ApprovalError(f"record {leaf.index} is no approval")
    if leaf.uid not in writers:
        raise ApprovalError(f"approval {leaf.index} was not written by a gateway")
    record, role = event.data.get("record"), event.data.get("role")
    reason = str(event.data.get("reason", "")).strip()
    if not isinstance(record, int) or record < 0 or role not in ROLES or not reason:
        raise ApprovalError(f"approval {leaf.index} lacks its record, role or reason")
    found = Approval(
        leaf.index, record, event.actor, str(event.data.get("name", "")), str(role), reason,
        leaf.at,
    )  # fmt: skip
    if not found.is_fresh(now):
        raise ApprovalError(f"approval {leaf.index} is older than {FRESH // 60} minutes")
    return found


def pair(given: Iterable[Approval], record: int, now: float) -> tuple[Approval, Approval]:
    """Return the two approvals that open a record: the latest of each role.

    Raises:
        UnapprovedError: Not two different people, one in each role, a moment ago.
    """
    latest: dict[str, Approval] = {}
    for one in sorted(given, key=lambda one: one.index):
        if one.record == record and one.is_fresh(now):
            latest[one.role] = one
    missing = [role for role in ROLES if role not in latest]
    if missing:
        raise UnapprovedError(f"record {record}: no fresh approval as {', '.join(missing)}")
    first, second = (latest[role] for role in ROLES)
    if first.actor == second.actor:
        raise UnapprovedError(f"record {record}: both approvals are of one person")
    return first, second
