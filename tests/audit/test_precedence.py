import pytest

from appliance.audit.event import FACTS, Event, Kind, fact
from appliance.audit.journal import LEAVES_MAX
from appliance.audit.precedence import (
    GIB,
    TERMINAL_BYTES,
    Level,
    Rank,
    UnavailableError,
    check_queue,
    check_room,
    level_of,
    rank_of,
)
from tests.recording import completion, intent

ID = "event-0000000001"
PLENTY_OF_ROOM = 1 << 30


def of(kind: Kind) -> Event:
    return fact(kind, "ada", ID)


@pytest.mark.parametrize(
    ("event", "rank"),
    [
        (completion(1), Rank.TERMINAL),
        (intent(1), Rank.INTENT),
        (of(Kind.RAG_RETRIEVE), Rank.INTENT),
        (of(Kind.TOOL_CALL), Rank.INTENT),
        (of(Kind.TOOL_RESULT), Rank.ADMIN),
        (of(Kind.AUDIT_ANCHOR), Rank.ADMIN),
        (of(Kind.SERVICE_STOP), Rank.ADMIN),
        (of(Kind.KEY_REVOKE), Rank.ADMIN),
        (of(Kind.AUTH_LOGIN), Rank.ADMIN),
        (of(Kind.AUTH_DENIED), Rank.REFUSAL),
        (of(Kind.AUTHZ_DENIED), Rank.REFUSAL),
    ],
)
def test_each_event_has_its_rank(event: Event, rank: Rank) -> None:
    assert rank_of(event) is rank


@pytest.mark.parametrize("kind", list(FACTS))
def test_every_fact_has_a_rank(kind: Kind) -> None:
    assert rank_of(of(kind)) > Rank.TERMINAL


def admits(event: Event, waiting: int) -> bool:
    try:
        check_queue(event, waiting)
    except UnavailableError:
        return False
    return True


def test_a_filling_queue_refuses_refusals_first_and_ends_last() -> None:
    events = [of(Kind.AUTHZ_DENIED), intent(1), of(Kind.SERVICE_STOP), completion(1)]
    firsts = [
        next(n for n in range(LEAVES_MAX + 1) if not admits(event, n)) for event in events
    ]
    assert firsts == sorted(set(firsts))
    assert firsts[-1] == LEAVES_MAX


@pytest.mark.parametrize(
    ("free", "total", "level"),
    [
        pytest.param(21, 100, Level.PLENTY, id="a fifth and more"),
        pytest.param(19, 100, Level.WARN, id="less than a fifth"),
        pytest.param(9, 100, Level.NO_MODELS, id="less than a tenth"),
        pytest.param(4, 100, Level.RESERVED, id="the last twentieth"),
        pytest.param(0, 100, Level.RESERVED, id="nothing"),
        pytest.param(5 * GIB, 1000 * GIB, Level.PLENTY, id="large disk, enough for months"),
        pytest.param(3 * GIB, 1000 * GIB, Level.WARN, id="large disk, warning"),
        pytest.param(3 * GIB // 2, 1000 * GIB, Level.NO_MODELS, id="large disk, no models"),
        pytest.param(GIB // 2, 1000 * GIB, Level.RESERVED, id="large disk, reserved"),
    ],
)
def test_the_level_of_the_disk(free: int, total: int, level: Level) -> None:
    assert level_of(free, total) is level


@pytest.mark.parametrize(
    ("event", "refused_from"),
    [
        pytest.param(intent(1), Level.NO_MODELS, id="intent"),
        pytest.param(of(Kind.RAG_INGEST), Level.RESERVED, id="documents"),
        pytest.param(of(Kind.AUTHZ_DENIED), Level.RESERVED, id="refusal"),
        pytest.param(of(Kind.SERVICE_STOP), None, id="administration"),
        pytest.param(of(Kind.AUDIT_EXPORT), None, id="audit"),
        pytest.param(completion(1), None, id="end of a request"),
    ],
)
def test_a_filling_disk_keeps_room_for_what_matters(
    event: Event, refused_from: Level | None
) -> None:
    for level in Level:
        if refused_from is not None and level >= refused_from:
            with pytest.raises(UnavailableError, match="disk"):
                check_room(event, level, PLENTY_OF_ROOM, 0)
        else:
            check_room(event, level, PLENTY_OF_ROOM, 0)


def test_an_intent_needs_room_for_every_end_that_is_to_come() -> None:
    check_room(intent(1), Level.PLENTY, 12 * TERMINAL_BYTES, 10)
    with pytest.raises(UnavailableError, match="end of the request"):
        check_room(intent(1), Level.PLENTY, 12 * TERMINAL_BYTES - 1, 10)
    check_room(completion(1), Level.PLENTY, 0, 10)
