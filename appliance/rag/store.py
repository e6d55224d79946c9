"""Every SQL statement of the documents domain, one function each.

Functions take an open connection and never commit: the caller owns the transaction. Which rows
are seen is decided by the policies of `0021_need_to_know.sql`, from the principal of the
transaction; the role of the worker sees all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from appliance.rag.document import Collection, Document, PageText, Shelf, Source


@dataclass(frozen=True, slots=True)
class PassageRow:
    """A passage that a search found."""

    id: UUID
    document: UUID
    collection: str
    title: str
    kind: str
    page: int
    section: str
    first_char: int
    past_char: int
    label: int
    dated: date | None
    state: str
    body: str
    score: float
    lexical: float
    cosine: float | None


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A row to insert. The owner is the subject of the transaction."""

    public_id: UUID
    collection_id: int
    name: str
    title: str
    size: int  # bytes
    content_id: bytes
    wrapped_key: bytes


async def find_classes(conn: AsyncConnection, slugs: Sequence[str]) -> dict[str, list[int]]:
    """Return the classes of those of the collections that the caller may read."""
    found = await conn.execute(
        """
        SELECT c.slug, array_agg(p.id ORDER BY p.id)
        FROM collection c JOIN passage_class p ON p.collection_id = c.id
        WHERE c.slug = ANY (%(slugs)s) GROUP BY 1
        """,
        {"slugs": list(slugs)},
    )
    return dict(await found.fetchall())


async def search(
    conn: AsyncConnection,
    question: str,
    classes: Sequence[int],
    k: int,
    near: tuple[Sequence[float], float] | None,
) -> list[PassageRow]:
    """Return the best passages of these classes; `near`: vector of length 1, weight."""
    vector, weight = near or (None, 0.0)
    async with conn.cursor(row_factory=class_row(PassageRow)) as cur:
        await cur.execute(
            """
            SELECT p.public_id AS id, d.public_id AS document, c.slug AS collection, d.title,
                   d.kind, p.page, p.section, p.first_char, p.past_char, c.label, d.dated,
                   d.state, p.body, s.score, s.lexical, s.cosine
            FROM hybrid_search(%(question)s, %(classes)s, %(vector)s::halfvec,
                               %(weight)s, %(k)s) s
            JOIN passage p ON p.id = s.passage_id
            JOIN document d ON d.id = p.document_id
            JOIN collection c ON c.id = d.collection_id
            ORDER BY s.score DESC, s.passage_id
            """,
            {
                "question": question,
                "classes": list(classes),
                "vector": None if vector is None else vector_text(vector),
                "weight": weight,
                "k": k,
            },
        )
        return await cur.fetchall()


async def list_collections(conn: AsyncConnection) -> list[Collection]:
    """Return the collections of the caller, by title."""
    async with conn.cursor(row_factory=class_row(Collection)) as cur:
        await cur.execute(
            """
            SELECT c.slug, c.title, c.label,
                   ARRAY(SELECT g.group_path FROM collection_group g
                         WHERE g.collection_id = c.id ORDER BY 1) AS groups,
                   c.id = ANY (writable_collection()) AS writable,
                   count(d.id)::int AS documents,
                   (count(d.id) FILTER (WHERE d.progress NOT IN ('ready', 'failed')))::int
                     AS moving
            FROM collection c LEFT JOIN document d ON d.collection_id = c.id
            GROUP BY c.id ORDER BY c.title, c.slug
            """
        )
        return await cur.fetchall()


async def list_documents(
    conn: AsyncConnection,
    *,
    slug: str | None = None,
    document: UUID | None = None,
    limit: int = 1,
    offset: int = 0,
) -> list[Document]:
    """Return documents of a collection, newest first, or one document."""
    async with conn.cursor(row_factory=class_row(Document)) as cur:
        await cur.execute(
            """
            SELECT d.public_id AS id, c.slug AS collection, c.label, d.name, d.title, d.kind,
                   d.owner, d.reference, d.version, d.dated, d.state, d.progress, d.reason,
                   d.size, d.deposited_at,
                   d.collection_id = ANY (writable_collection()) AS writable,
                   (SELECT count(*)::int FROM document_page p
                    WHERE p.document_id = d.id) AS pages
            FROM document d JOIN collection c ON c.id = d.collection_id
            WHERE (%(slug)s::text IS NULL OR c.slug = %(slug)s)
              AND (%(document)s::uuid IS NULL OR d.public_id = %(document)s)
            ORDER BY d.deposited_at DESC, d.id DESC LIMIT %(limit)s OFFSET %(offset)s
            """,
            {"slug": slug, "document": document, "limit": limit, "offset": offset},
        )
        return await cur.fetchall()


