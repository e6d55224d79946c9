"""Old contents leave, the record of it comes first, and young ones stay."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import psycopg
import pytest
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from appliance.audit.client import RecorderClient, RecorderError, RefusedError
from appliance.errors import FormatError
from appliance.gateway.store import ContentRow, add_content
from appliance.rag import retention
from appliance.rag.ingest import Tools
from appliance.rag.jobs import Desk
from appliance.rag.retention import Ceiling, RetentionError, erase_old
from tests.rag.library import transaction
from tests.rag.parts import recorder, short_folder, until, write_policy
from tests.recording import completion, intent

pytestmark = pytest.mark.process
DAY = 86_400  # seconds
AGES = {"ancient": 900, "old": 370, "year": 340, "young": 300}  # days, in the order of the log
Json = dict[str, Any]
Found = TypeVar("Found")


def row(name: str, days: float, record: int) -> ContentRow:
    return ContentRow(
        request=name.ljust(16, "-"), record=record, owner="alice", key="", conversation=None,
        at=time.time() - days * DAY, model="m", label=1, collections=(), outcome="",
        question=b"q", answer=b"a", passages=[], citations=[],
    )  # fmt: skip


@dataclass
class Kept:
    """A history with rows of several ages, and the log that erasures are recorded in."""

    worker: str
    reader: str  # connection string of who sees each row
    folder: Path
    socket: Path

    records: dict[str, int]  # of the answers, by the name of their row

    def names(self) -> list[str]:
        with psycopg.connect(self.reader) as conn:
            rows = conn.execute("SELECT request FROM content ORDER BY request").fetchall()
        return [name.rstrip("-") for (name,) in rows]

    def erase(self, months: int) -> int:
        erased: int = self.with_tools(lambda tools: erase_old(tools, self.policy(months)))
        return erased

    def policy(self, months: int) -> Path:
        return write_policy(self.folder, months)

    def with_tools(self, work: Any) -> Any:
        async def main() -> Any:
            pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
                self.worker, min_size=1, open=False
            )
            client = RecorderClient(self.socket, "worker")
            async with pool:
                await client.connect()
                try:
                    return await work(Tools(pool, cast(Any, None), cast(Any, None), client))
                finally:
                    await client.close()

        return asyncio.run(main())

    def recorded(self, kind: str = "erase") -> list[Json]:
        leaves = connected(self.socket, lambda client: client.read(0, 1000))
        events = [json.loads(leaf)["event"] for leaf in leaves]
        return [e for e in events if e["type"] == f"casemate.content.{kind}.v1"]

    def keys(self) -> list[str]:
        """Return the names of those whose key is still beside the log."""

        async def look(client: RecorderClient) -> list[str]:
            found: list[str] = []
            for name, record in self.records.items():
                with suppress(RefusedError):
                    assert await client.sealed(record) == name.encode()
                    found.append(name)
            return found

        return sorted(connected(self.socket, look))


def connected(socket: Path, work: Callable[[RecorderClient], Awaitable[Found]]) -> Found:
    async def main() -> Found:
        client = RecorderClient(socket, "test")
        await client.connect()
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(main())


async def answer(client: RecorderClient, names: list[str]) -> dict[str, int]:
    """Record requests whose ends bring a key; return their records."""
    found: dict[str, int] = {}
    for number, name in enumerate(names):
        await client.append(intent(number))
        end = completion(number, content="sealed")
        found[name] = (await client.append(end, name.encode())).index
    return found


@pytest.fixture
def kept(worker_database: str, gateway_database: str, server: str) -> Iterator[Kept]:
    superuser = make_conninfo(server, dbname=conninfo_to_dict(worker_database)["dbname"])
    with short_folder() as folder, recorder(folder) as socket:
        at = connected(socket, lambda client: answer(client, list(AGES)))
        rows = [row(name, AGES[name], at[name]) for name in AGES]
        transaction(gateway_database, None, lambda conn: add_content(conn, rows))
        yield Kept(worker_database, superuser, folder, socket, at)


def test_rows_older_than_the_retention_go_and_younger_ones_stay(kept: Kept) -> None:
    assert kept.erase(months=12) == 2
    assert kept.names() == ["year", "young"]
    (event,) = kept.recorded()
    first, end = kept.records["ancient"], kept.records["old"] + 1
    assert event["actor"] == "casemate-worker"
    assert event["data"] == {"count": 2, "months": 12, "first": first, "end": end}


def test_with_a_row_its_key_beside_the_log_is_destroyed(kept: Kept) -> None:
    assert kept.keys() == sorted(AGES)
    kept.erase(months=12)
    assert kept.keys() == ["year", "young"]
    (done,) = kept.recorded("erased")
    assert (done["actor"], done["data"]["keys"]) == ("recorder", 2)


def test_a_young_row_between_old_ones_keeps_its_key(kept: Kept) -> None:
    with psycopg.connect(kept.reader) as conn:  # as after a clock that was wrong
        conn.execute("UPDATE content SET at = now() WHERE request LIKE 'old-%'")
        conn.execute("UPDATE content SET at = now() - interval '3 years' WHERE model = 'm'"
                     " AND (request LIKE 'year-%' OR request LIKE 'ancient-%')")  # fmt: skip
    assert kept.erase(months=12) == 2
    assert kept.names() == ["old", "young"]
    assert kept.keys() == ["old", "young"]
    assert len(kept.recorded()) == 2


def test_many_rows_go_a_part_at_a_time(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 1)
    assert kept.erase(months=12) == 2
    assert kept.keys() == kept.names() == ["year", "young"]
    assert [e["data"]["count"] for e in kept.recorded()] == [1, 1]


def test_the_worker_sees_of_contents_only_record_and_age(kept: Kept) -> None:
    with psycopg.connect(kept.worker) as conn:
        assert len(conn.execute("SELECT record, at FROM content").fetchall()) == len(AGES)
        for column in ("request", "owner", "question", "answer", "collections"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(sql.SQL("SELECT {} FROM content").format(sql.Identifier(column)))
            conn.rollback()


def test_the_worker_cannot_delete_what_is_of_today(kept: Kept) -> None:
    with psycopg.connect(kept.reader) as conn:
        conn.execute("UPDATE content SET at = now() WHERE request LIKE 'young-%'")
    with psycopg.connect(kept.worker) as conn:
        conn.execute("DELETE FROM content")
    assert kept.names() == ["young"]


def test_the_site_decides_how_long(kept: Kept) -> None:
    assert kept.erase(months=24) == 1
    assert kept.erase(months=6) == 3
    assert kept.names() == []


@pytest.mark.parametrize("months", [1, 5])
def test_a_policy_below_its_floor_erases_nothing(kept: Kept, months: int) -> None:
    with pytest.raises(RetentionError):
        kept.erase(months=months)
    assert len(kept.names()) == len(kept.keys()) == 4


def test_what_the_recorder_has_to_keep_stays_whatever_the_database_says(
    worker_database: str, gateway_database: str, server: str
) -> None:
    """Rows may be made old, leaves may not: the recorder asks its own log."""
    superuser = make_conninfo(server, dbname=conninfo_to_dict(worker_database)["dbname"])
    with short_folder() as folder, recorder(folder, content_floor_months=6) as socket:
        at = connected(socket, lambda client: answer(client, list(AGES)))
        rows = [row(name, AGES[name], at[name]) for name in AGES]
        transaction(gateway_database, None, lambda conn: add_content(conn, rows))
        kept = Kept(worker_database, superuser, folder, socket, at)
        with pytest.raises(RefusedError) as caught:
            kept.erase(months=12)
        assert caught.value.code == "CM-JRN-50"
        assert len(kept.names()) == len(kept.keys()) == 4
        assert kept.recorded() == []


def test_rows_that_a_restored_database_brings_back_go_again(kept: Kept) -> None:
    kept.erase(months=12)
    back = [row(name, AGES[name], kept.records[name]) for name in ("ancient", "old")]
    transaction(
        make_conninfo(kept.worker, user="casemate_gateway"),
        None,
        lambda conn: add_content(conn, back),
    )
    assert kept.names() == sorted(AGES)
    assert kept.erase(months=36) == 0
    assert kept.names() == ["year", "young"]
    again = kept.recorded()[-1]["data"]
    assert again == {"count": 2, "restored": 1}
    assert kept.erase(months=36) == 0
    assert len(kept.recorded()) == 2


def test_contents_past_the_ceiling_raise_one_alarm_until_they_are_gone(kept: Kept) -> None:
    async def work(tools: Tools) -> list[int]:
        ceiling, path = Ceiling(), write_policy(kept.folder, 12, ceiling=24)
        counts = [await ceiling.look(tools, path) for _ in range(2)]
        await erase_old(tools, path)
        return counts + [await ceiling.look(tools, path) for _ in range(2)]

    assert kept.with_tools(work) == [1, 1, 0, 0]
    leaves = connected(kept.socket, lambda client: client.read(0, 1000))
    told = [json.loads(leaf)["event"] for leaf in leaves]
    alarms = [(e["type"], e["data"]) for e in told if e.get("data", {}).get("part")]
    assert alarms == [
        ("casemate.service.degraded.v1", {"part": "retention", "count": 1, "ceiling": 24}),
        ("casemate.service.restored.v1", {"part": "retention", "count": 0, "ceiling": 24}),
    ]


def test_nothing_old_is_nothing_to_record(kept: Kept) -> None:
    assert kept.erase(months=36) == 0
    assert kept.recorded() == []


def test_what_cannot_be_recorded_is_not_erased(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise RecorderError("away")

    monkeypatch.setattr(RecorderClient, "append", refuse)
    with pytest.raises(RecorderError):
        kept.erase(months=12)
    assert len(kept.names()) == 4
    assert len(kept.keys()) == 4


def test_without_a_policy_nothing_is_erased(kept: Kept) -> None:
    with pytest.raises(FormatError):
        kept.with_tools(lambda tools: erase_old(tools, kept.folder / "none.json"))
    assert len(kept.names()) == 4


def test_the_worker_erases_without_being_asked(kept: Kept) -> None:
    async def work(tools: Tools) -> None:
        stop = asyncio.Event()
        desk = asyncio.create_task(Desk(kept.worker, tools, kept.policy(12)).run(stop))
        await asyncio.to_thread(until, lambda: kept.names() == ["year", "young"])
        stop.set()
        await desk

    kept.with_tools(work)
