"""Anchors: what of the log is kept outside this machine, by whom, since when."""

from fastapi import APIRouter
from fastapi.responses import Response

from appliance.audit.client import new_id
from appliance.audit.event import Kind, fact
from appliance.console.context import Visitor
from appliance.console.menu import ANCHORS
from appliance.console.page import METADATA, highest
from appliance.console.trail import anchors, listing
from appliance.console.trail.search import Query
from appliance.identity.principal import Scope

router = APIRouter(include_in_schema=False)
SHOWN = 50


@router.get("/ancrages")
async def anchors_page(visit: Visitor) -> Response:
    """Show the last anchor of each kind, and the latest of all."""
    visit.check(Scope.RECORDS_ALL, Scope.ANCHORS)
    if Scope.RECORDS_ALL in visit.caller.scopes:
        asked = fact(Kind.AUDIT_SEARCH, visit.caller.subject, new_id(), page="ancrages")
        await visit.console.recorder.append(asked)
    found = await listing.look(visit, Query(kind=anchors.KIND), None, anchors.SHOWN)
    told = anchors.anchors_in(found.records)
    return visit.page(
        "anchors.html",
        visit.shell(highest([one.label for one in found.records]), METADATA, ANCHORS.href),
        reach=anchors.latest(told),
        kinds=anchors.KINDS,
        rows=told[:SHOWN],
        found=found,
    )