async def find_page(
    conn: AsyncConnection, document: UUID, page: int, passage: UUID | None
) -> PageText | None:
    """Return a page, or the page of a passage with the passage's range."""
    async with conn.cursor(row_factory=class_row(PageText)) as cur:
        await cur.execute(
            """
            SELECT d.public_id AS document, c.slug AS collection, c.label, d.title, d.kind,
                   d.dated, d.state, t.page, t.body AS text, coalesce(p.section, '') AS section,
                   coalesce(p.first_char, 0) AS start, coalesce(p.past_char, 0) AS end,
                   (SELECT count(*)::int FROM document_page o
                    WHERE o.document_id = d.id) AS pages
            FROM document d
            JOIN collection c ON c.id = d.collection_id
            LEFT JOIN passage p ON p.document_id = d.id AND p.public_id = %(passage)s
            JOIN document_page t ON t.document_id = d.id AND t.page = coalesce(p.page, %(page)s)
            WHERE d.public_id = %(document)s
              AND (%(passage)s::uuid IS NULL OR p.public_id IS NOT NULL)
            """,
            {"document": document, "page": page, "passage": passage},
        )
        return await cur.fetchone()


async def find_shelf(conn: AsyncConnection, slug: str) -> Shelf | None:
    """Return a collection as the place of a deposit. The worker may write in each."""
    async with conn.cursor(row_factory=class_row(Shelf)) as cur:
        await cur.execute(
            """
            SELECT c.id, c.public_id AS vault,
                   current_user = 'casemate_worker'
                     OR c.id = ANY (writable_collection()) AS writable
            FROM collection c WHERE c.slug = %(slug)s
            """,
            {"slug": slug},
        )
        return await cur.fetchone()


async def lock(conn: AsyncConnection, what: bytes) -> None:
    """Wait until no other transaction works on this document or these contents."""
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended(%(what)s, 20))", {"what": what.hex()}
    )


async def find_content(
    conn: AsyncConnection, collection_id: int, content_id: bytes
) -> UUID | None:
    """Return the document of a collection that has these contents."""
    async with conn.cursor(row_factory=scalar_row) as cur:
        await cur.execute(
            """
            SELECT public_id FROM document
            WHERE collection_id = %(collection)s AND content_id = %(content)s
            """,
            {"collection": collection_id, "content": content_id},
        )
        return await cur.fetchone()


async def insert_document(conn: AsyncConnection, new: NewDocument) -> None:
    """Insert a document that waits."""
    await conn.execute(
        """
        INSERT INTO document (public_id, collection_id, owner, name, title, size, content_id,
                              wrapped_key)
        VALUES (%(public_id)s, %(collection_id)s,
                coalesce(current_subject(), 'casemate-worker'), %(name)s, %(title)s, %(size)s,
                %(content_id)s, %(wrapped_key)s)
        """,
        {
            "public_id": new.public_id,
            "collection_id": new.collection_id,
            "name": new.name,
            "title": new.title,
            "size": new.size,
            "content_id": new.content_id,
            "wrapped_key": new.wrapped_key,
        },
    )


async def add_job(conn: AsyncConnection, task: str, document: UUID) -> None:
    """Add a durable job for a document, with the transaction."""
    await conn.execute(
        """
        SELECT jobs.procrastinate_defer_jobs_v1(ARRAY[
          ('documents', %(task)s, 0, %(lock)s, NULL,
           jsonb_build_object('document', %(document)s::text), NULL)
        ]::jobs.procrastinate_job_to_defer_v1[])
        """,
        {"task": task, "lock": f"document:{document}", "document": str(document)},
    )


