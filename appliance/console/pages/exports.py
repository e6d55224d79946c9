"""Exports: what an auditor takes away, asked for here, written by the worker, handed over once.

Asking and taking are recorded before they happen. Where the settings name no folder of exports,
the page gives the command of the rack.
"""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Form
from fastapi.responses import FileResponse, RedirectResponse, Response
from starlette.requests import Request

from appliance.audit.client import new_id
from appliance.audit.contents import Form as Derived
from appliance.audit.event import Kind, fact
from appliance.audit.exporting import store as exports
from appliance.audit.exporting.store import Export, Wish
from appliance.audit.exporting.writing import archive_of
from appliance.console.context import Visit, Visitor
from appliance.console.language import mark
from appliance.console.menu import EXPORTS
from appliance.console.page import METADATA
from appliance.console.problem import explain
from appliance.console.trail import search, store
from appliance.console.trail.listing import resolve
from appliance.errors import ApplianceError, FormatError
from appliance.identity.principal import Scope
from appliance.rag.documents import UnknownDocumentError

router = APIRouter(include_in_schema=False)
SHOWN = 20
FORMS: dict[str, str] = {  # form -> its name, a msgid
    "jsonl": mark("JSON Lines, pour une machine"),
    "csv": mark("CSV, pour un tableur"),
    "ocsf": mark("OCSF, pour un collecteur"),
    "pdf": mark("rapport PDF"),
}
_FOUND = 303
assert FORMS.keys() == {str(form) for form in Derived}


class NothingError(ApplianceError):
    """No signed event lies in the period."""

    code = "CM-JRN-33"


@router.get("/journal/export")
async def ask_page(visit: Visitor, request: Request) -> Response:
    """Ask what is to be taken, and show what was."""
    visit.check(Scope.EXPORT)
    query = search.read(request.query_params)
    async with visit.transaction() as conn:
        known = await exports.latest(conn, SHOWN)
    return visit.page(
        "exports.html",
        visit.shell(0, METADATA, EXPORTS.href),
        query=query,
        known=known,
        forms=FORMS,
        ready=visit.console.settings.exports is not None,
        state=await visit.console.recorder.status(),
    )


@router.post("/journal/export")
async def ask(
    visit: Visitor,
    du: Annotated[str, Form()] = "",
    au: Annotated[str, Form()] = "",
    forme: Annotated[list[str] | None, Form()] = None,
    marquage: Annotated[int, Form(ge=0)] = 0,
) -> Response:
    """Ask for an export: recorded, then put where the worker finds it."""
    visit.check(Scope.EXPORT)
    wish = await _wish(visit, search.read({"du": du, "au": au}), forme or [], marquage)
    event = fact(
        Kind.AUDIT_EXPORT, visit.caller.subject, new_id(), state="begin", first=wish.first,
        last=wish.last, formats=" ".join(wish.formats), title=wish.label, export=str(wish.id),
    )  # fmt: skip
    await visit.console.recorder.append(event)
    async with visit.transaction() as conn:
        await exports.ask(conn, visit.caller.subject, wish)
    return RedirectResponse(f"/exports/{wish.id}", _FOUND)


async def _wish(visit: Visit, query: search.Query, forms: list[str], label: int) -> Wish:
    labels = visit.console.policy.labels
    if visit.console.settings.exports is None or not set(forms) <= FORMS.keys():
        raise FormatError("no such form, or no export on this site")
    if label >= len(labels):
        raise FormatError("no such label")
    signed = (await visit.console.recorder.status()).checkpoint_size
    async with visit.transaction() as conn:
        terms = await resolve(visit, conn, query)
        found = await store.range_of(conn, terms, signed)
    if found is None:
        raise NothingError("no signed event in this period")
    ordered = tuple(form for form in FORMS if form in forms)
    return Wish(uuid4(), *found, ordered, labels[label], visit.console.settings.site)


@router.get("/exports/{export}")
async def export_page(visit: Visitor, export: UUID) -> Response:
    """Show how far an export is."""
    one = await _own(visit, export)
    problem = explain(one.problem) if one.problem else None
    shell = visit.shell(0, METADATA, EXPORTS.href)
    if visit.htmx:
        part = visit.part("parts/export.html", shell, one=one, problem=problem)
        return Response(part, media_type="text/html")
    state = await visit.console.recorder.status()
    return visit.page("export.html", shell, one=one, problem=problem, forms=FORMS, state=state)


@router.get("/exports/{export}/dossier")
async def take(visit: Visitor, export: UUID) -> Response:
    """Hand over the archive; a transfer that was cut goes on where it stopped."""
    one = await _own(visit, export)
    folder = visit.console.settings.exports
    if one.state != "done" or folder is None or not archive_of(folder, one.id).is_file():
        raise UnknownDocumentError
    event = fact(
        Kind.AUDIT_EXPORT, visit.caller.subject, new_id(), state="taken", first=one.first,
        last=one.last, sums=one.sums or "", export=str(one.id),
    )  # fmt: skip
    await visit.console.recorder.append(event)
    return FileResponse(
        archive_of(folder, one.id),
        media_type="application/x-tar",
        filename=f"{one.name}.tar",
        headers={"Cache-Control": "no-store"},
    )


async def _own(visit: Visit, export: UUID) -> Export:
    """Return an export of the person.

    Raises:
        UnknownDocumentError: There is none, or it is another person's: no telling which.
    """
    visit.check(Scope.EXPORT)
    async with visit.transaction() as conn:
        found = await exports.find(conn, export)
    if found is None:
        raise UnknownDocumentError
    return found
