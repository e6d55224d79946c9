"""The forwarder as it runs: a real recorder, a real collector, and what goes wrong between."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.audit.checkpoint import open_checkpoint
from appliance.audit.client import RecorderClient, RefusedError
from appliance.audit.event import Event, Fact, Kind, fact
from appliance.audit.forward import forwarder as module
from appliance.audit.forward.collector import Place
from appliance.audit.forward.cursor import Cursor, CursorError
from appliance.audit.forward.delivery import CURSOR, Delivery
from appliance.audit.forward.forwarder import MEASURES, Forwarder, run
from appliance.audit.forward.syslog import Voice
from appliance.audit.frame import State
from appliance.audit.key import Signer
from appliance.audit.proof import Proof
from appliance.settings import RecorderSettings, SettingsError
from appliance.trail_settings import ForwarderSettings
from tests.audit import logs
from tests.audit.forward.collectors import NAME, Authority, Collector, collecting
from tests.audit.parts import leaves_of
from tests.recording import ORIGIN, SEED, new_log, running

ROOT = Path(__file__).parents[3]
HOST = "casemate.site.internal"
_MAIN = """
import sys
from pathlib import Path
from appliance.audit.forward.commands import forward
forward(Path(sys.argv[1]))
"""


def settings_of(
    folder: Path, collector: Collector, authority: Authority, **changes: Any
) -> ForwarderSettings:
    (folder / "state").mkdir(exist_ok=True)
    certificate, key = authority.member(HOST)
    values: dict[str, Any] = {
        "recorder": folder / "socket", "state": folder / "state", "host": HOST,
        "collector": NAME, "port": collector.port, "authority": authority.certificate,
        "certificate": certificate, "key": key, "patience": 3, "settle_seconds": 0.5,
        "anchor_seconds": 0,
    }  # fmt: skip
    return ForwarderSettings(**(values | changes))


def file_of(settings: ForwarderSettings, folder: Path) -> Path:
    path = folder / "forwarder.toml"
    lines = [
        f"{name} = {value if isinstance(value, int | float) else json.dumps(str(value))}"
        for name, value in settings.model_dump().items()
    ]
    path.write_text("\n".join([*lines, ""]))
    return path


@contextmanager
def forwarding(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command until the block ends, then kill it."""
    argv = [sys.executable, "-c", _MAIN, str(path)]
    process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def write_day(settings: RecorderSettings, count: int, start: int = 0) -> None:
    """Record as many events, of several lengths."""

    async def work() -> None:
        client = RecorderClient(settings.socket, "gateway-0", patience=60)
        await client.connect()
        for at in range(start, start + count, 2_000):
            await client.append_all(
                [
                    fact(
                        Kind.CONFIG_CHANGE, "rssi", f"config-{n:016}", n=n, text="é" * (n % 190)
                    )
                    for n in range(at, min(at + 2_000, start + count))
                ]
            )
        await client.close()

    asyncio.run(work())


