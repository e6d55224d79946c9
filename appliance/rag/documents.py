"""Collections and documents as people see them: lists, states, source pages, deletion.

Everything runs in a transaction of the caller (`identity/store.act_as`). What is hidden and
what does not exist are the same error with the same text.
"""

from uuid import UUID

from psycopg import AsyncConnection

from appliance.errors import ApplianceError
from appliance.identity.principal import ForbiddenError
from appliance.rag import store
from appliance.rag.document import Collection, Document, PageText
from appliance.rag.retrieve import UnknownCollectionError


class UnknownDocumentError(ApplianceError):
    """No such document, page or passage, or none that the caller may read: no telling which."""

    code = "CM-DOC-01"

    def __init__(self) -> None:
        super().__init__("no such document")


async def visible_collections(conn: AsyncConnection) -> list[Collection]:
    """Return the collections of the caller, by title."""
    return await store.list_collections(conn)


async def list_documents(
    conn: AsyncConnection, slug: str, *, limit: int = 200, offset: int = 0
) -> list[Document]:
    """Return documents of a collection, newest first.

    Raises:
        UnknownCollectionError: It is hidden or does not exist.
    """
    if await store.find_shelf(conn, slug) is None:
        raise UnknownCollectionError
    return await store.list_documents(conn, slug=slug, limit=limit, offset=offset)


async def find_document(conn: AsyncConnection, document: UUID) -> Document:
    """Return one document.

    Raises:
        UnknownDocumentError: It is hidden or does not exist.
    """
    for found in await store.list_documents(conn, document=document):
        return found
    raise UnknownDocumentError


async def page_of(
    conn: AsyncConnection, document: UUID, page: int = 1, passage: UUID | None = None
) -> PageText:
    """Return the text of a page; with `passage`, of that passage's page, with its mark.

    Raises:
        UnknownDocumentError: Any of them is hidden or does not exist.
    """
    found = await store.find_page(conn, document, page, passage)
    if found is None:
        raise UnknownDocumentError
    return found


async def delete_document(conn: AsyncConnection, document: UUID) -> None:
    """Delete a document: no route, search, job or key reaches it once this commits.

    Raises:
        UnknownDocumentError: It is hidden or does not exist.
        ForbiddenError: The caller may read it, not write its collection.
    """
    await store.lock(conn, document.bytes)
    await _check_writable(conn, document)
    if not await store.delete_document(conn, document):
        raise UnknownDocumentError


async def relaunch_document(conn: AsyncConnection, document: UUID) -> None:
    """Parse a failed document again; one that has not failed stays as it is.

    Raises:
        UnknownDocumentError: It is hidden or does not exist.
        ForbiddenError: The caller may read it, not write its collection.
    """
    await _check_writable(conn, document)
    if await store.relaunch(conn, document):
        await store.add_job(conn, "ingest", document)


async def _check_writable(conn: AsyncConnection, document: UUID) -> None:
    if not (await find_document(conn, document)).writable:
        raise ForbiddenError("the groups of the caller may not write in this collection")
