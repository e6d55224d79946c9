"""The visa of an elimination, as the log holds it: who may, said that these records go. Pure.

A leaf `gate.decide` of the gate `elimination`, written by a gateway for a person with the right
to approve erasures. It names the range of the list and the SHA-256 of its text.
"""

from appliance.audit.event import Fact, Kind, Leaf
from appliance.errors import ApplianceError

GATE = "elimination"


class VisaError(ApplianceError):
    """The record is no visa of this list."""

    code = "CM-JRN-56"


def check_visa(leaf: Leaf, first: int, end: int) -> None:
    """Check that a leaf is a visa for the records from `first` to before `end`.

    Raises:
        VisaError: It is not.
    """
    event = leaf.event
    if not isinstance(event, Fact) or event.kind is not Kind.GATE_DECIDE:
        raise VisaError(f"record {leaf.index} is no visa")
    data = event.data
    low, high = data.get("first"), data.get("end")
    if data.get("gate") != GATE or not isinstance(low, int) or not isinstance(high, int):
        raise VisaError(f"record {leaf.index} is no visa")
    if not low <= first < end <= high:
        raise VisaError(f"the visa {leaf.index} is for the records {low} to before {high}")
