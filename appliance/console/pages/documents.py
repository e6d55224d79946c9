"""Documents: collections, deposits, states, source pages, deletion."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from psycopg import AsyncConnection

from appliance.audit.client import new_id
from appliance.audit.event import Kind, fact
from appliance.console.context import Visit, Visitor, token_check, visit_with
from appliance.console.language import mark
from appliance.console.menu import DOCUMENTS
from appliance.console.page import HIGHEST, NO_CONTENT
from appliance.console.turn import STATES, paper
from appliance.console.upload import Check, Parts
from appliance.errors import CODES, ApplianceError
from appliance.identity.principal import ForbiddenError, Scope
from appliance.rag.deposit import MAX_BYTES, keep, received
from appliance.rag.document import Collection, Document
from appliance.rag.documents import (
    UnknownDocumentError,
    delete_document,
    find_document,
    list_documents,
    page_of,
    relaunch_document,
    visible_collections,
)
from appliance.rag.objects import Stored
from appliance.rag.parsed import REASONS
from appliance.rag.retrieve import UnknownCollectionError
from appliance.rag.store import find_original

router = APIRouter(include_in_schema=False, prefix="/documents")
PER_PAGE = 50
_PROGRESS = {
    "waiting": ("", "icon:clock", mark("en attente")),
    "parsing": ("info", "icon:loader-circle", mark("analyse")),
    "embedding": ("info", "icon:loader-circle", mark("vectorisation")),
    "ready": ("ok bare", "icon:check", mark("prêt")),
    "failed": ("bad", "icon:x", mark("échec")),
}
_UNKNOWN = mark("Le document n’a pas pu être lu.")


@dataclass(frozen=True, slots=True)
class Row:
    """A document in the table."""

    document: Document

    def __getattr__(self, name: str) -> object:
        return getattr(self.document, name)

    @property
    def progress_kind(self) -> str:
        """Return the class of the badge."""
        return _PROGRESS[self.document.progress][0]

    @property
    def progress_icon(self) -> str:
        """Return its icon."""
        return _PROGRESS[self.document.progress][1]

    @property
    def progress_text(self) -> str:
        """Return the state of the deposit, a msgid."""
        return _PROGRESS[self.document.progress][2]

    @property
    def reason_text(self) -> str:
        """Return why it failed, a msgid or empty."""
        reason = self.document.reason
        if self.document.progress != "failed":
            return ""
        known = [text for item, text in REASONS.items() if item.value == reason]
        return known[0] if known else _UNKNOWN

    @property
    def state_text(self) -> str:
        """Return whether it is in force, a msgid or empty."""
        return STATES.get(self.document.state, "")


@dataclass(frozen=True, slots=True)
class Deposited:
    """What became of one file."""

    name: str
    present: bool = False
    problem: str = ""  # msgid
    code: str = ""


@router.get("")
async def first(visit: Visitor) -> Response:
    """Show the first collection."""
    return await _page(visit, "", 0)


@router.get("/{slug}")
async def collection_page(
    visit: Visitor, slug: str, apres: Annotated[int, Query(ge=0)] = 0
) -> Response:
    """Show a collection."""
    return await _page(visit, slug, apres)


@router.get("/{slug}/etats")
async def states(visit: Visitor, slug: str, apres: Annotated[int, Query(ge=0)] = 0) -> Response:
    """Return the table again, while documents move."""
    values = await _values(visit, slug, apres)
    return HTMLResponse(visit.part("parts/states.html", **values))


@router.post("/{slug}")
async def upload(request: Request, slug: str) -> Response:
    """Deposit files."""
    visit = await visit_with(request, csrf=False)
    visit.check(Scope.DOCUMENTS_WRITE)
    parts = Parts(request.headers.get("content-type", ""), aiter(request.stream()))
    done = [item async for item in _deposits(visit, slug, parts, token_check(visit, request))]
    if not visit.htmx:
        failed = [item for item in done if item.problem]
        if not failed:
            return RedirectResponse(f"/documents/{slug}", HTTPStatus.SEE_OTHER)
        return await _page(visit, slug, 0, done)
    values = await _values(visit, slug, 0)
    return HTMLResponse(visit.part("parts/deposited.html", **values, deposits=done))


@router.get("/{slug}/{document}")
async def source_page(
    visit: Visitor,
    slug: str,
    document: UUID,
    page: Annotated[int, Query(ge=1)] = 1,
    passage: UUID | None = None,
) -> Response:
    """Show a page of a document, with a passage marked."""
    visit.check(Scope.DOCUMENTS_READ)
    async with visit.transaction() as conn:
        found = await page_of(conn, document, page, passage)
        collections = await visible_collections(conn)
    if found.collection != slug:
        raise UnknownCollectionError
    opened = fact(
        Kind.RAG_OPEN, visit.caller.subject, new_id(), label=found.label,
        document=str(document), page=found.page,
    )  # fmt: skip
    await visit.console.recorder.append(opened)
    title = next((item.title for item in collections if item.slug == slug), slug)
    shell = visit.shell(found.label, HIGHEST, DOCUMENTS.href)
    day = visit.language.day(_noon(found.dated)) if found.dated else ""
    return visit.page("source.html", shell, page=paper(found), collection=title, day=day)


@router.get("/{slug}/{document}/original")
async def original(visit: Visitor, slug: str, document: UUID) -> Response:
    """Give the original as it was deposited, once that is on record; never shown in place."""
    visit.check(Scope.DOCUMENTS_READ)
    async with visit.transaction() as conn:
        found = await find_original(conn, document)
    if found is None or found.slug != slug:
        raise UnknownDocumentError
    opened = fact(
        Kind.RAG_OPEN, visit.caller.subject, new_id(), label=found.label,
        document=str(document), original=1,
    )  # fmt: skip
    await visit.console.recorder.append(opened)
    stored = Stored(found.content_id, found.wrapped_key, 0)
    data = await asyncio.to_thread(visit.console.objects.read, found.vault, stored)
    name = quote(found.name.rpartition("/")[2])
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return Response(data, media_type="application/octet-stream", headers=headers)


@router.get("/{slug}/{document}/supprimer")
async def ask_delete(visit: Visitor, slug: str, document: UUID) -> Response:
    """Ask for confirmation."""
    visit.check(Scope.DOCUMENTS_WRITE)
    async with visit.transaction() as conn:
        found = await find_document(conn, document)
        collections = await visible_collections(conn)
    title = next((item.title for item in collections if item.slug == slug), slug)
    shell = visit.shell(found.label, HIGHEST, DOCUMENTS.href)
    return visit.page("delete.html", shell, document=found, collection=title)


@router.post("/{slug}/{document}/supprimer")
async def delete(visit: Visitor, slug: str, document: UUID) -> Response:
    """Delete a document, once that is on record."""
    visit.check(Scope.DOCUMENTS_WRITE)
    async with visit.transaction() as conn:
        found = await find_document(conn, document)
        await delete_document(conn, document)
        gone = fact(
            Kind.RAG_DELETE, visit.caller.subject, f"delete-{document.hex}", label=found.label,
            document=str(document), collection=found.collection,
        )  # fmt: skip
        await visit.console.recorder.append(gone)
    return RedirectResponse(f"/documents/{slug}", HTTPStatus.SEE_OTHER)


@router.post("/{slug}/{document}/relancer")
async def relaunch(visit: Visitor, slug: str, document: UUID) -> Response:
    """Parse a failed document again."""
    visit.check(Scope.DOCUMENTS_WRITE)
    async with visit.transaction() as conn:
        await relaunch_document(conn, document)
    return RedirectResponse(f"/documents/{slug}", HTTPStatus.SEE_OTHER)


async def _page(
    visit: Visit, slug: str, offset: int, deposits: Sequence[Deposited] = ()
) -> Response:
    visit.check(Scope.DOCUMENTS_READ, Scope.COLLECTIONS)
    values = await _values(visit, slug, offset)
    collection = values["collection"]
    rank = collection.label if isinstance(collection, Collection) else 0
    shell = visit.shell(rank, HIGHEST if rank else NO_CONTENT, DOCUMENTS.href)
    return visit.page("documents.html", shell, **values, deposits=deposits, max_bytes=MAX_BYTES)


async def _values(visit: Visit, slug: str, offset: int) -> dict[str, Any]:
    """Return what the templates name.

    Raises:
        UnknownCollectionError: The collection is hidden or does not exist.
    """
    async with visit.transaction() as conn:
        collections = await visible_collections(conn)
        chosen = next((c for c in collections if c.slug == slug or not slug), None)
        if chosen is None and slug:
            raise UnknownCollectionError
        found = await _documents(conn, chosen, offset)
    return {
        "collections": collections,
        "collection": chosen,
        "documents": [Row(item) for item in found[:PER_PAGE]],
        "moving": chosen.moving if chosen else 0,
        "total": sum(item.documents for item in collections),
        "older": offset + PER_PAGE if len(found) > PER_PAGE else 0,
        "newer": max(offset - PER_PAGE, 0) if offset else None,
        "query": f"?apres={offset}" if offset else "",
    }


async def _documents(
    conn: AsyncConnection, chosen: Collection | None, offset: int
) -> list[Document]:
    if chosen is None:
        return []
    return await list_documents(conn, chosen.slug, limit=PER_PAGE + 1, offset=offset)


async def _deposits(
    visit: Visit, slug: str, parts: Parts, check: Check
) -> AsyncIterator[Deposited]:
    """Yield what became of each file: one that is refused does not stop the others."""
    async for name, data in parts.files(check):
        try:
            async with (
                received(visit.transaction, visit.console.objects, slug, data) as incoming,
                visit.transaction() as conn,
            ):
                done = await keep(conn, slug, name, incoming)
                if not done.present:
                    event = fact(
                        Kind.RAG_INGEST, visit.caller.subject, new_id(),
                        document=str(done.document), collection=slug,
                    )  # fmt: skip
                    await visit.console.recorder.append(event)
        except (UnknownCollectionError, ForbiddenError):
            raise
        except ApplianceError as exc:
            yield Deposited(name, problem=CODES[exc.code].title, code=exc.code)
        else:
            yield Deposited(done.name, done.present)


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)
