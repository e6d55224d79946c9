"""The indexer against a real recorder and a real PostgreSQL."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from appliance.audit.client import RecorderClient
from appliance.audit.event import Event, Kind, fact
from appliance.audit.index import store
from appliance.audit.index.indexer import BATCH, BusyError, Indexer, OtherLogError, Pass
from appliance.errors import FormatError
from appliance.settings import RecorderSettings
from tests import recording
from tests.audit.index.copies import ALICE, as_indexer, put
from tests.audit.logs import leaves
from tests.recording import RawClient, running

MANY = 3 * BATCH + 10
_MAIN = """
import asyncio, sys
from pathlib import Path
from appliance.audit.index.indexer import run
from appliance.trail_settings import IndexerSettings
where = {"database": sys.argv[1], "recorder": Path(sys.argv[2])}
asyncio.run(run(IndexerSettings(**where, interval=0.05)))
"""


def some(count: int, start: int = 0) -> list[Event]:
    return [
        fact(Kind.RAG_OPEN, ALICE, f"event-{number:016}", document=f"note-{number}")
        for number in range(start, start + count)
    ]


def fill(log: RecorderSettings, count: int, start: int = 0) -> int:
    """Append events; return the size of the log."""

    async def work() -> int:
        client = RecorderClient(log.socket, "test")
        await client.connect()
        try:
            for at in range(start, start + count, 512):
                await client.append_all(some(min(512, start + count - at), at))
            return (await client.status()).size
        finally:
            await client.close()

    return asyncio.run(work())


@contextmanager
def indexing(database: str, socket: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the indexer as a process of its own until the block ends, then kill it."""
    argv = [sys.executable, "-c", _MAIN, database, str(socket)]
    process = subprocess.Popen(argv, cwd=recording.ROOT, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(database: str, size: int, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while (found := place(database)) < size:
        assert time.monotonic() < until, f"{found} of {size} after {seconds} s"
        time.sleep(0.02)


def place(database: str) -> int:
    with psycopg.connect(database) as conn:
        row = conn.execute("SELECT next FROM audit.side WHERE serving").fetchone()
        assert row is not None
        return int(row[0])


def rows(database: str) -> list[int]:
    """Return the indexes of all rows of the side that serves, in order."""
    with psycopg.connect(database) as conn:
        return [
            idx
            for (idx,) in conn.execute(
                "SELECT idx FROM audit.event WHERE side = audit.serving() ORDER BY idx"
            )
        ]


@contextlib.asynccontextmanager
async def opened(database: str, socket: Path) -> AsyncIterator[Indexer]:
    """Lend an indexer inside this process."""
    client = RecorderClient(socket, "indexer")
    await client.connect()
    try:
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
            yield Indexer(client, conn)
    finally:
        await client.close()


def test_the_copy_follows_the_log_and_goes_on_after_a_kill(
    recorder_settings: RecorderSettings, indexer_database: str
) -> None:
    with running(recorder_settings):
        size = fill(recorder_settings, MANY)
        with indexing(indexer_database, recorder_settings.socket):
            wait_for(indexer_database, 1)  # killed wherever it is by then
        with indexing(indexer_database, recorder_settings.socket) as process:
            wait_for(indexer_database, size)
            size = fill(recorder_settings, 5, MANY)
            wait_for(indexer_database, size)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
    assert rows(indexer_database) == list(range(size))


def test_the_copy_waits_for_a_recorder_that_is_away(
    recorder_settings: RecorderSettings, indexer_database: str
) -> None:
    with indexing(indexer_database, recorder_settings.socket):
        with running(recorder_settings):
            size = fill(recorder_settings, 3)
            wait_for(indexer_database, size)
        with running(recorder_settings):
            size = fill(recorder_settings, 3, 3)
            wait_for(indexer_database, size)
    assert rows(indexer_database) == list(range(size))


def test_the_copy_waits_for_a_database_that_is_away(
    recorder_settings: RecorderSettings, indexer_database: str, server: str
) -> None:
    with running(recorder_settings), indexing(indexer_database, recorder_settings.socket):
        wait_for(indexer_database, fill(recorder_settings, 3))
        with psycopg.connect(server, autocommit=True) as conn:
            conn.execute("ALTER ROLE casemate_indexer NOLOGIN")
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE usename = 'casemate_indexer'"
            )
            size = fill(recorder_settings, 3, 3)
            conn.execute("ALTER ROLE casemate_indexer LOGIN")
        wait_for(indexer_database, size)
    assert rows(indexer_database) == list(range(size))


def test_a_rebuild_while_serving_loses_nothing(
    recorder_settings: RecorderSettings, indexer_database: str
) -> None:
    with running(recorder_settings), indexing(indexer_database, recorder_settings.socket):
        wait_for(indexer_database, fill(recorder_settings, MANY))
        told: list[tuple[int, int]] = []
        with RawClient(recorder_settings.socket) as client:

            def tell(taken: int, size: int) -> None:  # what happens meanwhile
                client.append(some(1, 10_000 + len(told))[0])
                told.append((taken, size))
                assert len(told) < 50, "a log that grows is never caught up with"
                assert len(rows(indexer_database)) >= MANY  # the old side serves

            async def work() -> int:
                async with opened(indexer_database, recorder_settings.socket) as one:
                    return await one.rebuild(tell)

            made = asyncio.run(work())
            size = client.ask("status")["body"]["size"]
        wait_for(indexer_database, size)
    assert made >= MANY
    assert len(told) >= MANY // BATCH
    assert rows(indexer_database) == list(range(size))
    with psycopg.connect(indexer_database) as conn:
        assert conn.execute(
            "SELECT count(*) FROM audit.event WHERE side <> audit.serving()"
        ).fetchone() == (0,)


def test_a_rebuild_repairs_what_was_edited(
    recorder_settings: RecorderSettings, indexer_database: str, server: str
) -> None:
    with running(recorder_settings):
        size = fill(recorder_settings, 5)

        async def work() -> list[int | None]:
            async with opened(indexer_database, recorder_settings.socket) as one:
                await one.take()
                edit(server, "UPDATE audit.event SET actor = 'nobody' WHERE idx = 2")
                before = await comparison(one, indexer_database)
                await one.rebuild(lambda *_: None)
                return [before, await comparison(one, indexer_database)]

        assert asyncio.run(work()) == [2, None]
    assert rows(indexer_database) == list(range(size))


async def comparison(one: Indexer, database: str) -> int | None:
    """Compare the whole copy; return the first row that differs."""
    await one.compare(whole := Pass(), 60)
    await one.compare(whole, 60)
    async with await psycopg.AsyncConnection.connect(database) as conn:
        found = await (
            await conn.execute("SELECT differs FROM audit.comparison ORDER BY at DESC LIMIT 1")
        ).fetchone()
        assert found is not None
        return found[0]  # type: ignore[no-any-return]


def edit(server: str, statement: str) -> None:
    """Do what only a superuser could."""
    with psycopg.connect(server, dbname="casemate_test") as conn:
        assert conn.execute(statement.encode()).rowcount == 1


def test_two_rebuilds_do_not_run_at_once(
    recorder_settings: RecorderSettings, indexer_database: str
) -> None:
    async def work() -> None:
        async with (
            opened(indexer_database, recorder_settings.socket) as one,
            await psycopg.AsyncConnection.connect(indexer_database) as other,
        ):
            assert await store.take_turn(other)
            with pytest.raises(BusyError):
                await one.rebuild(lambda *_: None)

    with running(recorder_settings):
        asyncio.run(work())


def test_a_copy_of_another_log_takes_nothing(
    recorder_settings: RecorderSettings, indexer_database: str
) -> None:
    put(indexer_database, leaves(some(1)))  # not what this recorder will write

    async def work() -> None:
        async with opened(indexer_database, recorder_settings.socket) as one:
            with pytest.raises(OtherLogError):
                await one.take()

    with running(recorder_settings):
        fill(recorder_settings, 3)
        asyncio.run(work())
    assert rows(indexer_database) == [0]


def test_a_copy_longer_than_the_log_takes_nothing(
    recorder_settings: RecorderSettings, indexer_database: str
) -> None:
    put(indexer_database, leaves(some(9)))

    async def work() -> None:
        async with opened(indexer_database, recorder_settings.socket) as one:
            with pytest.raises(OtherLogError):
                await one.take()

    with running(recorder_settings):
        asyncio.run(work())


def test_two_indexers_at_once_take_each_leaf_once(
    recorder_settings: RecorderSettings, indexer_database: str
) -> None:
    async def work() -> list[int]:
        async with (
            opened(indexer_database, recorder_settings.socket) as one,
            opened(indexer_database, recorder_settings.socket) as other,
        ):
            return list(await asyncio.gather(one.take(), other.take()))

    with running(recorder_settings):
        size = fill(recorder_settings, 40)
        assert sorted(asyncio.run(work())) == [0, size]
    assert rows(indexer_database) == list(range(size))


class Played:
    """A recorder that gives what it is told to give."""

    def __init__(self, stored: list[bytes]) -> None:
        self.stored = stored

    async def read(self, start: int, limit: int) -> list[bytes]:
        return self.stored[start : start + limit]


def played(database: str, stored: list[bytes]) -> int:
    """Let an indexer take one batch of these leaves."""

    async def work(conn: psycopg.AsyncConnection) -> int:
        return await Indexer(Played(stored), conn).take()  # type: ignore[arg-type]

    return as_indexer(database, work)


def test_leaves_that_do_not_follow_one_another_are_not_taken(indexer_database: str) -> None:
    all_of_them = leaves(some(5))
    with pytest.raises(FormatError):
        played(indexer_database, [*all_of_them[:2], all_of_them[3]])
    assert rows(indexer_database) == []


def test_a_log_that_was_pruned_is_copied_from_its_first_leaf(indexer_database: str) -> None:
    assert played(indexer_database, leaves(some(3), 40)) == 3
    assert rows(indexer_database) == [40, 41, 42]
    with psycopg.connect(indexer_database) as conn:
        found = conn.execute("SELECT first, next FROM audit.side WHERE serving").fetchone()
    assert found == (40, 43)


def test_the_leaf_of_a_pruning_takes_the_rows_below_with_it(indexer_database: str) -> None:
    pruning = fact(Kind.AUDIT_PRUNE, "recorder", "prune-" + "0" * 16, first=0, end=3)
    assert played(indexer_database, leaves([*some(4), pruning])) == 5
    assert rows(indexer_database) == [3, 4]
