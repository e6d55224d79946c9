"""The log: a search for who controls, one's own records for everybody else."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from starlette.requests import Request

from appliance.audit.client import new_id
from appliance.audit.event import FACTS, Kind
from appliance.console.context import Visit, Visitor, utc_now
from appliance.console.menu import JOURNAL, OWN_JOURNAL
from appliance.console.page import METADATA, highest
from appliance.console.records import title_of
from appliance.console.trail import search
from appliance.console.trail.histogram import COUNTED, Histogram, days_of, edges, histogram
from appliance.console.trail.listing import look, named, own_of, resolve
from appliance.console.trail.store import count_between
from appliance.identity.principal import Scope

router = APIRouter(include_in_schema=False)


@router.get("/journal")
async def journal(
    visit: Visitor, request: Request, avant: Annotated[int | None, Query(ge=0)] = None
) -> Response:
    """Show events, the latest first, and of who controls record what they look for."""
    visit.check(Scope.RECORDS_OWN, Scope.RECORDS_ALL)
    query = search.read(request.query_params)
    everything = own_of(visit) is None
    if everything:
        await _record(visit, query, avant)
    found = await look(visit, query, avant)
    drawn = await _drawn(visit, query) if everything else None
    return visit.page(
        "journal.html",
        visit.shell(highest([one.label for one in found.records]), METADATA, JOURNAL.href),
        rows=await named(visit, found.records),
        found=found,
        query=query,
        newer=avant is not None,
        drawn=drawn,
        title=visit.language.text(JOURNAL.text if everything else OWN_JOURNAL.text),
        all=everything,
        exports=Scope.EXPORT in visit.caller.scopes,
        choices=_choices(),
    )


def _choices() -> dict[str, object]:
    return {
        "subjects": search.SUBJECTS, "results": search.RESULTS,
        "types": {
            subject: [(name, title_of(name)) for name in names]
            for subject, names in search.types_by_subject().items()
        },
    }  # fmt: skip


async def _record(visit: Visit, query: search.Query, before: int | None) -> None:
    """Record what is looked for, before it is."""
    asked: dict[str, str | int] = {"page": "journal", **query.fields()}
    if before is not None:
        asked["before"] = before
    event = FACTS[Kind.AUDIT_SEARCH](actor=visit.caller.subject, id=new_id(), data=asked)
    await visit.console.recorder.append(event)


async def _drawn(visit: Visit, query: search.Query) -> Histogram:
    """Return the bars of the period: of today where none is asked for."""
    zone = visit.language.zone
    first, last = days_of(query, utc_now().astimezone(zone).date())
    at = edges(first, last, zone)
    period = search.Query(query.words, query.kind, query.outcome, first, last)
    async with visit.transaction() as conn:
        terms = await resolve(visit, conn, period)
        counts = await count_between(conn, terms, own_of(visit), at, COUNTED)
    return histogram(at, counts)