def test_after_a_day_without_collector_all_lines_come_once_and_in_order(
    tmp_path: Path,
) -> None:
    with (
        collecting(tmp_path) as (collector, authority),
        running(recorder := new_log(tmp_path)),
    ):
        path = file_of(
            settings_of(tmp_path, collector, authority, recorder=recorder.socket), tmp_path
        )
        with forwarding(path) as process:
            write_day(recorder, 500)
            collector.has(500)
            collector.until(lambda: cursor_of(tmp_path).received >= 501)
            collector.away()
            write_day(recorder, 20_000, 500)
            collector.listen()
            collector.has(20_500, 60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        stored = [leaf.text() for leaf in leaves_of(recorder)]
        assert collector.leaves() == list(range(len(stored)))
        assert collector.kept() == dict(enumerate(stored))
        assert cursor_of(tmp_path).received == len(stored)
        assert cursor_of(tmp_path).lost == 0
        notes = [json.loads(line.body)["note"] for line in collector.lines
                 if line.values["type"] == "checkpoint"]  # fmt: skip
        head = open_checkpoint(notes[-1].encode(), Signer(ORIGIN, SEED).verifier)
        assert 501 < head.size <= len(stored)


def cursor_of(folder: Path) -> Cursor:
    try:
        return Cursor.parse((folder / "state" / CURSOR).read_bytes())
    except FileNotFoundError:
        return Cursor("")


def test_killed_again_and_again_nothing_is_missing_and_what_came_twice_says_so(
    tmp_path: Path,
) -> None:
    chance = random.Random(5)  # noqa: S311 - when to kill is no secret
    with (
        collecting(tmp_path) as (collector, authority),
        running(recorder := new_log(tmp_path)),
    ):
        path = file_of(
            settings_of(tmp_path, collector, authority, recorder=recorder.socket), tmp_path
        )
        write_day(recorder, 6_000)
        for _ in range(3):
            before = len(collector.lines)
            with forwarding(path):
                collector.until(lambda: len(collector.lines) > before)  # noqa: B023
                time.sleep(chance.random() * 0.1)
        write_day(recorder, 1_000, 6_000)
        with forwarding(path):
            collector.has(7_000)
        stored = [leaf.text() for leaf in leaves_of(recorder)]
        assert collector.kept() == dict(enumerate(stored))
        values = [v for line in collector.lines if "idx" in (v := line.values)]
        fresh = [int(v["idx"]) for v in values if "again" not in v]
        assert fresh == sorted(set(fresh))
        assert len(values) > len(stored)  # else nothing was proved: no kill cost a line


# With a log that a test holds in its hands.


class Log:
    """Stands for the client of a recorder."""

    def __init__(self, folder: Path, count: int, origin: str = logs.ORIGIN) -> None:
        self.leaves = [
            logs.leaf(n, fact(Kind.CONFIG_CHANGE, "rssi", f"config-{n:016}"))
            for n in range(count)
        ]
        self.kept = 0  # first leaf that was not pruned
        self.told: list[Fact] = []
        self._note = logs.publish(folder, self.leaves).note
        self.origin = origin

    async def status(self) -> State:
        return State(
            size=len(self.leaves), root=bytes(32), checkpoint_size=len(self.leaves),
            checkpoint_at=0, stopped=False, stopped_by="", approvals=[], open=0, degraded="",
            budgets={},
        )  # fmt: skip

    async def read(self, start: int, limit: int) -> list[bytes]:
        return self.leaves[max(start, self.kept) :][:limit]

    async def prove(self, index: int) -> tuple[bytes, Proof]:
        return self.leaves[index], Proof(index, (), self._note)

    async def append(self, event: Event) -> None:
        assert isinstance(event, Fact)
        if event.id not in [known.id for known in self.told]:
            self.told.append(event)

    def told_of(self, kind: Kind) -> list[dict[str, str | int]]:
        return [dict(event.data) for event in self.told if event.kind is kind]


class Stage:
    """A forwarder in the process of the test."""

    def __init__(self, folder: Path, collector: Collector, authority: Authority) -> None:
        self.folder, self.collector, self.authority = folder, collector, authority
        (folder / "site").mkdir()

    def log(self, count: int) -> Log:
        return Log(self.folder / "site", count)

    def forward(self, log: Log, until: Callable[[], bool], **changes: Any) -> None:
        """Forward until something is true, then end as SIGTERM does."""
        settings = settings_of(self.folder, self.collector, self.authority, **changes)
        files = settings.authority, settings.certificate, settings.key
        place = Place.of((NAME, settings.port), files, settings.patience)
        voice = Voice(HOST, "", settings.enterprise)

        async def work() -> None:
            delivery = Delivery(place, settings.state, voice, settings.settle_seconds)
            forwarder = Forwarder(settings, log, delivery)  # type: ignore[arg-type]
            task = asyncio.create_task(forwarder.forward())
            deadline = time.monotonic() + 20
            while not until() and not task.done():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.02)
            forwarder.end()
            try:
                await task
            finally:
                delivery.drop()

        asyncio.run(work())


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with collecting(tmp_path) as (collector, authority):
        yield Stage(tmp_path, collector, authority)


def sent(stage: Stage, index: int) -> Callable[[], bool]:
    return lambda: index in stage.collector.leaves()


def test_what_was_pruned_before_it_was_sent_is_counted_once_in_the_log(stage: Stage) -> None:
    log = stage.log(400)
    log.kept = 150
    for _ in range(2):
        stage.forward(log, sent(stage, 399))
    assert stage.collector.leaves() == list(range(150, 400))
    assert log.told_of(Kind.AUDIT_LOSS) == [
        {"count": 150, "end": 150, "first": 0, "log": logs.ORIGIN, "reason": "pruned",
         "to": NAME},
    ]  # fmt: skip
    assert cursor_of(stage.folder).lost == 150


