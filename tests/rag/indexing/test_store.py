from collections.abc import Sequence

import psycopg
import pytest
from psycopg import AsyncConnection, sql

from appliance.rag import store
from appliance.rag.indexing import store as index
from tests.rag.library import Book, declare, direction, put, transaction

TRACES = ("document_page", "passage", "passage_lex", "passage_vector", "posting_block")


def rows(dsn: str, table: str) -> int:
    with psycopg.connect(dsn) as conn:
        return conn.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(table))).rowcount


def count(dsn: str) -> int:
    """Return how many passages the classes are said to hold."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute("SELECT coalesce(sum(n), 0) FROM class_count").fetchone()
        return int(row[0]) if row else 0


async def shelf(conn: AsyncConnection) -> None:
    await declare(conn, "rh", 1, rh=True)


def test_declaring_twice_changes_nothing_and_a_change_is_told(worker_database: str) -> None:
    async def declare_all(conn: AsyncConnection) -> list[bool]:
        def declared(title: str, **groups: bool) -> index.Declared:
            return index.Declared("rh", title, 1, {f"/{g}": may for g, may in groups.items()})

        steps = [
            declared("Un", a=True),
            declared("Un", a=True),
            declared("Deux", a=True),
            declared("Deux", a=False),
            declared("Deux", a=False, b=True),
            declared("Deux", b=True),
            declared("Deux", b=True),
        ]
        return [await index.declare_collection(conn, step) for step in steps]

    told = transaction(worker_database, None, declare_all)
    assert told == [True, False, True, True, True, True, False]
    assert rows(worker_database, "passage_class") == 2
    assert rows(worker_database, "collection_group") == 1


def test_text_put_in_twice_is_there_once(worker_database: str) -> None:
    async def twice(conn: AsyncConnection) -> None:
        await shelf(conn)
        book = Book("rh", "A", ["Le chat dort.", "Le chien court."], [direction(1)] * 2)
        await put(conn, book)
        source = await store.find_original(conn, book.public_id)
        assert source is not None
        text = index.Text(
            "text", "A", ["Le chat"], [index.NewPassage(1, "", 0, 7, "Le chat")], {}
        )
        await index.replace_text(conn, source.id, source.class_id, text)

    transaction(worker_database, None, twice)
    assert rows(worker_database, "passage") == 1
    assert rows(worker_database, "document_page") == 1
    assert count(worker_database) == 1
    with psycopg.connect(worker_database) as conn:
        ids = conn.execute("SELECT DISTINCT unnest(ids) FROM posting_block").fetchall()
        assert ids == conn.execute("SELECT id FROM passage").fetchall()


@pytest.mark.parametrize(
    "vectors", [[], [direction(1), direction(0, 1)]], ids=["words", "vectors"]
)
def test_a_deletion_leaves_no_trace_in_any_table(
    worker_database: str, vectors: Sequence[Sequence[float]]
) -> None:
    async def put_and_delete(conn: AsyncConnection) -> None:
        await shelf(conn)
        book = Book("rh", "A", ["Le chat dort.", "Le chien court."], vectors)
        await put(conn, book)
        await store.add_job(conn, "embed", book.public_id)
        assert await store.delete_document(conn, book.public_id)
        erasure = await index.find_erasure(conn, book.public_id)
        assert erasure is not None
        assert not erasure.content_kept
        await index.forget_postings(conn, erasure.class_id, erasure.passages, erasure.terms)
        await index.finish_erasure(conn, erasure)

    transaction(worker_database, None, put_and_delete)
    assert [rows(worker_database, table) for table in (*TRACES, "document", "erasure")] == [
        0
    ] * 7
    assert count(worker_database) == 0
    with psycopg.connect(worker_database) as conn:
        assert conn.execute("SELECT FROM jobs.procrastinate_jobs").rowcount == 0


def test_a_deletion_leaves_the_others_as_if_it_had_never_been(worker_database: str) -> None:
    async def ask(conn: AsyncConnection) -> list[tuple[str, float]]:
        classes = (await store.find_classes(conn, ["rh"]))["rh"]
        found = await store.search(conn, "chat chien souris", classes, 8, None)
        return [(row.body, row.score) for row in found]

    async def run(conn: AsyncConnection) -> None:
        await shelf(conn)
        await put(conn, Book("rh", "A", ["Le chat dort.", "Le chien court."]))
        before = await ask(conn)
        gone = Book("rh", "B", ["La souris et le chat."] * 300)
        await put(conn, gone)
        assert await ask(conn) != before
        await store.delete_document(conn, gone.public_id)
        erasure = await index.find_erasure(conn, gone.public_id)
        assert erasure is not None
        await index.forget_postings(conn, erasure.class_id, erasure.passages, erasure.terms)
        assert await ask(conn) == before

    transaction(worker_database, None, run)


def test_the_same_bytes_again_keep_their_original(worker_database: str) -> None:
    async def run(conn: AsyncConnection) -> None:
        await shelf(conn)
        book = Book("rh", "A", ["Le chat dort."])
        await put(conn, book)
        await store.delete_document(conn, book.public_id)
        again = Book("rh", "A", ["Le chat dort."])
        await put(conn, again)
        await conn.execute("UPDATE document SET content_id = (SELECT content_id FROM erasure)")
        erasure = await index.find_erasure(conn, book.public_id)
        assert erasure is not None
        assert erasure.content_kept

    transaction(worker_database, None, run)


def test_vectors_are_asked_for_once_and_in_order(worker_database: str) -> None:
    async def run(conn: AsyncConnection) -> None:
        await shelf(conn)
        book = Book("rh", "A", ["un chat", "deux chats", "trois chats"], [None, direction(1)])
        ids = await put(conn, book)
        source = await store.find_original(conn, book.public_id)
        assert source is not None
        unread = await index.next_unread(conn, source.id, 0, 9)
        assert [u.id for u in unread] == [ids[0], ids[2]]
        assert [u.id for u in await index.next_unread(conn, source.id, 1, 9)] == [ids[2]]
        await index.insert_vectors(
            conn, {ids[0]: direction(1), ids[1]: direction(1), 999: direction(1)}
        )
        assert [u.id for u in await index.next_unread(conn, source.id, 0, 9)] == [ids[2]]

    transaction(worker_database, None, run)


def test_what_no_job_will_come_to_is_listed(worker_database: str) -> None:
    async def run(conn: AsyncConnection) -> None:
        await shelf(conn)
        waiting = Book("rh", "A", ["un chat"], progress="waiting")
        embedding = Book("rh", "B", ["un chien"], progress="embedding")
        kept = Book("rh", "C", ["un rat"], progress="waiting")
        for book in (waiting, embedding, kept, Book("rh", "D", ["un loup"])):
            await put(conn, book)
        await store.add_job(conn, "ingest", kept.public_id)
        assert set(await index.list_unfinished(conn)) == {
            ("ingest", waiting.public_id),
            ("embed", embedding.public_id),
        }
        await store.delete_document(conn, waiting.public_id)
        await conn.execute("DELETE FROM jobs.procrastinate_jobs WHERE task_name = 'forget'")
        assert ("forget", waiting.public_id) in await index.list_unfinished(conn)

    transaction(worker_database, None, run)


def test_jobs_of_a_dead_worker_are_queued_again_and_others_are_not(
    worker_database: str,
) -> None:
    async def run(conn: AsyncConnection) -> None:
        await shelf(conn)
        book = Book("rh", "A", ["un chat"])
        await put(conn, book)
        for _ in range(4):
            await store.add_job(conn, "ingest", book.public_id)
        await conn.execute(
            """
            WITH w AS (INSERT INTO jobs.procrastinate_workers (last_heartbeat)
                       VALUES (now()), (now() - interval '9 seconds') RETURNING id)
            UPDATE jobs.procrastinate_jobs j SET status = 'doing', lock = NULL,
              worker_id = (SELECT id FROM w ORDER BY id LIMIT 1 OFFSET (j.id % 4 = 1)::int)
            WHERE j.id % 4 > 0
            """
        )
        await conn.execute(
            "UPDATE jobs.procrastinate_jobs SET worker_id = NULL WHERE id % 4 = 2"
        )
        alive = await (
            await conn.execute("SELECT min(id) FROM jobs.procrastinate_workers")
        ).fetchone()
        assert alive is not None
        assert await index.list_own_jobs(conn, alive[0]) == {3}
        assert sorted(await index.rescue_jobs(conn, 8, [])) == [1, 2]
        assert await index.rescue_jobs(conn, 8, []) == []
        assert await index.rescue_jobs(conn, 8, [3]) == [3]

    transaction(worker_database, None, run)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("2026-03-01", "2026-03-01"),
        ("2026-03-01T10:00", "2026-03-01"),
        ("mars 2026", None),
        ("", None),
    ],
)
def test_what_the_author_wrote_is_kept(
    worker_database: str, written: str, kept: str | None
) -> None:
    async def run(conn: AsyncConnection) -> None:
        await shelf(conn)
        book = Book("rh", "A", ["un chat"])
        await put(conn, book)
        source = await store.find_original(conn, book.public_id)
        assert source is not None
        text = index.Text(
            "markdown", "Titre", ["x"], [], {"reference": "NS-1", "date": written}
        )
        await index.replace_text(conn, source.id, source.class_id, text)
        (document,) = await store.list_documents(conn, document=book.public_id)
        assert (document.reference, document.title, document.version) == ("NS-1", "Titre", None)
        assert (document.dated and document.dated.isoformat()) == kept

    transaction(worker_database, None, run)
