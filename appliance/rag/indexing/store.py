"""SQL of the worker, and of `site apply`: rows that hold content, and what deletions leave.

Run as `casemate_worker`, whose policies let it see and write each row. Functions take an open
connection and never commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from appliance.rag.document import Erasure, Unread
from appliance.rag.store import vector_text


@dataclass(frozen=True, slots=True)
class NewPassage:
    """A passage to insert, in the order of the document."""

    page: int
    section: str
    first_char: int
    past_char: int
    body: str


@dataclass(frozen=True, slots=True)
class Text:
    """What parsing made of a document."""

    kind: str
    title: str
    pages: Sequence[str]
    passages: Sequence[NewPassage]
    meta: Mapping[str, str]  # reference, version, date as its author wrote them


@dataclass(frozen=True, slots=True)
class Declared:
    """A collection as `site.toml` declares it."""

    slug: str
    title: str
    label: int
    groups: Mapping[str, bool]  # full path to whether it may write


async def declare_collection(conn: AsyncConnection, declared: Declared) -> bool:
    """Make a collection be as declared; true when something had to change."""
    row = {"slug": declared.slug, "title": declared.title, "label": declared.label}
    changed = await conn.execute(
        """
        INSERT INTO collection AS c (slug, title, label) VALUES (%(slug)s, %(title)s, %(label)s)
        ON CONFLICT (slug) DO UPDATE SET title = excluded.title, label = excluded.label
        WHERE (c.title, c.label) IS DISTINCT FROM (excluded.title, excluded.label)
        """,
        row,
    )
    groups = await conn.execute(
        """
        WITH c AS (SELECT id FROM collection WHERE slug = %(slug)s),
        wanted AS (SELECT c.id, w.path, w.can_write
                   FROM c, unnest(%(paths)s::text[], %(may)s::boolean[]) w(path, can_write)),
        classes AS (INSERT INTO passage_class (collection_id, in_force)
                    SELECT c.id, f FROM c, unnest('{true,false}'::boolean[]) f
                    ON CONFLICT DO NOTHING),
        gone AS (DELETE FROM collection_group g USING c
                 WHERE g.collection_id = c.id AND g.group_path <> ALL (%(paths)s::text[])
                 RETURNING 1),
        put AS (INSERT INTO collection_group AS g (collection_id, group_path, can_write)
                SELECT * FROM wanted
                ON CONFLICT (collection_id, group_path)
                DO UPDATE SET can_write = excluded.can_write
                WHERE g.can_write <> excluded.can_write RETURNING 1)
        SELECT FROM gone UNION ALL SELECT FROM put
        """,
        {
            "slug": declared.slug,
            "paths": list(declared.groups),
            "may": list(declared.groups.values()),
        },
    )
    return bool(changed.rowcount or groups.rowcount)


async def set_progress(
    conn: AsyncConnection, document: int, progress: str, reason: str | None = None
) -> None:
    """Say where a document stands."""
    await conn.execute(
        "UPDATE document SET progress = %(p)s, reason = %(r)s WHERE id = %(d)s",
        {"p": progress, "r": reason, "d": document},
    )


async def replace_text(
    conn: AsyncConnection, document: int, class_id: int, text: Text
) -> list[int]:
    """Put in the text of a document and index its words; it can be found from now on.

    What an earlier run of the same job left is replaced.
    """
    await forget_text(conn, document)
    await conn.execute(
        """
        UPDATE document SET kind = %(kind)s, title = %(title)s,
               reference = coalesce(reference, %(reference)s),
               version = coalesce(version, %(version)s), dated = coalesce(dated, %(dated)s)
        WHERE id = %(document)s
        """,
        {
            "kind": text.kind,
            "title": text.title,
            "reference": text.meta.get("reference"),
            "version": text.meta.get("version"),
            "dated": _date(text.meta.get("date", "")),
            "document": document,
        },
    )
    async with conn.cursor() as cur:
        await cur.executemany(
            """
            INSERT INTO document_page (document_id, page, class_id, body)
            VALUES (%s, %s, %s, %s)
            """,
            [(document, n, class_id, body) for n, body in enumerate(text.pages, 1)],
        )
        await cur.executemany(
            """
            INSERT INTO passage (document_id, class_id, ordinal, page, section, first_char,
                                 past_char, body)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (document, class_id, n, p.page, p.section, p.first_char, p.past_char, p.body)
                for n, p in enumerate(text.passages, 1)
            ],
        )
    async with conn.cursor(row_factory=scalar_row) as cur:
        await cur.execute(
            "SELECT id FROM passage WHERE document_id = %(d)s ORDER BY ordinal", {"d": document}
        )
        ids = await cur.fetchall()
        await cur.execute("SELECT lex_index(%(ids)s)", {"ids": ids})
    return ids


async def forget_text(conn: AsyncConnection, document: int) -> None:
    """Remove the text of a document from each table, its postings included."""
    found = await conn.execute(
        """
        SELECT l.class_id, array_agg(p.id), lex_terms(array_agg(p.id))
        FROM passage p JOIN passage_lex l ON l.passage_id = p.id
        WHERE p.document_id = %(document)s GROUP BY 1
        """,
        {"document": document},
    )
    indexed = await found.fetchall()
    for statement in (
        "DELETE FROM passage WHERE document_id = %(document)s",
        "DELETE FROM document_page WHERE document_id = %(document)s",
    ):
        await conn.execute(statement, {"document": document})
    for class_id, passages, terms in indexed:
        await forget_postings(conn, class_id, passages, terms)


