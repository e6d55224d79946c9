"""Eliminations that wait for a visa: the list, its text for the authority, the visa."""

from typing import Annotated

from fastapi import APIRouter, Form, Path
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from appliance.console.context import Visit, Visitor
from appliance.console.gateway import GatewayError
from appliance.console.menu import ELIMINATIONS
from appliance.console.page import METADATA
from appliance.identity.principal import Scope
from appliance.rag.documents import UnknownDocumentError
from appliance.rag.elimination import store
from appliance.rag.elimination.bordereau import digest_of, text_of, visa_data
from appliance.rag.elimination.store import ListRow

router = APIRouter(include_in_schema=False)
Number = Annotated[int, Path(ge=1, lt=2**53)]
_FOUND = 303


@router.get("/eliminations")
async def eliminations(visit: Visitor) -> Response:
    """Show the lists: what waits, what was eliminated under which visa."""
    return await _page(visit)


@router.get("/eliminations/{number}/bordereau")
async def bordereau(visit: Visitor, number: Number) -> Response:
    """Give the text of a list, as its visa is given for it."""
    row = await _row(visit, number)
    text = text_of(row.proposal, visit.console.policy.site)
    name = f"bordereau-elimination-{number}.md"
    return Response(
        text,
        media_type="text/markdown; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.post("/eliminations/{number}/visa")
async def give_visa(
    visit: Visitor, number: Number, reference: Annotated[str, Form(max_length=120)] = ""
) -> Response:
    """Record the visa, through the gateway, then let the worker find it."""
    visit.check(Scope.ERASURE_APPROVE)
    row = await _row(visit, number)
    if row.visa is not None:
        return RedirectResponse("/eliminations", _FOUND)
    words = visa_data(row.proposal, visit.console.policy.site, reference)
    words.pop("gate")
    try:
        leaf = await visit.console.gateway.give_visa(visit.session.access, words)
    except GatewayError as exc:
        return await _page(visit, problem=exc.problem, status=exc.problem.status)
    async with visit.transaction() as conn:
        await store.note_visa(conn, number, leaf)
    return RedirectResponse("/eliminations", _FOUND)


async def _row(visit: Visit, number: int) -> ListRow:
    visit.check(Scope.ERASURE_APPROVE, Scope.ERASURES)
    async with visit.transaction() as conn:
        row = await store.find_elimination(conn, number)
    if row is None:
        raise UnknownDocumentError
    return row


async def _page(visit: Visit, *, problem: object = None, status: int = 200) -> HTMLResponse:
    visit.check(Scope.ERASURE_APPROVE, Scope.ERASURES)
    async with visit.transaction() as conn:
        rows = await store.list_eliminations(conn)
    site = visit.console.policy.site
    return visit.page(
        "eliminations.html",
        visit.shell(0, METADATA, ELIMINATIONS.href),
        status,
        lists=[(row, row.proposal, digest_of(text_of(row.proposal, site))) for row in rows],
        may_approve=Scope.ERASURE_APPROVE in visit.caller.scopes,
        problem=problem,
        asked=visit.console.policy.retention_visa,
    )
