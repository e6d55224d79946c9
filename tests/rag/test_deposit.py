import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection

from appliance.errors import ApplianceError
from appliance.identity.principal import ForbiddenError
from appliance.rag import deposit as module
from appliance.rag import documents, store
from appliance.rag.deposit import (
    Deposit,
    EmptyFileError,
    TooLargeError,
    bounded,
    clean_name,
    deposit,
    keep,
    received,
    title_of,
)
from appliance.rag.objects import Objects, Stored
from appliance.rag.retrieve import UnknownCollectionError
from tests.rag.library import ALICE, declare, opening, principal, transaction


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path, b"k" * 32)


@pytest.fixture
def console(worker_database: str, console_database: str) -> str:
    async def shelves(conn: AsyncConnection) -> None:
        await declare(conn, "rh", 1, rh=True)
        await declare(conn, "notes", 1, rh=True)
        await declare(conn, "commun", 0, rh=False)
        await declare(conn, "secret", 3, rh=True)

    transaction(worker_database, None, shelves)
    return console_database


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def put(
    dsn: str, objects: Objects, *parts: bytes, slug: str = "rh", name: str = "dossier/a.txt"
) -> Deposit:
    return asyncio.run(deposit(opening(dsn, ALICE), objects, slug, name, chunks(*parts)))


def test_a_deposit_is_a_row_a_job_and_an_encrypted_original(
    console: str, worker_database: str, objects: Objects
) -> None:
    done = put(console, objects, b"Un ", b"texte.")
    assert (done.name, done.present) == ("dossier/a.txt", False)
    document = transaction(console, ALICE, lambda c: documents.find_document(c, done.document))
    assert (document.owner, document.progress, document.title) == ("alice", "waiting", "a")
    assert (document.size, document.collection, document.writable) == (9, "rh", True)
    source = transaction(worker_database, None, lambda c: store.find_original(c, done.document))
    assert source is not None
    stored = Stored(source.content_id, source.wrapped_key, 9)
    assert objects.read(source.vault, stored) == b"Un texte."
    with psycopg.connect(worker_database) as conn:
        jobs = conn.execute("SELECT task_name, args FROM jobs.procrastinate_jobs").fetchall()
    assert jobs == [("ingest", {"document": str(done.document)})]


def test_the_same_bytes_again_are_already_present(console: str, objects: Objects) -> None:
    first = put(console, objects, b"Un texte.")
    again = put(console, objects, b"Un texte.", name="autre nom.txt")
    assert (again.document, again.present) == (first.document, True)
    elsewhere = put(console, objects, b"Un texte.", slug="notes")
    assert (elsewhere.present, elsewhere.document != first.document) == (False, True)
    listed = transaction(console, ALICE, lambda c: documents.list_documents(c, "rh"))
    assert [d.id for d in listed] == [first.document]
    assert len([path for path in objects.folder.rglob("*") if path.is_file()]) == 2


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(("absente", [b"x"], UnknownCollectionError), id="no such collection"),
        pytest.param(("secret", [b"x"], UnknownCollectionError), id="hidden collection"),
        pytest.param(("commun", [b"x"], ForbiddenError), id="read only"),
        pytest.param(("rh", [], EmptyFileError), id="nothing"),
        pytest.param(("rh", [b"", b""], EmptyFileError), id="empty parts"),
        pytest.param(("rh", [b"x" * 60, b"x" * 41], TooLargeError), id="too large"),
    ],
)
def test_a_refused_deposit_leaves_nothing(
    console: str,
    objects: Objects,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[str, list[bytes], type[ApplianceError]],
) -> None:
    slug, parts, error = case
    monkeypatch.setattr(module, "bounded", lambda c: bounded(c, 100))
    with pytest.raises(error):
        put(console, objects, *parts, slug=slug)
    assert [path for path in objects.folder.rglob("*") if path.is_file()] == []
    assert transaction(console, ALICE, lambda c: documents.list_documents(c, "rh")) == []


def test_a_deposit_that_is_rolled_back_can_be_made_again(
    console: str, objects: Objects
) -> None:
    begin = opening(console, ALICE)

    async def give_up() -> None:
        arriving = received(begin, objects, "rh", chunks(b"Un texte."))
        async with arriving as incoming, begin() as conn:
            await keep(conn, "rh", "a.txt", incoming)
            raise psycopg.Rollback

    with pytest.raises(psycopg.Rollback):
        asyncio.run(give_up())
    assert put(console, objects, b"Un texte.").present is False


def test_nobody_deposits(console: str, objects: Objects) -> None:
    stranger = principal("mallory", (), 9)
    for caller in (None, stranger):
        begin = opening(console, caller)
        with pytest.raises(UnknownCollectionError):
            asyncio.run(deposit(begin, objects, "rh", "a.txt", chunks(b"x")))


def test_no_connection_is_held_while_a_file_comes_in(console: str, objects: Objects) -> None:
    """A slow upload does not take a connection from the others."""
    begin, open_now = opening(console, ALICE), 0

    @asynccontextmanager
    async def counted() -> AsyncIterator[AsyncConnection]:
        nonlocal open_now
        async with begin() as conn:
            open_now += 1
            yield conn
            open_now -= 1

    async def slow() -> AsyncIterator[bytes]:
        yield b"Un "
        assert open_now == 0
        yield b"texte."

    assert not asyncio.run(deposit(counted, objects, "rh", "a.txt", slow())).present


def test_rights_are_asked_for_again_when_the_file_is_there(
    console: str, worker_database: str, objects: Objects
) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"Un texte."
        async with await AsyncConnection.connect(worker_database) as conn:
            await declare(conn, "rh", 1, rh=False)

    with pytest.raises(ForbiddenError):
        asyncio.run(deposit(opening(console, ALICE), objects, "rh", "a.txt", slow()))
    assert [path for path in objects.folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("a.txt", "a.txt"),
        ("dossier/sous/a.txt", "dossier/sous/a.txt"),
        ("..\\..\\a.txt", "a.txt"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a\x00b\n\u202ec.txt", "abc.txt"),
        ("e\u0301te\u0301.txt", "été.txt"),
        ("", "document"),
        ("././.", "document"),
        ("x" * 1000 + ".txt", "x" * 396 + ".txt"),
    ],
)
def test_names_are_for_people(name: str, clean: str) -> None:
    assert clean_name(name) == clean


@pytest.mark.parametrize(
    ("name", "title"),
    [("2026/charte_teletravail.pdf", "charte teletravail"), (".md", ".md"), ("_.txt", "_.txt")],
)
def test_a_title_comes_from_the_name_until_the_document_is_read(name: str, title: str) -> None:
    assert title_of(name) == title


def test_ids_of_documents_are_not_guessable(console: str, objects: Objects) -> None:
    assert put(console, objects, b"Un texte.").document.version == uuid.uuid4().version
