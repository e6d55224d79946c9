from collections.abc import Sequence

import pytest

from appliance.audit.completeness import Finding, Remark, Watch
from appliance.audit.event import FACTS, Event, Kind, Leaf, fact
from tests.audit.logs import completion, event_id, intent

SECOND = 1_000_000
MODEL = "extraits"  # of `intent`


def beat(number: int, requests: int, size: int, *, since: int = 5, every: int = 60) -> Event:
    data: dict[str, str | int] = {
        "every": every, "size": size, "engine_0": MODEL, "requests_0": requests,
        "since_0": since,
    }  # fmt: skip
    made = FACTS[Kind.AUDIT_HEARTBEAT]
    return made(actor="heartbeat", data=data, id=event_id(number, "h"))


def found(events: Sequence[Event], step: int = SECOND) -> list[Finding]:
    watch = Watch()
    leaves = [
        Leaf(at=place * step, boot="b", event=event, index=place, mono=0, uid=0)
        for place, event in enumerate(events)
    ]
    return [finding for leaf in leaves for finding in watch.step(leaf)]


def test_what_engines_ended_had_an_intent() -> None:
    whole: list[Event] = [
        intent(1),
        beat(1, 0, 1),
        completion(1),
        intent(2),
        completion(2),
        beat(2, 2, 5),
    ]
    assert found(whole) == []
    omitted = [*whole[:-1], beat(2, 3, 5)]
    assert found(omitted) == [Finding(Remark.COUNTER, 5)]


def test_each_heartbeat_is_compared_with_the_one_before() -> None:
    events = [beat(1, 7, 0), intent(1), completion(1), beat(2, 8, 3), beat(3, 9, 4)]
    assert found(events) == [Finding(Remark.COUNTER, 4)]
    assert found(events[:-1]) == []


def test_an_engine_that_was_started_again_counts_from_zero() -> None:
    assert found([beat(1, 7, 0), beat(2, 9, 1, since=6)]) == []


def test_what_came_while_the_counts_were_read_is_nobodys_fault() -> None:
    late: list[Event] = [intent(1), beat(1, 0, 1), beat(2, 1, 2)]
    assert found(late) == []  # it was open when the first count was read
    # Begun and ended after the size was read, and before the heartbeat was in the log.
    raced: list[Event] = [intent(1), completion(1), beat(1, 0, 0), beat(2, 1, 3)]
    assert found(raced) == []
    before: list[Event] = [intent(1), completion(1), beat(1, 0, 2), beat(2, 1, 3)]
    assert found(before) == [Finding(Remark.COUNTER, 3)]


def test_models_are_counted_one_by_one() -> None:
    other = intent(2)
    other.model = "mistral"
    events = [beat(1, 0, 0), other, intent(1), beat(2, 2, 3)]
    assert found(events) == [Finding(Remark.COUNTER, 3)]


@pytest.mark.parametrize("gone", ["engine_0", "requests_0", "since_0", "size"])
def test_a_count_that_could_not_be_read_says_nothing(gone: str) -> None:
    event = beat(2, 9, 1)
    del event.data[gone]  # type: ignore[union-attr]
    assert found([beat(1, 0, 0), event]) == []


def test_a_silence_is_found_once_heartbeats_are_expected() -> None:
    login = [fact(Kind.AUTH_LOGIN, "ada", event_id(n, "l")) for n in range(2)]
    assert found(login, step=1000 * SECOND) == []
    beats = [beat(1, 0, 0, every=60), beat(2, 0, 1, every=60)]
    assert found(beats, step=180 * SECOND) == []
    assert found(beats, step=181 * SECOND) == [Finding(Remark.GAP, 1)]


def test_a_silence_that_was_announced_is_none() -> None:
    stop = fact(Kind.AUDIT_STOP, "recorder", "s" * 20)
    start = fact(Kind.AUDIT_START, "recorder", "t" * 20)
    assert found([beat(1, 0, 0), stop, start], step=170 * SECOND) == []
    watch = [beat(1, 0, 0), stop, start, beat(2, 0, 3)]
    assert found(watch, step=900 * SECOND) == [Finding(Remark.GAP, 1), Finding(Remark.GAP, 3)]


def _of(kind: Kind, **data: str | int) -> Event:
    return FACTS[kind](actor="recorder", data=data, id=event_id(1, "x"))


@pytest.mark.parametrize(
    ("event", "remarks"),
    [
        (_of(Kind.AUDIT_EPOCH), [Remark.EPOCH]),
        (_of(Kind.AUDIT_DEGRADED, disk="reserved"), [Remark.DEGRADED]),
        (_of(Kind.AUDIT_DEGRADED, disk="warn"), []),
        (_of(Kind.AUDIT_DEGRADED, disk="plenty"), []),
        (_of(Kind.AUDIT_LOSS, count=3), [Remark.LOSS]),
        (_of(Kind.AUDIT_LOSS, count=0), []),
        (_of(Kind.AUTH_LOGIN), []),
    ],
    ids=str,
)
def test_harms_that_the_log_tells_of_are_remarked(event: Event, remarks: list[Remark]) -> None:
    assert [one.remark for one in found([event])] == remarks


def test_the_past_is_remembered_as_far_as_a_heartbeat_needs_it() -> None:
    many: list[Event] = [event for n in range(900) for event in (intent(n), completion(n))]
    assert found([beat(1, 0, 0), *many, beat(2, 900, 1)]) == []
    assert found([beat(1, 0, 0), *many, beat(2, 901, 1)]) == [Finding(Remark.COUNTER, 1801)]
