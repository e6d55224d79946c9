"""Records: one's own for everybody, all for who controls; proof and receipt of each."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from appliance.audit.client import new_id
from appliance.audit.content import Part
from appliance.audit.event import Kind, fact
from appliance.audit.receipt import COMMITMENTS, SUFFIX, receipt_file
from appliance.console.context import Visit, Visitor
from appliance.console.menu import JOURNAL, OWN_JOURNAL
from appliance.console.page import METADATA, highest
from appliance.console.records import Record, facts, names_in, thread
from appliance.console.render import short
from appliance.console.terminal import AROUND, leaves, may_see, prove, record_at
from appliance.identity.principal import Scope

router = APIRouter(include_in_schema=False)
PER_PAGE = 50
SCANNED = 4_000  # leaves looked through for one page of one's own


@router.get("/journal")
async def journal(visit: Visitor, avant: Annotated[int | None, Query(ge=0)] = None) -> Response:
    """Show recent records."""
    visit.check(Scope.RECORDS_OWN, Scope.RECORDS_ALL)
    everything = Scope.RECORDS_ALL in visit.caller.scopes
    if everything:
        event = fact(Kind.AUDIT_SEARCH, visit.caller.subject, new_id(), page="journal")
        await visit.console.recorder.append(event)
    rows, older = await _page(visit, avant)
    names = {visit.caller.subject: visit.caller.name} | names_in(rows)
    signed = visit.proof.signed if visit.proof else 0
    title = visit.language.text(JOURNAL.text if everything else OWN_JOURNAL.text)
    return visit.page(
        "journal.html",
        visit.shell(highest([row.label for row in rows]), METADATA, JOURNAL.href),
        rows=[_named(row, names) for row in rows],
        older=older,
        newer=avant is not None,
        proof=visit.proof,
        signed=max(signed - 1, 0),
        title=title,
        all=everything,
    )


@router.get("/journal/{index}")
async def record_page(visit: Visitor, index: int) -> Response:
    """Show one record: its request, its proof, its sheet."""
    visit.check(Scope.RECORDS_OWN, Scope.RECORDS_ALL)
    record = await record_at(visit, index)
    start = max(index - AROUND, 0)
    around = await leaves(visit.console.recorder, visit.language, start, 2 * AROUND)
    steps = [step for step in thread(around, record) if may_see(visit.caller, step)]
    return visit.page(
        "record.html",
        visit.shell(highest([step.label for step in steps]), METADATA, JOURNAL.href),
        record=record,
        thread=steps,
        proof=await prove(visit, record),
        facts=facts(record, visit.language),
    )


@router.get("/journal/{index}/recu")
async def receipt(visit: Visitor, index: int) -> Response:
    """Give the receipt of a record; its owner's also opens the texts."""
    visit.check(Scope.RECORDS_OWN, Scope.RECORDS_ALL)
    record = await record_at(visit, index)
    stored, proof = await visit.console.recorder.prove(record.index)
    file = receipt_file(proof, stored, await _keys(visit, record))
    taken = fact(Kind.AUDIT_EXPORT, visit.caller.subject, new_id(), receipt=index)
    await visit.console.recorder.append(taken)
    name = f"recu-{index}{SUFFIX}"
    return Response(
        file,
        media_type="text/plain; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )


async def _keys(visit: Visit, record: Record) -> dict[Part, bytes]:
    """Return what opens the texts of one's own request, while its content exists."""
    if record.ends and record.actor == visit.caller.subject:
        key = await visit.console.history.key_of(record.index)
        if key is not None:
            return {part: key.commitment_key(part) for part in COMMITMENTS}
    return {}


async def _page(visit: Visit, before: int | None) -> tuple[list[Record], int | None]:
    """Return the records of a page, latest first, and where the next one starts."""
    recorder = visit.console.recorder
    end = (await recorder.status()).size if before is None else before
    lowest = max(end - SCANNED, 0)
    rows: list[Record] = []
    while end > lowest and len(rows) < PER_PAGE:
        start = max(end - 500, lowest)
        found = await leaves(recorder, visit.language, start, end - start)
        seen = [record for record in reversed(found) if may_see(visit.caller, record)]
        rows += seen[: PER_PAGE - len(rows)]
        end = start
    older = rows[-1].index if len(rows) == PER_PAGE else end
    return rows, older if older > 0 else None


def _named(record: Record, names: dict[str, str]) -> Record:
    return replace(record, actor=names.get(record.actor, short(record.actor)))
