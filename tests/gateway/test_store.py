"""Table of the history: who may write, read, delete what."""

import asyncio

import msgspec
import psycopg
import pytest

from appliance.gateway.store import ContentRow, add_content


def row(request: str = "r" * 16, owner: str = "ana", label: int = 1) -> ContentRow:
    return ContentRow(
        request, 5, owner, "", None, 1_700_000_000.5, "chat", label, (), "answer",
        b"\x00q", b"\xffa", [{"n": 1, "title": "Note « x »"}], [1],
    )  # fmt: skip


def add(database: str, *rows: ContentRow) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(database) as conn:
            await add_content(conn, list(rows))

    asyncio.run(main())


def seen(
    database: str, subject: str, clearance: str = "2", groups: str = "[]"
) -> list[tuple[object, ...]]:
    with psycopg.connect(database) as conn:
        conn.execute(
            "SELECT set_config('app.subject', %s, true), set_config('app.clearance', %s, true),"
            " set_config('app.groups', %s, true)",
            [subject, clearance, groups],
        )
        return conn.execute(
            "SELECT request, question, answer, passages, citations, at FROM content"
        ).fetchall()


def test_a_row_comes_back_as_it_was_written(
    gateway_database: str, console_database: str
) -> None:
    add(gateway_database, row())
    ((request, question, answer, passages, citations, at),) = seen(console_database, "ana")
    assert (request, question, answer) == ("r" * 16, b"\x00q", b"\xffa")
    assert passages == [{"n": 1, "title": "Note « x »"}]
    assert citations == [1]
    assert at.timestamp() == 1_700_000_000.5  # type: ignore[attr-defined]


def test_a_row_written_twice_is_there_once(
    gateway_database: str, console_database: str
) -> None:
    add(gateway_database, row())
    add(gateway_database, row(), row("s" * 16))
    assert len(seen(console_database, "ana")) == 2


def test_only_the_owner_with_the_clearance_of_today_reads(
    gateway_database: str, console_database: str
) -> None:
    add(gateway_database, row(), row("s" * 16, label=2), row("t" * 16, owner="eve"))
    assert len(seen(console_database, "ana", "2")) == 2
    assert len(seen(console_database, "ana", "1")) == 1
    for subject, clearance in (("", "2"), ("ana", ""), ("ana", "x"), ("bob", "9")):
        assert seen(console_database, subject, clearance) == []


def test_an_answer_from_a_collection_that_is_closed_to_its_owner_now_is_hidden(
    gateway_database: str, console_database: str, worker_database: str
) -> None:
    with psycopg.connect(worker_database) as conn:
        conn.execute("INSERT INTO collection (slug, title, label) VALUES ('notes', 'Notes', 1)")
        conn.execute(
            "INSERT INTO collection_group SELECT id, '/equipes/rh', false FROM collection"
        )
    add(gateway_database, msgspec.structs.replace(row(), collections=("notes",)))
    assert len(seen(console_database, "ana", groups='["/equipes/rh"]')) == 1
    assert seen(console_database, "ana", groups="[]") == []


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM content", "UPDATE content SET label = 0", "DELETE FROM content"],
)
def test_the_gateway_only_writes(gateway_database: str, statement: str) -> None:
    with psycopg.connect(gateway_database) as conn, pytest.raises(psycopg.errors.Error):
        conn.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    ["UPDATE content SET label = 0", "DELETE FROM content", "TRUNCATE content"],
)
def test_the_console_only_reads(console_database: str, statement: str) -> None:
    with psycopg.connect(console_database) as conn, pytest.raises(psycopg.errors.Error):
        conn.execute(statement.encode())


def test_the_worker_deletes_by_age_and_reads_no_text(
    gateway_database: str, worker_database: str, console_database: str
) -> None:
    add(gateway_database, row())
    with psycopg.connect(worker_database) as conn:
        assert conn.execute("DELETE FROM content WHERE at < now()").rowcount == 1
    with (
        psycopg.connect(worker_database) as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute("SELECT question FROM content")
    assert seen(console_database, "ana") == []


@pytest.mark.parametrize(
    "changes", [{"request": "short"}, {"owner": ""}, {"label": 10}, {"outcome": "x"}]
)
def test_the_table_refuses_what_is_no_row(
    gateway_database: str, changes: dict[str, object]
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        add(gateway_database, msgspec.structs.replace(row(), **changes))
