"""The worker's part of an export: written, packed, recorded, gone on with, let go."""

import asyncio
import tarfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from appliance.audit.event import Event, Fact
from appliance.audit.exported import verify
from appliance.audit.exporting import store, writing
from appliance.audit.exporting.store import Export, Wish
from appliance.audit.exporting.writing import Progress, Writing, archive_of
from appliance.audit.volume import VERIFIER_KEY
from tests.audit.exporting.test_store import ONE, as_person
from tests.audit.logs import VERIFIER_KEYS, exchanges, leaves, publish

COUNT = 40


class Recorder:
    """What was recorded."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def append(self, event: Event) -> None:
        self.events.append(event)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    publish(tmp_path, leaves(exchanges(COUNT)))
    (tmp_path / "log" / VERIFIER_KEY).write_text(VERIFIER_KEYS + "\n")
    return tmp_path / "log"


def ask(console: str, first: int = 0, last: int = 2 * COUNT) -> None:
    wish = Wish(ONE, first, last, ("jsonl", "csv"), "Usage interne", "Atelier")
    as_person(console, "ines", lambda conn: store.ask(conn, "ines", wish))


def state(console: str) -> Export:
    found = as_person(console, "ines", lambda conn: store.find(conn, ONE))
    assert found is not None
    return found


def written(worker: str, log: Path, out: Path, *, expire: bool = False) -> Recorder:
    """Let a worker write what waits."""
    recorder = Recorder()

    async def run() -> None:
        async with AsyncConnectionPool(worker, open=False, min_size=1) as pool:
            one = Writing(pool, recorder, log, out)  # type: ignore[arg-type]
            while await one.write_next():
                pass
            if expire:
                await one.expire()

    asyncio.run(run())
    return recorder


def test_what_was_asked_for_is_written_packed_recorded_and_verifies(
    console_database: str, worker_database: str, log: Path, tmp_path: Path
) -> None:
    ask(console_database)
    recorder = written(worker_database, log, tmp_path / "out")
    done = state(console_database)
    archive = archive_of(tmp_path / "out", ONE)

    assert done.state == "done"
    assert done.written == done.total == 2 * COUNT + 1
    assert done.size == archive.stat().st_size
    assert [path.name for path in (tmp_path / "out").iterdir()] == [archive.name]
    (event,) = recorder.events
    assert isinstance(event, Fact)
    assert (event.actor, event.data["state"], event.data["sums"]) == ("ines", "done", done.sums)

    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "taken", filter="data")
    (tmp_path / "keys").write_text(VERIFIER_KEYS + "\n")
    folder = tmp_path / "taken" / (done.name or "")
    code, text, _ = verify(str(folder), "--key", str(tmp_path / "keys"), "--language", "fr")
    assert code in (0, 3, 4), text  # never anchored, and no heartbeat: whole all the same


def test_an_export_that_cannot_be_made_says_why_and_leaves_nothing(
    console_database: str, worker_database: str, log: Path, tmp_path: Path
) -> None:
    ask(console_database, last=9_999)
    recorder = written(worker_database, log, tmp_path / "out")
    assert state(console_database).state == "failed"
    assert state(console_database).problem == "CM-JRN-25"
    assert recorder.events == []
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_said(
    console_database: str, worker_database: str, log: Path, tmp_path: Path
) -> None:
    ask(console_database)
    (tmp_path / "out").write_text("no folder")
    written(worker_database, log, tmp_path / "out")
    assert state(console_database).problem == "CM-JRN-34"


def test_an_export_that_was_cut_goes_on(
    console_database: str, worker_database: str, log: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    ask(console_database)

    def cut(*_: object) -> Callable[..., None]:
        raise SystemExit  # as the worker dies between writing and packing

    monkeypatch.setattr(writing, "_pack", cut)
    with pytest.raises(SystemExit):
        written(worker_database, log, tmp_path / "out")
    assert state(console_database).state == "waiting"
    monkeypatch.undo()
    written(worker_database, log, tmp_path / "out")
    assert state(console_database).state == "done"


def test_a_worker_that_ends_stops_writing() -> None:
    progress = Progress()
    progress(5, 10)
    progress.stopped = True
    with pytest.raises(InterruptedError):
        progress(6, 10)
    assert progress.done == 6


def test_an_export_is_let_go_after_a_week(
    console_database: str, worker_database: str, log: Path, tmp_path: Path, server: str
) -> None:
    ask(console_database)
    written(worker_database, log, tmp_path / "out", expire=True)
    assert archive_of(tmp_path / "out", ONE).exists()
    with psycopg.connect(server, dbname="casemate_test") as conn:
        conn.execute("UPDATE audit.export SET done_at = now() - interval '8 days'")
    written(worker_database, log, tmp_path / "out", expire=True)
    assert not archive_of(tmp_path / "out", ONE).exists()
    assert state(console_database).state == "gone"
