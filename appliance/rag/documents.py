"""Collections and documents as people see them: lists, states, source pages, deletion.

Everything runs in a transaction of the caller (`identity/store.act_as`). What is hidden and
what does not exist are the same error with the same text.
"""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from psycopg import AsyncConnection

from appliance.errors import ApplianceError


class UnknownDocumentError(ApplianceError):
    """No such document, page or passage, or none that the caller may read: no telling which."""

    code = "CM-DOC-01"

    def __init__(self) -> None:
        super().__init__("no such document")


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection that the caller may read."""

    slug: str
    title: str
    label: int
    groups: list[str]  # those of the caller that open it
    writable: bool
    documents: int
    moving: int  # documents on their way to `ready`


@dataclass(frozen=True, slots=True)
class Document:
    """A document that the caller may read."""

    id: UUID
    collection: str  # slug
    label: int
    name: str  # path as it was deposited
    title: str
    kind: str | None  # pdf, docx, html, markdown, text; None until parsed
    owner: str
    reference: str | None
    version: str | None
    dated: date | None
    state: str  # in_force, replaced, repealed
    progress: str  # waiting, parsing, embedding (found by words already), ready, failed
    reason: str | None  # of the failure: a code of `parse.Reason`
    bytes: int
    deposited_at: datetime
    pages: int
    writable: bool


@dataclass(frozen=True, slots=True)
class PageText:
    """A page of a source, with what is marked in it."""

    document: UUID
    collection: str  # slug
    label: int
    title: str
    kind: str
    dated: date | None
    state: str
    page: int
    pages: int
    paged: bool  # page numbers are those of the original
    section: str  # of the passage, or ""
    text: str
    start: int  # mark: text[start:end]; 0, 0 without a passage
    end: int


async def visible_collections(conn: AsyncConnection) -> list[Collection]:
    """Return the collections of the caller, by title."""
    raise NotImplementedError


async def list_documents(
    conn: AsyncConnection, slug: str, *, limit: int = 200, offset: int = 0
) -> list[Document]:
    """Return documents of a collection, newest first.

    Raises:
        UnknownCollectionError: It is hidden or does not exist.
    """
    raise NotImplementedError


async def find_document(conn: AsyncConnection, document: UUID) -> Document:
    """Return one document.

    Raises:
        UnknownDocumentError: It is hidden or does not exist.
    """
    raise NotImplementedError


async def page_of(
    conn: AsyncConnection, document: UUID, page: int = 1, passage: UUID | None = None
) -> PageText:
    """Return the text of a page; with `passage`, of that passage's page, with its mark.

    Raises:
        UnknownDocumentError: Any of them is hidden or does not exist.
    """
    raise NotImplementedError


async def delete_document(conn: AsyncConnection, document: UUID) -> None:
    """Delete a document: no route, search, job or key reaches it once this commits.

    Raises:
        UnknownDocumentError: It is hidden or does not exist.
        ForbiddenError: The caller may read it, not write its collection.
    """
    raise NotImplementedError


async def relaunch_document(conn: AsyncConnection, document: UUID) -> None:
    """Parse a failed document again; one that has not failed stays as it is.

    Raises:
        UnknownDocumentError: It is hidden or does not exist.
        ForbiddenError: The caller may read it, not write its collection.
    """
    raise NotImplementedError
