"""What the worker does with a document: read, cut, index, embed; and forget.

Each step is one transaction and can be repeated: a worker that is killed anywhere leaves a
state from which the same job goes on. A document can be found by its words as soon as it is
parsed, while its vectors are still on their way.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.audit.client import RecorderClient
from appliance.audit.event import Kind, fact
from appliance.rag import store
from appliance.rag.chunk import chunks_of
from appliance.rag.document import Source
from appliance.rag.embed import Embedder
from appliance.rag.indexing import store as index
from appliance.rag.objects import ObjectError, Objects, Stored
from appliance.rag.parsed import Answer, Parsed, Reason
from appliance.rag.sandbox import KilledError, parse, parse_apart

BATCH = 16  # passages in one call for vectors
PARSER_TRIES = 3
BLOCKS_MIN, SCATTERED = 20_000, 2  # fewer blocks, or less than twice as many as if full, stay
TERMS_MAX, TERMS_RANGE = 999_999_999, 100_000_000  # of hashed terms


@dataclass(frozen=True, slots=True)
class Tools:
    """What jobs work with."""

    pool: AsyncConnectionPool[AsyncConnection]
    objects: Objects
    embedder: Embedder
    recorder: RecorderClient
    parser: Path | None = None  # socket of the parser; None: a child of this process


async def ingest(tools: Tools, document: UUID, job: int) -> None:
    """Make a document searchable by its words, and leave its vectors to the next job.

    Raises what the next try may not meet; a document that cannot be used is no error.
    """
    async with tools.pool.connection() as conn:
        source = await store.find_original(conn, document)
        if source is None or source.progress not in {"waiting", "parsing"}:
            return
        await index.set_progress(conn, source.id, "parsing")
    answer = await _parse(tools, source)
    text = (
        None if answer.parsed is None else await asyncio.to_thread(_text, source, answer.parsed)
    )
    reason = answer.reason or (None if text and text.passages else Reason.EMPTY)
    await _record(tools, source, job, reason, text)
    async with tools.pool.connection() as conn:
        await store.lock(conn, document.bytes)
        if await store.find_original(conn, document) is None:
            return  # deleted meanwhile
        if text is None or reason is not None:
            await index.set_progress(conn, source.id, "failed", reason)
            return
        await index.replace_text(conn, source.id, source.class_id, text)
        await index.set_progress(conn, source.id, "embedding")
        await store.add_job(conn, "embed", document)


async def give_up(tools: Tools, document: UUID) -> None:
    """Say that a document failed after many tries."""
    async with tools.pool.connection() as conn:
        source = await store.find_original(conn, document)
        if source is not None and source.progress != "ready":
            await index.set_progress(conn, source.id, "failed", Reason.KILLED)


async def embed(tools: Tools, document: UUID) -> None:
    """Give each passage of a document its vector. A passage that is refused stays without.

    Raises:
        AwayError: Vectors cannot be had now.
    """
    async with tools.pool.connection() as conn:
        source = await store.find_original(conn, document)
    if source is None or source.progress != "embedding":
        return
    after = 0
    while True:
        async with tools.pool.connection() as conn:
            unread = await index.next_unread(conn, source.id, after, BATCH)
        if not unread:
            break
        vectors = await tools.embedder.embed([f"{u.title}. {u.body}" for u in unread])
        found = {u.id: v for u, v in zip(unread, vectors, strict=True) if v is not None}
        async with tools.pool.connection() as conn:
            await index.insert_vectors(conn, found)
        after = unread[-1].ordinal
    async with tools.pool.connection() as conn:
        await store.lock(conn, document.bytes)
        if await store.find_original(conn, document) is not None:
            await index.set_progress(conn, source.id, "ready")


async def forget(tools: Tools, document: UUID) -> None:
    """Finish a deletion: postings, jobs, file, record."""
    async with tools.pool.connection() as conn:
        erasure = await index.find_erasure(conn, document)
    if erasure is None:
        return
    await tools.recorder.append(
        fact(
            Kind.RAG_DELETE,
            erasure.actor,
            f"delete-{document.hex}",
            label=erasure.label,
            document=str(document),
            collection=erasure.slug,
        )
    )
    async with tools.pool.connection() as conn:
        await store.lock(conn, erasure.content_id)  # a deposit of the same bytes waits
        again = await index.find_erasure(conn, document)
        if again is None:
            return
        await index.forget_postings(conn, again.class_id, again.passages, again.terms)
        if not again.content_kept:
            await asyncio.to_thread(tools.objects.remove, again.vault, again.content_id)
        await index.finish_erasure(conn, again)


async def keep_house(tools: Tools) -> bool:
    """Make scattered postings dense again; one transaction for a range of terms."""
    async with tools.pool.connection() as conn:
        blocks, full = await index.count_blocks(conn)
    if blocks < BLOCKS_MIN or blocks < SCATTERED * full:
        return False
    for low in range(1, TERMS_MAX + 1, TERMS_RANGE):
        async with tools.pool.connection() as conn:
            await index.compact(conn, low, low + TERMS_RANGE - 1)
    return True


async def _parse(tools: Tools, source: Source) -> Answer:
    stored = Stored(source.content_id, source.wrapped_key, 0)
    try:
        data = await asyncio.to_thread(tools.objects.read, source.vault, stored)
    except ObjectError:
        return Answer([], reason=Reason.ORIGINAL)
    for _ in range(PARSER_TRIES):
        try:
            if tools.parser is None:
                return await parse(data)
            return await parse_apart(data, tools.parser)
        except KilledError:
            continue
    return Answer([], reason=Reason.KILLED)


def _text(source: Source, parsed: Parsed) -> index.Text:
    texts = [page.text for page in parsed.pages]
    return index.Text(
        kind=parsed.kind,
        title=parsed.title.strip() or source.title,
        pages=texts,
        passages=[
            index.NewPassage(
                c.page, c.section, c.start, c.end, texts[c.page - 1][c.start : c.end]
            )
            for c in chunks_of(parsed.pages)
        ],
        meta={str(key): value for key, value in parsed.meta.items()},
    )


async def _record(
    tools: Tools, source: Source, job: int, reason: Reason | None, text: index.Text | None
) -> None:
    """Record before anything is found; the id is the job’s, so a second try adds nothing."""
    await tools.recorder.append(
        fact(
            Kind.RAG_INGEST,
            source.owner,
            f"ingest-{source.public_id.hex}-{job}",
            label=source.label,
            document=str(source.public_id),
            collection=source.slug,
            passages=len(text.passages) if text else 0,
            outcome=reason or "parsed",
        )
    )
