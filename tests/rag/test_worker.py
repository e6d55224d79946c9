"""The worker as a process: killed at any moment, left by its upstreams, cut from PostgreSQL."""

import asyncio
import random
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from appliance.audit.client import RecorderClient
from appliance.rag import documents
from appliance.rag.deposit import deposit
from appliance.rag.worker import serve
from appliance.settings import SettingsError, WorkerSettings, load
from tests.rag import samples
from tests.rag.library import ALICE, declare, opening, transaction
from tests.rag.parts import (
    Upstreams,
    casemate,
    in_background,
    objects_of,
    recorder,
    running,
    short_folder,
    until,
    worker_settings,
)


@dataclass
class Site:
    folder: Path
    worker: str
    console: str
    settings: Path
    upstreams: Upstreams

    @property
    def command(self) -> list[str]:
        return casemate("worker", "run", "--settings", str(self.settings))

    def put(self, data: bytes, name: str) -> UUID:
        async def chunks() -> AsyncIterator[bytes]:
            yield data

        objects = objects_of(self.folder)
        begin = opening(self.console, ALICE)
        return asyncio.run(deposit(begin, objects, "rh", name, chunks())).document

    def states(self) -> list[str]:
        found = transaction(self.console, ALICE, lambda c: documents.list_documents(c, "rh"))
        return sorted(document.progress for document in found)

    def rows(self, query: str) -> int:
        with psycopg.connect(self.worker) as conn:
            return conn.execute(query.encode()).rowcount


@pytest.fixture
def site(worker_database: str, console_database: str) -> Iterator[Site]:
    transaction(worker_database, None, lambda c: declare(c, "rh", 1, rh=True))
    with (
        short_folder() as folder,
        in_background(Upstreams(folder)) as upstreams,
        recorder(folder) as socket,
    ):
        settings = worker_settings(folder, worker_database, upstreams, socket)
        yield Site(folder, worker_database, console_database, settings, upstreams)


def test_documents_become_ready_and_their_jobs_leave(site: Site) -> None:
    for kind, make in samples.FORMATS.items():
        site.put(make(), f"guide.{kind}")
    site.put(samples.pdf_of_images(), "images.pdf")
    with running(site.command):
        until(lambda: site.states() == ["failed", *["ready"] * 5])
        until(lambda: site.rows("SELECT 1 FROM jobs.procrastinate_jobs") == 0)
    passages = site.rows("SELECT 1 FROM passage")
    assert site.rows("SELECT 1 FROM passage_vector") == passages > 5


def test_a_worker_killed_at_any_moment_loses_nothing_and_does_nothing_twice(site: Site) -> None:
    """Killed eight times at random moments; another goes on each time, by itself."""
    texts = ["\n\n".join(f"{text} Version {n}." for text in samples.FILLER) for n in range(12)]
    for number, text in enumerate(texts):
        site.put(text.encode(), f"{number}.txt")
    moments = random.Random(20261123)  # noqa: S311 - moments to kill at
    for left in reversed(range(8)):
        with running(site.command) as process:
            until(lambda: site.rows("SELECT 1 FROM jobs.procrastinate_workers") > 0)
            with suppress(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0, 0.8))
            process.kill()
            process.wait()
        if left:  # what the end of its heartbeat does, sooner; the last time it is waited for
            with psycopg.connect(site.worker) as conn:
                conn.execute("DELETE FROM jobs.procrastinate_workers")
    with running(site.command):
        until(lambda: site.states() == ["ready"] * 12)
        until(lambda: site.rows("SELECT 1 FROM jobs.procrastinate_jobs") == 0)
    passages = site.rows("SELECT 1 FROM passage")
    assert site.rows("SELECT 1 FROM passage_vector") == passages
    assert site.rows("SELECT DISTINCT document_id, body FROM passage") == passages
    with psycopg.connect(site.worker) as conn:
        assert conn.execute("SELECT sum(n) FROM class_count").fetchone() == (passages,)
    ingested = leaves(site, "casemate.rag.ingest.v1")
    assert len(ingested) == 12
    assert len({leaf["data"]["document"] for leaf in ingested}) == 12


def leaves(site: Site, kind: str) -> list[dict[str, Any]]:
    async def read() -> list[bytes]:
        client = RecorderClient(site.folder / "recorder.sock", "reader")
        await client.connect()
        try:
            return list(await client.read(0, 1000))
        finally:
            await client.close()

    events = [msgspec.json.decode(leaf)["event"] for leaf in asyncio.run(read())]
    return [event for event in events if event["type"] == kind]


def test_vectors_wait_for_who_gives_them(site: Site) -> None:
    site.upstreams.away = True
    document = site.put(samples.text(), "a.txt")
    with running(site.command):
        until(lambda: site.states() == ["embedding"])
        until(
            lambda: site.rows("SELECT 1 FROM jobs.procrastinate_jobs WHERE attempts > 0") == 1
        )
        assert site.rows("SELECT 1 FROM passage") > 0  # found by words meanwhile
        site.upstreams.away = False
        until(lambda: site.states() == ["ready"])
        transaction(site.console, ALICE, lambda c: documents.delete_document(c, document))
        until(lambda: site.rows("SELECT 1 FROM erasure") == 0)
    assert [path for path in (site.folder / "objects").rglob("*") if path.is_file()] == []
    assert len(leaves(site, "casemate.rag.delete.v1")) == 1


def test_a_worker_that_loses_postgresql_comes_back_by_itself(server: str, site: Site) -> None:
    """Each of its connections is cut, again and again, while it works."""
    name = conninfo_to_dict(site.worker)["dbname"]
    superuser = make_conninfo(server, dbname="postgres")
    for number in range(6):
        site.put(f"{samples.NEEDLE} Version {number}.".encode(), f"{number}.txt")
    with running(site.command) as process:
        for _ in range(3):
            until(lambda: site.rows("SELECT 1 FROM jobs.procrastinate_workers") > 0)
            with psycopg.connect(superuser, autocommit=True) as conn:
                conn.execute(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = %s AND usename = 'casemate_worker'
                    """,
                    [name],
                )
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
        until(lambda: site.states() == ["ready"] * 6)


def test_a_worker_that_is_told_to_end_ends(site: Site) -> None:
    with running(site.command) as process:
        until(lambda: site.rows("SELECT 1 FROM jobs.procrastinate_workers") == 1)
        process.terminate()
        assert process.wait(20) == 0
    assert site.rows("SELECT 1 FROM jobs.procrastinate_workers") == 0


def test_without_its_credentials_it_does_not_start(site: Site) -> None:
    (site.folder / "object-key").write_bytes(b"short")
    settings = load(site.settings, WorkerSettings)
    with pytest.raises(SettingsError):
        asyncio.run(serve(settings, asyncio.Event()))


def test_a_job_left_by_a_lost_connection_is_queued_again(site: Site) -> None:
    """A job that its own living worker does not know of."""
    site.put(samples.text(), "a.txt")
    with running(site.command):
        until(lambda: site.states() == ["ready"])

        async def strand(conn: AsyncConnection) -> None:
            await conn.execute("UPDATE document SET progress = 'embedding'")
            await conn.execute(
                """
                INSERT INTO jobs.procrastinate_jobs
                  (queue_name, task_name, args, status, worker_id)
                SELECT 'documents', 'embed', jsonb_build_object('document', d.public_id),
                       'doing', w.id
                FROM document d, jobs.procrastinate_workers w
                """
            )

        transaction(site.worker, None, strand)
        until(lambda: site.states() == ["ready"])
