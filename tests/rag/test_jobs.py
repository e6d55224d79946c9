import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.audit.client import RecorderError
from appliance.rag import ingest, store
from appliance.rag.embed import AwayError
from appliance.rag.ingest import Tools
from appliance.rag.jobs import Desk, Patience
from tests.rag.library import Book, declare, put, transaction
from tests.rag.parts import until, write_policy


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 1), (1, 2), (4, 16), (5, 30), (1000, 30)]
)
def test_a_job_is_tried_again_later_each_time_and_for_ever(attempts: int, seconds: int) -> None:
    job = cast(Job, SimpleNamespace(attempts=attempts))
    decision = Patience().get_retry_decision(exception=AwayError(), job=job)
    assert decision.retry_at is not None
    wait = (decision.retry_at - datetime.now(UTC)).total_seconds()
    assert seconds - 1 < wait <= seconds


class Bench:
    """A desk around a database, with one job put on it."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn, self.policy = dsn, write_policy(folder)
        self.document = uuid4()

        async def fill(conn: AsyncConnection) -> None:
            await declare(conn, "rh", 1, rh=True)
            await put(conn, Book("rh", "A", ["x"], progress="waiting", public_id=self.document))
            await store.add_job(conn, "ingest", self.document)

        transaction(dsn, None, fill)

    def run(self, seen: Callable[[], bool]) -> None:
        async def work() -> None:
            stop = asyncio.Event()

            async def watch() -> None:
                await asyncio.to_thread(until, seen)
                stop.set()

            pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
                self.dsn, min_size=1, open=False
            )
            async with pool:
                tools = Tools(pool, *cast(tuple[Any, Any, Any], (None, None, None)))
                async with asyncio.timeout(60), asyncio.TaskGroup() as together:
                    together.create_task(Desk(self.dsn, tools, self.policy).run(stop))
                    together.create_task(watch())

        asyncio.run(work())

    def row(self) -> tuple[Any, ...]:
        with psycopg.connect(self.dsn) as conn:
            return conn.execute(
                """
                SELECT d.progress, d.reason, j.status, j.attempts FROM document d
                LEFT JOIN jobs.procrastinate_jobs j ON j.args ->> 'document' = d.public_id::text
                """
            ).fetchall()[0]

    def set_attempts(self, number: int) -> None:
        with psycopg.connect(self.dsn) as conn:
            conn.execute("UPDATE jobs.procrastinate_jobs SET attempts = %s", [number])


@pytest.fixture
def bench(worker_database: str, tmp_path: Path) -> Bench:
    return Bench(worker_database, tmp_path)


def failing(error: Exception) -> Callable[[Tools, UUID, int], Awaitable[None]]:
    async def work(tools: Tools, document: UUID, job: int) -> None:
        del tools, document, job
        raise error

    return work


@pytest.mark.parametrize(
    "error",
    [
        AwayError("x"),
        RecorderError("x"),
        psycopg.OperationalError("x"),
        ConnectorException("x"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_what_may_pass_never_fails_a_document(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(ingest, "ingest", failing(error))
    bench.set_attempts(100)
    bench.run(lambda: bench.row()[3] == 101)
    assert bench.row() == ("waiting", None, "todo", 101)


def test_a_defect_is_tried_some_times_then_the_document_says_that_it_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "ingest", failing(ValueError("a defect")))
    bench.run(lambda: bench.row()[3] == 1)
    assert bench.row() == ("waiting", None, "todo", 1)
    bench.set_attempts(8)
    with psycopg.connect(bench.dsn) as conn:
        conn.execute("UPDATE jobs.procrastinate_jobs SET scheduled_at = NULL")
    bench.run(lambda: bench.row()[0] == "failed" and bench.row()[2] is None)
    assert bench.row() == ("failed", "killed", None, None)


def test_a_document_that_no_job_will_come_to_gets_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[UUID] = []

    async def work(tools: Tools, document: UUID, job: int) -> None:
        del tools, job
        done.append(document)

    monkeypatch.setattr(ingest, "ingest", work)
    with psycopg.connect(bench.dsn) as conn:
        conn.execute("DELETE FROM jobs.procrastinate_jobs")
    bench.run(lambda: bool(done))
    assert set(done) == {bench.document}


def test_a_job_holds_the_name_of_a_document_and_nothing_else(bench: Bench) -> None:
    with psycopg.connect(bench.dsn) as conn:
        (args, lock) = conn.execute(
            "SELECT args, lock FROM jobs.procrastinate_jobs"
        ).fetchall()[0]
    assert json.dumps(args) == json.dumps({"document": str(bench.document)})
    assert lock == f"document:{bench.document}"


def test_jobs_of_one_document_wait_for_each_other(bench: Bench) -> None:
    async def add(conn: AsyncConnection) -> list[Any]:
        await store.add_job(conn, "embed", bench.document)
        await conn.execute("INSERT INTO jobs.procrastinate_workers DEFAULT VALUES")
        taken = []
        for _ in range(2):
            found = await conn.execute(
                """
                SELECT f.task_name FROM jobs.procrastinate_workers w,
                  LATERAL jobs.procrastinate_fetch_job_v2(ARRAY['documents'], w.id) f
                """
            )
            taken.append((await found.fetchall())[0][0])
        return taken

    assert transaction(bench.dsn, None, add) == ["ingest", None]
