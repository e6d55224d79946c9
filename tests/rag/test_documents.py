from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection

from appliance.identity.principal import ForbiddenError
from appliance.rag import documents
from appliance.rag.documents import UnknownDocumentError
from appliance.rag.retrieve import UnknownCollectionError, retrieve
from tests.rag.library import ALICE, BOB, Book, declare, put, transaction

OWN, SHARED, MOVING = uuid4(), uuid4(), uuid4()


@pytest.fixture
def console(worker_database: str, console_database: str) -> str:
    async def fill(conn: AsyncConnection) -> None:
        await declare(conn, "rh", 1, rh=True)
        await declare(conn, "commun", 0, rh=False, dsi=True)
        await declare(conn, "vide", 0, rh=False)
        await put(conn, Book("rh", "Règlement", ["Un texte.", "Suite."], public_id=OWN))
        await put(
            conn, Book("rh", "Projet", ["Autre."], public_id=MOVING, progress="embedding")
        )
        await put(conn, Book("commun", "Note", ["Commune."], public_id=SHARED))

    transaction(worker_database, None, fill)
    return console_database


def test_collections_say_what_one_may_do_in_them(console: str) -> None:
    found = transaction(console, ALICE, documents.visible_collections)
    assert [(c.slug, c.label, c.writable, c.documents, c.moving) for c in found] == [
        ("commun", 0, False, 1, 0),
        ("rh", 1, True, 2, 1),
        ("vide", 0, False, 0, 0),
    ]
    assert found[0].groups == ["/equipes/rh"]  # of the caller, not those of others
    found = transaction(console, BOB, documents.visible_collections)
    assert [(c.slug, c.writable) for c in found] == [("commun", True)]


def test_documents_are_listed_newest_first(console: str) -> None:
    found = transaction(console, ALICE, lambda c: documents.list_documents(c, "rh"))
    assert [(d.title, d.progress, d.pages) for d in found] == [
        ("Projet", "embedding", 1),
        ("Règlement", "ready", 2),
    ]
    assert transaction(console, ALICE, lambda c: documents.list_documents(c, "vide")) == []


def test_a_deleted_document_is_as_if_it_had_never_been(console: str) -> None:
    transaction(console, ALICE, lambda c: documents.delete_document(c, OWN))
    for work in (documents.find_document, documents.page_of, documents.delete_document):
        with pytest.raises(UnknownDocumentError) as caught:
            transaction(console, ALICE, lambda c, w=work: w(c, OWN))  # type: ignore[misc]
        assert str(caught.value) == str(UnknownDocumentError())
    found = transaction(console, ALICE, lambda c: retrieve(c, "texte suite", ["rh"]))
    assert found == []


@pytest.mark.parametrize("change", [documents.delete_document, documents.relaunch_document])
def test_who_reads_does_not_delete(
    console: str, change: Callable[[AsyncConnection, UUID], Awaitable[None]]
) -> None:

    async def work(conn: AsyncConnection) -> None:
        await change(conn, SHARED)

    with pytest.raises(ForbiddenError):
        transaction(console, ALICE, work)
    assert (
        transaction(console, ALICE, lambda c: documents.find_document(c, SHARED)).title
        == "Note"
    )
    transaction(console, BOB, work)


@pytest.mark.parametrize("page", [0, -1, 3, 10**9])
def test_a_page_that_is_not_there_is_an_unknown_document(console: str, page: int) -> None:
    with pytest.raises(UnknownDocumentError):
        transaction(console, ALICE, lambda c: documents.page_of(c, OWN, page))


def test_a_passage_of_another_document_opens_nothing(console: str) -> None:
    async def passage(conn: AsyncConnection) -> UUID:
        return (await retrieve(conn, "commune", ["commun"]))[0].id

    other = transaction(console, ALICE, passage)
    with pytest.raises(UnknownDocumentError):
        transaction(console, ALICE, lambda c: documents.page_of(c, OWN, 1, other))


def test_a_list_of_what_is_not_there_is_an_error(console: str) -> None:
    with pytest.raises(UnknownCollectionError):
        transaction(console, ALICE, lambda c: documents.list_documents(c, "absente"))
