"""What is an approval, and which two open a record."""

import dataclasses
from typing import Any

import pytest

from appliance.audit.event import Event, Kind, Leaf, fact
from appliance.audit.reading.approval import (
    AHEAD,
    FRESH,
    Approval,
    ApprovalError,
    UnapprovedError,
    pair,
    read_approval,
)
from tests.recording import completion

GATEWAY, NOW = 882, 1_800_000_000.0
DATA: dict[str, Any] = {
    "record": 7,
    "role": "rssi",
    "reason": "Plainte 12",
    "name": "r.lambert",
}


def leaf(event: Event, uid: int = GATEWAY, age: float = 0) -> Leaf:
    return Leaf(int((NOW - age) * 1_000_000), "boot", event, 40, 0, uid)


def approve(**changes: Any) -> Event:
    return fact(Kind.CONTENT_APPROVE, "rene", "approval-".ljust(20, "-"), **(DATA | changes))


@pytest.mark.parametrize("age", [0, FRESH, -AHEAD])
def test_a_fresh_word_of_a_gateway_is_one(age: float) -> None:
    found = read_approval(leaf(approve(), age=age), {GATEWAY}, NOW)
    assert (found.index, found.record, found.role, found.actor) == (40, 7, "rssi", "rene")
    assert (found.name, found.reason) == ("r.lambert", "Plainte 12")


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(leaf(approve(), uid=883), id="written by a console"),
        pytest.param(leaf(approve(), age=FRESH + 1), id="old"),
        pytest.param(leaf(approve(), age=-AHEAD - 1), id="of the future"),
        pytest.param(leaf(approve(record="7")), id="the record is no number"),
        pytest.param(leaf(approve(record=-1)), id="negative record"),
        pytest.param(leaf(approve(role="exploitant")), id="another role"),
        pytest.param(leaf(approve(role=1)), id="no role"),
        pytest.param(leaf(approve(reason=" ")), id="no reason"),
        pytest.param(
            leaf(fact(Kind.SERVICE_APPROVE, "r", "approval-".ljust(20, "-"))), id="type"
        ),
        pytest.param(leaf(completion(1)), id="no fact"),
    ],
)
def test_what_is_not_is_refused(bad: Leaf) -> None:
    with pytest.raises(ApprovalError):
        read_approval(bad, {GATEWAY}, NOW)


def given(index: int, role: str, actor: str, record: int = 7, age: float = 0) -> Approval:
    at = int((NOW - age) * 1_000_000)
    return Approval(index, record, actor, actor, role, "Plainte 12", at)


ONE, TWO = given(1, "auditeur", "ines"), given(2, "rssi", "rene")


def test_the_latest_of_each_role_open_together() -> None:
    later = dataclasses.replace(ONE, index=9, actor="igor")
    assert pair([later, TWO, ONE], 7, NOW) == (later, TWO)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([], id="none"),
        pytest.param([ONE], id="one"),
        pytest.param([ONE, given(2, "auditeur", "igor")], id="two of one role"),
        pytest.param([ONE, given(2, "rssi", "ines")], id="one person"),
        pytest.param([ONE, given(2, "rssi", "rene", record=8)], id="another record"),
        pytest.param([ONE, given(2, "rssi", "rene", age=FRESH + 1)], id="one is old"),
    ],
)
def test_less_opens_nothing(words: list[Approval]) -> None:
    with pytest.raises(UnapprovedError):
        pair(words, 7, NOW)
