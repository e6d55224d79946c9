"""What is a visa, and for which records."""

from typing import Any

import pytest

from appliance.audit.event import Event, Kind, Leaf, fact
from appliance.audit.visa import VisaError, check_visa
from tests.recording import completion

SAID: dict[str, Any] = {"gate": "elimination", "first": 10, "end": 20}


def leaf(event: Event) -> Leaf:
    return Leaf(1, "boot", event, 40, 0, 882)


def visa(kind: Kind = Kind.GATE_DECIDE, **changes: Any) -> Event:
    return fact(kind, "dpo", "visa".ljust(20, "-"), **(SAID | changes))


@pytest.mark.parametrize(("first", "end"), [(10, 20), (10, 11), (19, 20), (12, 15)])
def test_a_visa_is_for_the_records_that_it_names(first: int, end: int) -> None:
    check_visa(leaf(visa()), first, end)


@pytest.mark.parametrize(("first", "end"), [(9, 20), (10, 21), (0, 5), (20, 21), (12, 12)])
def test_and_for_no_others(first: int, end: int) -> None:
    with pytest.raises(VisaError):
        check_visa(leaf(visa()), first, end)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(visa(gate="jalon-2"), id="another gate"),
        pytest.param(visa(first="10"), id="no number"),
        pytest.param(visa(Kind.CONFIG_CHANGE), id="another type"),
        pytest.param(completion(1), id="no fact"),
    ],
)
def test_what_is_none_is_refused(event: Event) -> None:
    with pytest.raises(VisaError):
        check_visa(leaf(event), 12, 15)