async def forget_postings(
    conn: AsyncConnection, class_id: int, passages: Sequence[int], terms: Sequence[int]
) -> None:
    """Take passages that are gone out of the index of words."""
    await conn.execute(
        "SELECT lex_forget(%(passages)s::int[], %(terms)s::int[], %(class)s)",
        {"passages": list(passages), "terms": list(terms), "class": class_id},
    )


async def next_unread(
    conn: AsyncConnection, document: int, after: int, limit: int
) -> list[Unread]:
    """Return passages of a document, after one of them, that have no vector yet."""
    async with conn.cursor(row_factory=class_row(Unread)) as cur:
        await cur.execute(
            """
            SELECT p.id, p.ordinal, d.title, p.body
            FROM passage p JOIN document d ON d.id = p.document_id
            WHERE p.document_id = %(document)s AND p.ordinal > %(after)s
              AND NOT EXISTS (SELECT FROM passage_vector v WHERE v.passage_id = p.id)
            ORDER BY p.ordinal LIMIT %(limit)s
            """,
            {"document": document, "after": after, "limit": limit},
        )
        return await cur.fetchall()


async def insert_vectors(conn: AsyncConnection, vectors: Mapping[int, Sequence[float]]) -> None:
    """Insert vectors of passages; one that is gone, or has a vector, is passed over."""
    async with conn.cursor() as cur:
        await cur.executemany(
            """
            INSERT INTO passage_vector (passage_id, class_id, embedding)
            SELECT p.id, p.class_id, %(vector)s::halfvec FROM passage p WHERE p.id = %(id)s
            ON CONFLICT DO NOTHING
            """,
            [{"id": id_, "vector": vector_text(vector)} for id_, vector in vectors.items()],
        )


async def list_unfinished(conn: AsyncConnection) -> list[tuple[str, UUID]]:
    """Return task and id of documents and erasures that no job will come to."""
    found = await conn.execute(
        """
        SELECT u.task, u.document FROM (
          SELECT CASE progress WHEN 'embedding' THEN 'embed' ELSE 'ingest' END AS task,
                 public_id AS document
          FROM document WHERE progress NOT IN ('ready', 'failed')
          UNION ALL SELECT 'forget', document FROM erasure) u
        WHERE NOT EXISTS (
          SELECT FROM jobs.procrastinate_jobs j
          WHERE j.status IN ('todo', 'doing') AND j.args ->> 'document' = u.document::text)
        """
    )
    return await found.fetchall()


async def find_erasure(conn: AsyncConnection, document: UUID) -> Erasure | None:
    """Return what is left to do of a deletion."""
    async with conn.cursor(row_factory=class_row(Erasure)) as cur:
        await cur.execute(
            """
            SELECT e.id, c.public_id AS vault, c.slug, c.label, e.document, e.actor,
                   e.content_id, e.class_id, e.passages, e.terms,
                   EXISTS (SELECT FROM document d WHERE d.collection_id = e.collection_id
                           AND d.content_id = e.content_id) AS content_kept
            FROM erasure e JOIN collection c ON c.id = e.collection_id
            WHERE e.document = %(document)s
            """,
            {"document": document},
        )
        return await cur.fetchone()


async def finish_erasure(conn: AsyncConnection, erasure: Erasure) -> None:
    """Remove the erasure and the jobs that still name the document."""
    await conn.execute("DELETE FROM erasure WHERE id = %(id)s", {"id": erasure.id})
    await conn.execute(
        """
        DELETE FROM jobs.procrastinate_jobs
        WHERE args ->> 'document' = %(document)s::text AND status <> 'doing'
        """,
        {"document": erasure.document},
    )


async def rescue_jobs(conn: AsyncConnection, seconds: int, lost: Sequence[int]) -> list[int]:
    """Queue again the jobs of workers without a heartbeat, and jobs known to be lost."""
    async with conn.cursor(row_factory=scalar_row) as cur:
        await cur.execute(
            """
            SELECT j.id FROM jobs.procrastinate_jobs j
            LEFT JOIN jobs.procrastinate_workers w ON w.id = j.worker_id,
            LATERAL jobs.procrastinate_retry_job_v2(j.id, now(), NULL, NULL, NULL) again
            WHERE j.status = 'doing' AND (
              w.id IS NULL OR w.last_heartbeat < now() - make_interval(secs => %(seconds)s)
              OR j.id = ANY (%(lost)s))
            """,
            {"seconds": seconds, "lost": list(lost)},
        )
        return await cur.fetchall()


async def list_own_jobs(conn: AsyncConnection, worker: int) -> set[int]:
    """Return the jobs that a worker is said to work on."""
    async with conn.cursor(row_factory=scalar_row) as cur:
        await cur.execute(
            """
            SELECT id FROM jobs.procrastinate_jobs
            WHERE status = 'doing' AND worker_id = %(w)s
            """,
            {"w": worker},
        )
        return set(await cur.fetchall())


async def count_blocks(conn: AsyncConnection) -> tuple[int, int]:
    """Return how many blocks of postings there are, and how many there would be if full."""
    found = await conn.execute(
        """
        SELECT coalesce(sum(t.blocks), 0)::int, coalesce(sum(ceil(t.n / 128.0)), 0)::int
        FROM (SELECT count(*) AS blocks, sum(n) AS n FROM posting_block
              GROUP BY term_id, class_id) t
        """
    )
    blocks, full = (await found.fetchall())[0]
    return blocks, full


async def compact(conn: AsyncConnection, low: int, high: int) -> None:
    """Rewrite the postings of a range of terms into full blocks."""
    await conn.execute("SELECT lex_compact(%(low)s, %(high)s)", {"low": low, "high": high})
    await conn.execute("SELECT lex_fold_counts()")


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return None
