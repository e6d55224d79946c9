import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.audit import journal
from appliance.audit.event import Kind, encode, fact
from appliance.audit.precedence import TERMINAL_BYTES, Level, UnavailableError
from appliance.audit.tree import leaf_hash
from appliance.errors import ApplianceError, FormatError
from appliance.ledger.admission import LifecycleError
from appliance.settings import RecorderSettings
from tests.audit.parts import NOON, UID, Parts, leaves_of, opened
from tests.recording import completion, intent, new_log

STEP = Kind.CLOCK_STEP


@pytest.fixture
def parts(recorder_settings: RecorderSettings) -> Iterator[Parts]:
    with opened(recorder_settings) as parts:
        yield parts


def kinds(settings: RecorderSettings) -> list[str]:
    return [encode(leaf.event).split(b'"type":"casemate.')[1].split(b'"')[0].decode()
            for leaf in leaves_of(settings)]  # fmt: skip


def test_a_leaf_says_who_when_and_where(
    parts: Parts, recorder_settings: RecorderSettings
) -> None:
    parts.append(intent(1), uid=1000)
    parts.clock.run(0.5)
    parts.append(completion(1), uid=1001)
    first, second = leaves_of(recorder_settings)
    assert (first.index, first.uid, first.event) == (0, 1000, intent(1))
    assert (second.index, second.uid, second.event) == (1, 1001, completion(1))
    assert first.at == NOON
    assert (second.at - first.at, second.mono - first.mono) == (500_000, 500_000)
    assert first.boot == parts.writer.boot.decode()


def test_an_event_sent_again_has_its_first_place_and_hash(parts: Parts) -> None:
    writer = parts.writer
    first = writer.append(intent(1), 1000)
    assert writer.append(intent(1), 1000) == first
    writer.commit()
    assert writer.append(intent(1), 2000) == first
    parts.publish()
    assert writer.append(intent(1), 1000) == first
    assert parts.volume.size == 1
    assert first == (0, leaf_hash(parts.publisher.entry(0)))


def test_the_tree_is_that_of_the_leaves(parts: Parts) -> None:
    hashes = [parts.writer.append(intent(n), 1)[1] for n in range(5)]
    parts.publish()
    assert [leaf_hash(parts.publisher.entry(n)) for n in range(5)] == hashes
    assert parts.writer.frontier.root() == parts.publisher.head.root


REFUSED = [
    pytest.param(intent(2, flags=["f" * 200] * 30), None, FormatError, id="too long"),
    pytest.param(intent(2, id="é" * 16), None, FormatError, id="id of other letters"),
    pytest.param(intent(2, request="é" * 16), None, FormatError, id="request id"),
    pytest.param(intent(1, label=2), None, LifecycleError, id="id of another event"),
    pytest.param(intent(9, request=intent(1).request), None, LifecycleError, id="open already"),
    pytest.param(completion(5), None, LifecycleError, id="end without intent"),
    pytest.param(completion(1, content="sealed"), None, FormatError, id="content without key"),
    pytest.param(completion(1), b"key", FormatError, id="key without content"),
    pytest.param(intent(2), b"key", FormatError, id="key with an intent"),
]


@pytest.mark.parametrize(("event", "sealed", "error"), REFUSED)
def test_a_refusal_leaves_no_trace(
    parts: Parts, event: object, sealed: bytes | None, error: type[ApplianceError]
) -> None:
    parts.append(intent(1))
    before = parts.writer.admission.to_bytes(), parts.writer.frontier.to_bytes()
    with pytest.raises(error):
        parts.writer.append(event, 1, sealed)  # type: ignore[arg-type]
    parts.writer.commit()
    assert (parts.writer.admission.to_bytes(), parts.writer.frontier.to_bytes()) == before
    assert parts.volume.size == 1
    parts.append(completion(1))


def test_a_sealed_key_is_kept_under_the_index_of_the_end(parts: Parts) -> None:
    parts.append(intent(1))
    index, _ = parts.writer.append(completion(1, content="sealed"), 1, b"sealed")
    parts.writer.append(completion(1, content="sealed"), 1, b"sealed")  # sent again
    parts.writer.commit()
    assert parts.volume.sealed.read(index) == b"sealed"


