"""One event: the thread of its request, its proof against the log, its receipt."""

from fastapi import APIRouter
from fastapi.responses import Response

from appliance.audit.client import new_id
from appliance.audit.content import Part
from appliance.audit.event import Kind, fact
from appliance.audit.receipt import COMMITMENTS, SUFFIX, receipt_file
from appliance.console.context import Visit, Visitor
from appliance.console.menu import JOURNAL
from appliance.console.page import METADATA, highest
from appliance.console.records import Record, facts
from appliance.console.terminal import AROUND, leaves, may_see, prove, record_at
from appliance.console.trail import store
from appliance.console.trail.listing import named, own_of, records_at
from appliance.console.trail.story import STEPS_MAX, Story, lasting, story
from appliance.identity.principal import Scope

router = APIRouter(include_in_schema=False)


@router.get("/journal/{index}")
async def record_page(visit: Visitor, index: int) -> Response:
    """Show one event as the log proves it; of who controls, record what they open."""
    visit.check(Scope.RECORDS_OWN, Scope.RECORDS_ALL)
    record = await record_at(visit, index)
    if own_of(visit) is None:
        opened = fact(Kind.AUDIT_READ, visit.caller.subject, new_id(), record=index)
        await visit.console.recorder.append(opened)
    told = await _story(visit, record)
    shown = [step.record for step in told.steps]
    return visit.page(
        "record.html",
        visit.shell(highest([one.label for one in shown]), METADATA, JOURNAL.href),
        record=(await named(visit, [record]))[0],
        story=told,
        took=lasting(told.took, visit.language) if told.took is not None else "",
        proof=await prove(visit, record),
        facts=facts(record, visit.language),
        anchored=(await visit.console.recorder.status()).anchored,
        all=own_of(visit) is None,
        opens=Scope.CONTENT_APPROVE in visit.caller.scopes and record.ends,
    )


async def _story(visit: Visit, record: Record) -> Story:
    """Return the thread of the record's request, or the record alone."""
    if not record.request:
        return story([record], visit.language)
    async with visit.transaction() as conn:
        standing = await store.standing(conn)
        known = await store.of_request(conn, record.request, STEPS_MAX)
        first = min([*known, record.index])
        login = await store.login_before(conn, record.actor, first)
    indexes = {record.index, *known} | ({login} if login is not None else set())
    found = {one.index: one for one in await records_at(visit, sorted(indexes))}
    # What the copy has not taken yet is looked for beside the record.
    for start in {max(standing.next, record.index - AROUND), standing.next}:
        around = await leaves(visit.console.recorder, visit.language, start, 2 * AROUND)
        found |= {
            one.index: one
            for one in around
            if one.request == record.request and may_see(visit.caller, one)
        }
    return story(list(found.values()), visit.language)


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
