"""A sample of answers, drawn by a seed that is shown: who repeats the draw finds the same."""

import re
import secrets
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import RedirectResponse, Response

from appliance.audit.client import new_id
from appliance.audit.event import Kind, fact
from appliance.console.context import Visit, Visitor
from appliance.console.menu import JOURNAL
from appliance.console.page import METADATA, highest
from appliance.console.records import Record
from appliance.console.trail import store
from appliance.console.trail.draw import (
    KIND,
    SEED_CHARS,
    TRIES_MAX,
    WANTED,
    WANTED_MAX,
    batches,
)
from appliance.console.trail.listing import named, records_at
from appliance.errors import FormatError
from appliance.identity.principal import Scope

router = APIRouter(include_in_schema=False)
_SEED = re.compile(rf"[0-9a-f]{{{SEED_CHARS}}}\Z")
_FOUND = 303
Count = Annotated[int, Query(ge=1, le=WANTED_MAX)]
Index = Annotated[int | None, Query(ge=0, lt=2**53)]


@router.get("/journal/tirage")
async def sample(
    visit: Visitor, n: Count = WANTED, graine: str = "", de: Index = None, a: Index = None
) -> Response:
    """Show what a seed draws; without one, ask how many."""
    visit.check(Scope.RECORDS_ALL)
    async with visit.transaction() as conn:
        standing = await store.standing(conn)
    first, end = standing.first, standing.next
    if graine == "nouvelle":
        seed = secrets.token_hex(SEED_CHARS // 2)
        href = f"/journal/tirage?n={n}&graine={seed}&de={first}&a={end}"
        return RedirectResponse(href, _FOUND)
    if not graine:
        return _page(visit, n, "", (first, end), [])
    if not _SEED.match(graine):
        raise FormatError("a seed has 32 hexadecimal digits")
    asked = (max(first, de or 0), end if a is None else min(a, end))
    await _record(visit, n, graine, asked)
    return _page(visit, n, graine, asked, await _drawn(visit, n, graine, asked))


async def _record(visit: Visit, count: int, seed: str, asked: tuple[int, int]) -> None:
    event = fact(
        Kind.AUDIT_SEARCH, visit.caller.subject, new_id(), page="tirage", n=count, graine=seed,
        de=asked[0], a=asked[1],
    )  # fmt: skip
    await visit.console.recorder.append(event)


async def _drawn(visit: Visit, count: int, seed: str, asked: tuple[int, int]) -> list[Record]:
    """Return the answers drawn, in the order they were, as the log has them."""
    found: list[int] = []
    if asked[0] < asked[1]:
        async with visit.transaction() as conn:
            for batch in batches(seed, *asked):
                answers = await store.among(conn, batch, KIND)
                found += [index for index in batch if index in answers]
                if len(found) >= count:
                    break
    records = {one.index: one for one in await records_at(visit, found[:count]) if one.ends}
    return await named(visit, [records[index] for index in found[:count] if index in records])


def _page(
    visit: Visit, count: int, seed: str, asked: tuple[int, int], rows: list[Record]
) -> Response:
    return visit.page(
        "sample.html",
        visit.shell(highest([row.label for row in rows]), METADATA, JOURNAL.href),
        rows=rows,
        count=count,
        most=WANTED_MAX,
        tries=TRIES_MAX,
        seed=seed,
        first=asked[0],
        end=asked[1],
    )