async def delete_document(conn: AsyncConnection, document: UUID) -> bool:
    """Delete a document and leave an erasure; false when there is nothing to delete."""
    erased = await conn.execute(
        """
        INSERT INTO erasure (collection_id, document, actor, content_id, class_id, passages,
                             terms)
        SELECT d.collection_id, d.public_id, coalesce(current_subject(), 'casemate-worker'),
               d.content_id, c.id, x.ids, lex_terms(x.ids)
        FROM document d
        JOIN passage_class c ON c.collection_id = d.collection_id
                            AND c.in_force = (d.state = 'in_force'),
        LATERAL (SELECT ARRAY(SELECT l.passage_id FROM passage p JOIN passage_lex l
                              ON l.passage_id = p.id WHERE p.document_id = d.id) AS ids) x
        WHERE d.public_id = %(document)s
          AND (current_user = 'casemate_worker'
               OR d.collection_id = ANY (writable_collection()))
        """,
        {"document": document},
    )
    if not erased.rowcount:
        return False
    await add_job(conn, "forget", document)  # while the document can be seen: see 0024_jobs.sql
    await conn.execute("DELETE FROM document WHERE public_id = %(d)s", {"d": document})
    return True


async def relaunch(conn: AsyncConnection, document: UUID) -> bool:
    """Make a failed document wait again; false when it has not failed."""
    done = await conn.execute(
        """
        UPDATE document SET progress = 'waiting', reason = NULL
        WHERE public_id = %(document)s AND progress = 'failed'
        """,
        {"document": document},
    )
    return bool(done.rowcount)


async def find_original(conn: AsyncConnection, document: UUID) -> Source | None:
    """Return a document with what opens its original. Not for the role of the gateway."""
    async with conn.cursor(row_factory=class_row(Source)) as cur:
        await cur.execute(
            """
            SELECT d.id, d.public_id, c.public_id AS vault, c.slug, c.label, d.owner, d.name,
                   d.title, d.progress, p.id AS class_id, d.content_id, d.wrapped_key
            FROM document d JOIN collection c ON c.id = d.collection_id
            JOIN passage_class p ON p.collection_id = c.id
                                AND p.in_force = (d.state = 'in_force')
            WHERE d.public_id = %(document)s
            """,
            {"document": document},
        )
        return await cur.fetchone()


def vector_text(vector: Sequence[float]) -> str:
    """Return a vector as pgvector reads it."""
    return "[" + ",".join(f"{value:.6g}" for value in vector) + "]"


async def erase_range(conn: AsyncConnection, first: int, end: int) -> int:
    """Delete the rows of the records from `first` to before `end`; return how many."""
    done = await conn.execute(
        "DELETE FROM content WHERE record >= %(first)s AND record < %(end)s",
        {"first": first, "end": end},
    )
    return done.rowcount


async def count_content(conn: AsyncConnection, months: int) -> int:
    """Return how many rows of the owners' histories are older."""
    found = await conn.execute(
        "SELECT count(*) FROM content WHERE at < now() - make_interval(months => %(months)s)",
        {"months": months},
    )
    row = await found.fetchone()
    return int(row[0]) if row else 0


async def erase_content(conn: AsyncConnection, months: int, limit: int) -> list[int]:
    """Delete from the owners' histories what is older, up to the first row that stays.

    Returns:
        The records of the deleted rows, at most `limit`. No row that stays has a record between
        two of them: other rows that are too old are found by the next call.
    """
    done = await conn.execute(
        """
        WITH bound AS (SELECT now() - make_interval(months => %(months)s) AS at),
        oldest AS (
          SELECT min(record) AS record FROM content, bound WHERE content.at < bound.at),
        kept AS (
          SELECT min(content.record) AS record FROM content, bound, oldest
           WHERE content.at >= bound.at AND content.record > oldest.record),
        chosen AS (
          SELECT content.record FROM content, bound, oldest, kept
           WHERE content.at < bound.at AND content.record >= oldest.record
             AND (kept.record IS NULL OR content.record < kept.record)
           ORDER BY content.record LIMIT %(limit)s)
        DELETE FROM content USING bound, chosen
         WHERE content.record = chosen.record AND content.at < bound.at
        RETURNING content.record
        """,
        {"months": months, "limit": limit},
    )
    return [record for (record,) in await done.fetchall()]