def test_a_full_queue_refuses_by_rank_and_an_end_makes_itself_room(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = [fact(Kind.AUTHZ_DENIED, "ada", f"denied-{n:012}") for n in range(2048)]
    found = [fact(Kind.RAG_RETRIEVE, "ada", f"passages-{n:012}") for n in range(2048)]
    stops = [fact(Kind.AUDIT_SEARCH, "ada", f"search-{n:012}") for n in range(2048)]
    parts.append(intent(1))
    writer = parts.writer
    with pytest.raises(UnavailableError, match="waiting"):
        [writer.append(event, 1) for event in denied]
    writer.append(intent(2), 1)
    with pytest.raises(UnavailableError, match="waiting"):
        [writer.append(event, 1) for event in found]
    with pytest.raises(UnavailableError, match="waiting"):
        writer.append(intent(3), 1)
    writer.append(stops[0], 1)
    with pytest.raises(UnavailableError, match="waiting"):
        [writer.append(event, 1) for event in stops]
    monkeypatch.setattr(journal, "LEAVES_MAX", writer.waiting)
    writer.append(completion(1), 1)
    assert writer.waiting == 1  # the others are durable


def test_a_filling_disk_refuses_intents_and_still_ends_requests(parts: Parts) -> None:
    parts.append(intent(1))
    parts.writer.level = Level.RESERVED
    with pytest.raises(UnavailableError, match="disk"):
        parts.append(intent(2))
    parts.append(completion(1), fact(Kind.SERVICE_STOP, "rssi", "stop-00000000001"))


def test_room_for_every_end_is_kept_at_admission(tmp_path: Path) -> None:
    settings = new_log(tmp_path, segment_bytes=1 << 20)
    with opened(settings) as parts:
        size = parts.volume.room
        number = 0
        while parts.volume.room >= (len(parts.writer.admission.open) + 2) * TERMINAL_BYTES:
            parts.append(intent(number))
            number += 1
        with pytest.raises(UnavailableError, match="end of the request"):
            parts.append(intent(number))
        for ended in range(number):
            parts.append(completion(ended, flags=["f" * 180] * 12))
        assert parts.volume.room > 0
        assert size == settings.segment_bytes - journal.HEADER_BYTES
    shutil.rmtree(settings.socket.parent)


def test_a_lost_request_counts_all_that_it_reserved(
    parts: Parts, recorder_settings: RecorderSettings
) -> None:
    parts.append(intent(1, reserve={"site": 10, "user:ada": 10}, label=2))
    parts.writer.end_lost(intent(1).request)
    parts.writer.end_lost("request-that-is-not-open")
    parts.writer.commit()
    ending = leaves_of(recorder_settings)[-1]
    found = [getattr(ending.event, name) for name in ("finish", "request", "actor", "label")]
    assert found == ["gateway_lost", intent(1).request, "ada", 2]
    assert ending.uid == UID
    standing = parts.writer.admission.standing("user:ada", NOON)
    assert (standing.used, standing.reserved) == (10, 0)
    with pytest.raises(LifecycleError):
        parts.append(completion(1))


@pytest.mark.parametrize("wall", [-3600, -1.5, 1.5, 86400 * 365 * 50])
def test_a_step_of_the_clock_is_a_leaf_before_the_next_event(
    parts: Parts, recorder_settings: RecorderSettings, wall: float
) -> None:
    parts.append(intent(1))
    parts.clock.run(10, wall=10 + wall)
    parts.append(intent(2))
    parts.clock.run(10)
    parts.append(completion(1))
    leaves = leaves_of(recorder_settings)
    assert kinds(recorder_settings) == [
        "llm.request.v1", "clock.step.v1", "llm.request.v1", "llm.completion.v1",
    ]  # fmt: skip
    data = getattr(leaves[1].event, "data")  # noqa: B009
    assert data["found"] - data["expected"] == round(wall * 1_000_000)
    assert [leaf.index for leaf in leaves] == [0, 1, 2, 3]
    assert leaves[2].at - leaves[0].at == round((10 + wall) * 1_000_000)


def test_a_step_is_a_leaf_also_when_nothing_else_happens(
    parts: Parts, recorder_settings: RecorderSettings
) -> None:
    parts.clock.run(1, wall=-5)
    parts.writer.look_at_clocks()
    parts.writer.look_at_clocks()
    parts.writer.commit()
    assert kinds(recorder_settings) == ["clock.step.v1"]


def test_a_slow_drift_is_followed_without_a_leaf(
    parts: Parts, recorder_settings: RecorderSettings
) -> None:
    for number in range(30):
        parts.clock.run(1, wall=1.1)  # three seconds in all
        parts.writer.look_at_clocks()
        parts.append(intent(number))
    assert set(kinds(recorder_settings)) == {"llm.request.v1"}


def test_a_step_while_the_recorder_was_away_is_noticed_in_the_same_boot(
    recorder_settings: RecorderSettings,
) -> None:
    with opened(recorder_settings) as parts:
        parts.append(intent(1))
    clock = parts.clock
    clock.run(60, wall=60 - 7200)
    with opened(recorder_settings, clock) as parts:
        parts.append(intent(2))
    assert kinds(recorder_settings)[1] == "clock.step.v1"


def test_a_group_larger_than_a_record_becomes_several(
    parts: Parts, recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LEAVES_MAX", 3)
    for number in range(8):
        parts.writer.record(Kind.AUDIT_DEGRADED, number=number)
    parts.writer.commit()
    assert len(leaves_of(recorder_settings)) == 8