def test_what_is_pruned_while_it_catches_up_is_settled_first_and_counted_exactly(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ", 50)
    log = stage.log(400)
    read = log.read

    async def pruned(start: int, limit: int) -> list[bytes]:
        log.kept = 200 if start >= 100 else 0
        return await read(start, limit)

    log.read = pruned  # type: ignore[method-assign]
    stage.forward(log, sent(stage, 399), settle_seconds=600)
    assert stage.collector.leaves() == [*range(100), *range(200, 400)]
    (loss,) = log.told_of(Kind.AUDIT_LOSS)
    assert (loss["first"], loss["end"], loss["count"]) == (100, 200, 100)


def test_what_stayed_in_the_log_before_a_new_epoch_is_counted(stage: Stage) -> None:
    state = stage.folder / "state"
    state.mkdir()
    old = Cursor("audit.example/before", received=90, claimed=120, seen=130)
    (state / CURSOR).write_bytes(old.to_bytes())
    log = stage.log(20)
    stage.forward(log, sent(stage, 19))
    assert log.told_of(Kind.AUDIT_LOSS) == [
        {"count": 40, "end": 130, "first": 90, "log": "audit.example/before",
         "reason": "epoch", "to": NAME},
    ]  # fmt: skip
    assert stage.collector.leaves() == list(range(20))
    assert cursor_of(stage.folder) == Cursor(logs.ORIGIN, 20, 20, 20, 40)


def test_a_loss_is_in_the_log_that_the_recorder_keeps(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    old = Cursor("audit.example/before", received=90, claimed=120, seen=130)
    (tmp_path / "state" / CURSOR).write_bytes(old.to_bytes())
    recorder = new_log(tmp_path)
    with collecting(tmp_path) as (collector, authority), running(recorder):
        changes = {"recorder": recorder.socket}
        path = file_of(settings_of(tmp_path, collector, authority, **changes), tmp_path)
        with forwarding(path):
            collector.until(lambda: Kind.AUDIT_LOSS in kinds(leaves_of(recorder)))


def test_a_log_that_was_brought_back_is_refused(stage: Stage) -> None:
    stage.forward(stage.log(30), sent(stage, 29))
    other = stage.folder / "other"
    other.mkdir()
    with pytest.raises(CursorError, match="20 records, the collector received 30"):
        stage.forward(Log(other, 20), lambda: False)
    assert stage.collector.leaves() == list(range(30))


def test_a_collector_away_for_long_is_an_event_and_so_is_its_return(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.05)
    monkeypatch.setattr(module, "STEADY", 0.2)
    log, collector = stage.log(10), stage.collector
    collector.away()

    def restored() -> bool:
        if log.told_of(Kind.SERVICE_DEGRADED) and collector.is_away:
            figures = measures(stage)
            assert time.time() - figures["away_since_seconds"] < 20
            collector.listen()
        return bool(log.told_of(Kind.SERVICE_RESTORED))

    stage.forward(log, restored, alarm_seconds=1)
    assert log.told_of(Kind.SERVICE_DEGRADED) == [{"name": NAME, "part": "collector"}]
    assert log.told_of(Kind.SERVICE_RESTORED) == [{"name": NAME, "part": "collector"}]
    assert collector.leaves() == list(range(10))
    assert measures(stage)["away_since_seconds"] == 0


def measures(stage: Stage) -> dict[str, int]:
    lines = (stage.folder / "state" / MEASURES).read_text().splitlines()
    pairs = [line.split() for line in lines]
    return {name.removeprefix("casemate_forwarder_"): int(value) for name, value in pairs}


def test_a_short_absence_is_no_event(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.05)
    log = stage.log(10)
    stage.collector.away()
    begun = time.monotonic()

    def back() -> bool:
        if time.monotonic() - begun > 0.4 and stage.collector.is_away:
            stage.collector.listen()
        return sent(stage, 9)()

    stage.forward(log, back)
    assert log.told == []


def test_a_checkpoint_that_the_collector_read_is_an_anchor(stage: Stage) -> None:
    log = stage.log(10)
    stage.forward(log, lambda: bool(log.told_of(Kind.AUDIT_ANCHOR)), anchor_seconds=3_600)
    (anchor,) = log.told_of(Kind.AUDIT_ANCHOR)
    assert (anchor["kind"], anchor["name"], anchor["size"]) == ("syslog", NAME, 10)
    assert abs(int(anchor["at"]) - time.time()) < 30
    assert len(str(anchor["digest"])) == 44


def test_a_recorder_that_does_not_know_this_user_is_the_end(tmp_path: Path) -> None:
    with collecting(tmp_path) as (collector, authority):
        uid = {os.getuid() + 1: frozenset({"read"})}
        with running(recorder := new_log(tmp_path, clients=uid)):
            settings = settings_of(tmp_path, collector, authority, recorder=recorder.socket)
            with pytest.raises(RefusedError, match="not in the table"):
                run(settings)
        with pytest.raises(SettingsError, match="certificates of the collector"):
            run(settings.model_copy(update={"authority": tmp_path / "absent"}))


def test_the_rights_that_the_site_gives_are_enough(tmp_path: Path) -> None:
    may = frozenset({"read", Kind.AUDIT_LOSS, Kind.AUDIT_ANCHOR})
    recorder = new_log(tmp_path, clients={os.getuid(): may})
    with collecting(tmp_path) as (collector, authority), running(recorder):
        changes = {"recorder": recorder.socket, "anchor_seconds": 1}
        path = file_of(settings_of(tmp_path, collector, authority, **changes), tmp_path)
        with forwarding(path):
            collector.until(lambda: Kind.AUDIT_ANCHOR in kinds(leaves_of(recorder)))


def kinds(leaves: Sequence[Any]) -> list[Kind]:
    return [leaf.event.kind for leaf in leaves]
