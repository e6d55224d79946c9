"""Old contents leave, the record of it comes first, and young ones stay."""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from appliance.audit.client import RecorderClient, RecorderError
from appliance.errors import FormatError
from appliance.gateway.store import ContentRow, add_content
from appliance.rag.ingest import Tools
from appliance.rag.jobs import Desk
from appliance.rag.retention import erase_old
from tests.rag.library import transaction
from tests.rag.parts import recorder, short_folder, until, write_policy

pytestmark = pytest.mark.process
DAY = 86_400  # seconds
Json = dict[str, Any]


def row(name: str, days: float) -> ContentRow:
    return ContentRow(
        request=name.ljust(16, "-"), record=1, owner="alice", key="", conversation=None,
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

    def recorded(self) -> list[Json]:
        async def main() -> list[bytes]:
            reader = RecorderClient(self.socket, "test")
            await reader.connect()
            try:
                return await reader.read(0, 1000)
            finally:
                await reader.close()

        events = [json.loads(leaf)["event"] for leaf in asyncio.run(main())]
        return [e for e in events if e["type"] == "casemate.content.erase.v1"]


@pytest.fixture
def kept(worker_database: str, gateway_database: str, server: str) -> Iterator[Kept]:
    superuser = make_conninfo(server, dbname=conninfo_to_dict(worker_database)["dbname"])
    rows = [row("young", 300), row("year", 340), row("old", 370), row("ancient", 900)]
    transaction(gateway_database, None, lambda conn: add_content(conn, rows))
    with short_folder() as folder, recorder(folder) as socket:
        yield Kept(worker_database, superuser, folder, socket)


def test_rows_older_than_the_retention_go_and_younger_ones_stay(kept: Kept) -> None:
    assert kept.erase(months=12) == 2
    assert kept.names() == ["year", "young"]
    (event,) = kept.recorded()
    assert (event["actor"], event["data"]) == ("casemate-worker", {"count": 2, "months": 12})


def test_the_site_decides_how_long(kept: Kept) -> None:
    assert kept.erase(months=24) == 1
    assert kept.erase(months=1) == 3
    assert kept.names() == []


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
