"""What arrives, what comes again, and what is known of it: against a collector that fails."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.audit.event import Kind, fact
from appliance.audit.forward import delivery as module
from appliance.audit.forward.collector import Place
from appliance.audit.forward.cursor import Cursor, CursorError
from appliance.audit.forward.delivery import CURSOR, Delivery
from appliance.audit.forward.syslog import Voice
from tests.audit import logs
from tests.audit.forward.collectors import NAME, Authority, Collector, collecting

VOICE = Voice("casemate.site.internal", logs.ORIGIN)
COUNT = 3_000
LEAVES = [
    logs.leaf(n, fact(Kind.CONFIG_CHANGE, "rssi", f"config-{n:016}", text="é" * (n % 97)))
    for n in range(COUNT)
]


class Stage:
    """A collector, and a folder in which deliveries go on where the last one ended."""

    def __init__(self, collector: Collector, authority: Authority, folder: Path) -> None:
        self.collector, self.folder = collector, folder
        self._files = authority.certificate, *authority.member(VOICE.host)
        folder.mkdir()

    def delivery(self) -> Delivery:
        """Return what a new process has."""
        place = Place.of((NAME, self.collector.port), self._files, 2)
        made = Delivery(place, self.folder, VOICE, 60)
        if not made.cursor.origin:
            made.begin(Cursor(VOICE.origin), VOICE)
        return made

    @property
    def kept(self) -> Cursor:
        return Cursor.parse((self.folder / CURSOR).read_bytes())


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with collecting(tmp_path) as (collector, authority):
        yield Stage(collector, authority, tmp_path / "state")


def send(delivery: Delivery, end: int, now: float = 0) -> None:
    while delivery.position < end:
        delivery.send(LEAVES[delivery.position : min(end, delivery.position + 256)], COUNT, now)


def send_slowly(delivery: Delivery) -> None:
    for _ in range(20):
        send(delivery, min(COUNT, delivery.position + 256))
        time.sleep(0.02)
        delivery.check()


def test_unbroken_each_leaf_comes_once_and_in_order_through_every_new_connection(
    stage: Stage,
) -> None:
    delivery = stage.delivery()
    delivery.open()
    for end in range(100, COUNT + 1, 100):
        send(delivery, end)
        delivery.settle()
        assert stage.kept.received == end
    assert stage.collector.leaves() == list(range(COUNT))
    assert stage.collector.connections == COUNT // 100 + 1
    assert stage.collector.kept() == dict(enumerate(LEAVES))
    assert not any("again" in line.values for line in stage.collector.lines)
    delivery.drop()


def test_what_may_have_been_sent_is_written_down_before_it_is_sent(stage: Stage) -> None:
    delivery = stage.delivery()
    delivery.open()
    send(delivery, 300)
    assert (stage.kept.received, stage.kept.claimed) == (0, 1_024)
    delivery.drop()


def test_a_collector_that_dies_inside_a_line_gets_all_again_in_order_and_marked(
    stage: Stage,
) -> None:
    delivery = stage.delivery()
    delivery.open()
    send(delivery, 500)
    delivery.settle()

    def die(read: int) -> bool:  # inside a line, and what it had read last is not kept
        if read > 400_000:
            del stage.collector.lines[-37:]
        return read > 400_000

    stage.collector.on_bytes = die
    with pytest.raises(OSError):  # noqa: PT011 - by reset or by pipe
        send_slowly(delivery)
    stage.collector.until(lambda: stage.collector.idle)
    sent, had = delivery.position, len(stage.collector.leaves())
    assert 500 < had < sent + 256
    stage.collector.on_bytes = lambda _: False
    delivery.drop()
    delivery.open()
    send(delivery, COUNT)
    delivery.settle()
    came = stage.collector.leaves()
    assert came == [*range(had), *range(500, COUNT)]
    assert stage.collector.kept() == dict(enumerate(LEAVES))
    marked = [int(v["idx"]) for line in stage.collector.lines if "again" in (v := line.values)]
    assert set(range(500, had)) <= set(marked) <= set(range(500, sent + 256))
    delivery.drop()


def test_what_went_in_a_call_that_failed_is_marked_when_it_goes_again(stage: Stage) -> None:
    delivery = stage.delivery()
    delivery.open()
    link = delivery._connection()
    true_send = link.send

    def half(data: bytes) -> None:
        true_send(data[: len(data) // 2])
        raise BrokenPipeError

    link.send = half  # type: ignore[method-assign]
    with pytest.raises(BrokenPipeError):
        send(delivery, 100)
    stage.collector.until(lambda: len(stage.collector.leaves()) > 20)
    delivery.drop()
    delivery.open()
    send(delivery, 300)
    delivery.settle()
    values = [line.values for line in stage.collector.lines]
    fresh = [int(v["idx"]) for v in values if "again" not in v]
    assert len(fresh) == len(set(fresh))
    delivery.drop()


def test_a_process_that_was_killed_goes_on_and_marks_what_may_have_gone(stage: Stage) -> None:
    first = stage.delivery()
    first.open()
    send(first, 200)
    first.settle()
    send(first, 700)
    first.drop()  # whatever was on its way
    second = stage.delivery()
    assert second.position == 200
    second.open()
    send(second, COUNT)
    second.settle()
    assert stage.collector.kept() == dict(enumerate(LEAVES))
    fresh = [
        int(values["idx"])
        for line in stage.collector.lines
        if "again" not in (values := line.values)
    ]
    assert len(fresh) == len(set(fresh))  # what is not marked was never sent before
    second.drop()


def test_a_collector_that_ended_as_it_left_has_received_nothing(stage: Stage) -> None:
    delivery = stage.delivery()
    delivery.open()
    send(delivery, 100)
    link = delivery._connection()
    true_end = link.end

    def end() -> None:
        true_end()
        stage.collector.away()

    link.end = end  # type: ignore[method-assign]
    with pytest.raises(ConnectionRefusedError):
        delivery.settle()
    assert stage.kept.received == 0
    delivery.drop()


def test_a_collector_that_answers_no_end_is_asked_ever_more_rarely(tmp_path: Path) -> None:
    with collecting(tmp_path, answers=False) as (collector, authority):
        stage = Stage(collector, authority, tmp_path / "state")
        delivery = stage.delivery()
        for patience in (60, 120, 240):
            delivery.open()
            send(delivery, 10, now=1_000)
            assert not delivery.due(1_000 + patience - 1)
            assert delivery.due(1_000 + patience)
            with pytest.raises(OSError, match="EOF"):
                delivery.settle()
            delivery.drop()
        assert stage.kept.received == 0


def test_what_a_window_of_lines_followed_was_read_whatever_is_answered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", 1_000)
    delivery = stage.delivery()
    delivery.open()
    send(delivery, 1_000)
    assert stage.kept.received == 0
    send(delivery, 1_500)
    assert stage.kept.received == 500
    delivery.drop()
    delivery.open()
    assert delivery.position == 500
    send(delivery, 1_500)  # what was sent on another connection counts for nothing
    assert stage.kept.received == 500
    send(delivery, 1_501)
    assert stage.kept.received == 501
    delivery.drop()


def test_nothing_is_due_when_nothing_was_sent(stage: Stage) -> None:
    delivery = stage.delivery()
    delivery.open()
    assert not delivery.due(1e9)
    send(delivery, 1, now=5)
    assert delivery.due(65)
    delivery.settle()
    assert not delivery.due(1e9)
    delivery.drop()


def test_without_a_place_for_the_cursor_nothing_is_sent(stage: Stage) -> None:
    delivery = stage.delivery()
    delivery.open()
    (stage.folder / f"{CURSOR}.new").mkdir()
    with pytest.raises(CursorError, match="directory"):
        send(delivery, 1)
    delivery.settle()
    assert stage.collector.lines == []
    delivery.drop()


def test_a_cursor_that_is_none_is_refused_and_not_begun_anew(stage: Stage) -> None:
    (stage.folder / CURSOR).write_bytes(b"{}")
    with pytest.raises(CursorError, match="not a cursor"):
        stage.delivery()


def test_a_checkpoint_goes_beside_the_leaves(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    note = logs.publish(tmp_path / "site", LEAVES[:7]).note
    delivery = stage.delivery()
    delivery.open()
    send(delivery, 7)
    delivery.tell(note, logs.START)
    assert delivery.checkpoint == (7, note)
    delivery.settle()
    assert stage.collector.lines[-1].values["size"] == "7"
    delivery.open()
    assert delivery.checkpoint == (0, b"")  # of a new connection, none is known to be there
    delivery.drop()


def test_without_a_connection_nothing_is_pretended(stage: Stage) -> None:
    with pytest.raises(RuntimeError):
        stage.delivery().check()
