import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.audit.event import (
    BudgetChange,
    Event,
    Failed,
    Interrupted,
    Kind,
    Refused,
    encode,
    fact,
    leaf_text,
)
from appliance.audit.lifecycle import apply, parse_stored, recall, replay
from appliance.errors import ApplianceError, FormatError, VerificationError
from appliance.ledger import admission
from appliance.ledger.admission import Admission
from tests.audit.parts import CALENDAR, NOON
from tests.recording import completion, intent

DAY = 86_400_000_000


def log_of(events: Sequence[Event], pause: int = 1_000) -> tuple[list[bytes], Admission]:
    """Return the leaves that a recorder would have written, and its state."""
    state, leaves = Admission(CALENDAR), list[bytes]()
    for number, event in enumerate(events):
        at, text = NOON + number * pause, encode(event)
        if event.id in state.places:
            continue
        try:
            apply(state, event, at)
        except ApplianceError:
            continue
        index = state.place(event.id, hashlib.sha256(text).digest())
        leaves.append(leaf_text(text, index, (at, number), (b"boot", 1000)))
    return leaves, state


def change(budget: str, limit: int, number: int = 0, period: str = "day") -> BudgetChange:
    return BudgetChange(
        actor="rssi", budget=budget, hard=True, id=f"change-{number:012}", limit=limit,
        period=period,  # type: ignore[arg-type]
    )  # fmt: skip


def stop(number: int) -> Event:
    return fact(Kind.SERVICE_STOP, "rssi", f"stopped-{number:012}")


def approve(number: int, actor: str) -> Event:
    return fact(Kind.SERVICE_APPROVE, actor, f"approve-{number:012}")


@pytest.mark.parametrize("kind", [Interrupted, Failed, Refused])
def test_each_end_closes_its_request_and_no_other(kind: type[Interrupted]) -> None:
    fields = {name: getattr(completion(1), name) for name in completion(1).__struct_fields__}
    leaves, state = log_of([intent(1), intent(2), kind(**fields), completion(1)])
    assert len(leaves) == 3
    assert state.open.keys() == {intent(2).request}


def test_limits_arrive_as_leaves() -> None:
    events: list[Event] = [change("site", 15), intent(1), intent(2), completion(1), intent(3)]
    leaves, state = log_of(events)
    assert len(leaves) == 3  # 10 reserved of 15; then 7 used of 15
    assert state.standing("site", NOON).used == 7
    leaves, _ = log_of([*events, change("site", 17, 1), intent(4)])
    assert len(leaves) == 5


def test_the_switch_is_made_of_leaves() -> None:
    script = [stop(1), intent(1), approve(1, "ada"), approve(2, "ada"), approve(3, "bob")]
    leaves, state = log_of([*script, intent(2)])
    assert len(leaves) == 4
    assert state.open.keys() == {intent(2).request}


def test_other_facts_change_nothing() -> None:
    before, after = Admission(CALENDAR), Admission(CALENDAR)
    apply(after, fact(Kind.RAG_RETRIEVE, "ada", "fact-000000000001", found=3), NOON)
    assert before == after


numbers = st.integers(0, 6)
events = st.one_of(
    st.builds(intent, numbers),
    st.builds(intent, numbers),
    st.builds(completion, numbers),
    st.builds(change, st.sampled_from(["site", "user:*"]), st.integers(0, 60), numbers),
    st.builds(stop, numbers),
    st.builds(approve, numbers, st.sampled_from(["ada", "bob", "eve"])),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(events, max_size=40), st.integers(0, 40), st.sampled_from([1_000, DAY // 3]))
def test_snapshot_and_tail_are_worth_the_whole_log(
    script: list[Event], crash: int, pause: int
) -> None:
    kept = admission.IDS_KEPT
    admission.IDS_KEPT = 7
    try:
        leaves, written = log_of(script, pause)
        whole = Admission(CALENDAR)
        replay(whole, leaves)
        assert whole == written
        at = min(crash, len(leaves))
        before = Admission(CALENDAR)
        replay(before, leaves[:at])
        again = Admission.from_bytes(before.to_bytes(), CALENDAR)
        oldest = max(0, at - 7)
        recall(again, leaves[oldest:at], oldest)
        assert again == before
        replay(again, leaves[at:])
        assert again == whole
    finally:
        admission.IDS_KEPT = kept


LEAVES, _ = log_of([change("site", 25), intent(1), intent(2), completion(1), completion(2)])


@pytest.mark.parametrize(
    ("leaves", "message"),
    [
        pytest.param(LEAVES[1:], "record 0 is not at its place", id="first one missing"),
        pytest.param([*LEAVES[:2], *LEAVES[3:]], "record 2 is not at", id="one missing"),
        pytest.param([*LEAVES[:2], LEAVES[1]], "record 2 is not at", id="one twice"),
        pytest.param(
            [*LEAVES[:3], leaf_text(encode(completion(9)), 3, (NOON, 1), (b"b", 1))],
            "record 3: request .* is not open", id="end without intent",
        ),
        pytest.param(
            [*LEAVES[:3], leaf_text(encode(intent(3)), 3, (NOON, 1), (b"b", 1))],
            "record 3: budget site would be passed", id="past a hard limit",
        ),
        pytest.param(
            [*LEAVES, leaf_text(encode(intent(1)), 5, (NOON, 1), (b"b", 1))],
            "record 5 is not at its place", id="an id twice",
        ),
    ],
)  # fmt: skip
def test_a_log_that_the_recorder_would_not_have_written_is_refused(
    leaves: list[bytes], message: str
) -> None:
    with pytest.raises(VerificationError, match=message):
        replay(Admission(CALENDAR), leaves)


@pytest.mark.parametrize("leaf", [b"", b"{}", b"\xff", LEAVES[0][:-1]])
def test_what_is_no_leaf_is_refused(leaf: bytes) -> None:
    with pytest.raises(FormatError, match="not a leaf"):
        parse_stored(leaf)
    with pytest.raises(FormatError, match="not a leaf"):
        replay(Admission(CALENDAR), [leaf])


def test_ids_are_recalled_from_their_own_places_only() -> None:
    with pytest.raises(FormatError, match="not at its place"):
        recall(Admission(CALENDAR), LEAVES[1:], 0)
