"""Finds events through the copy and shows them as the log has them.

The copy says where to look; each event is read in the log, matched again there, and shown from
there. What the copy has not taken yet is looked through in the log itself, as far as `TAIL`.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

from psycopg import AsyncConnection

from appliance.audit.client import RecorderClient
from appliance.audit.frame import State
from appliance.audit.index.row import read as row_of
from appliance.audit.tree import leaf_hash
from appliance.console.context import Visit
from appliance.console.records import Record, names_in, read
from appliance.console.render import short
from appliance.console.terminal import may_see
from appliance.console.trail import search, store
from appliance.console.trail.search import FOREVER, Query, Terms
from appliance.console.trail.store import Standing
from appliance.identity.principal import Scope

PER_PAGE = 50
TAIL = 512  # leaves that the copy may be behind without a gap in what is shown
_GAP = 8  # leaves between two that are read in one question


@dataclass(frozen=True, slots=True)
class Found:
    """One page of what was found."""

    records: tuple[Record, ...]  # latest first
    older: int | None  # index before which the next page looks; None: nothing older
    standing: Standing
    state: State  # of the log
    differing: tuple[int, ...] = ()  # events of which the copy has another leaf than the log

    @property
    def behind(self) -> int:
        """Return how many events the copy has not taken yet."""
        return max(self.state.size - self.standing.next, 0)

    @property
    def anchored_at(self) -> datetime | None:
        """Return when the log was last anchored, as the one who keeps the anchor says."""
        anchored = self.state.anchored
        return datetime.fromtimestamp(anchored.at, UTC) if anchored else None

    @property
    def unseen(self) -> int:
        """Return how many events of the log were not looked through."""
        return max(self.behind - TAIL, 0)


def own_of(visit: Visit) -> str | None:
    """Return the only actor whose events the person may see; None: all."""
    return None if Scope.RECORDS_ALL in visit.caller.scopes else visit.caller.subject


async def resolve(visit: Visit, conn: AsyncConnection, query: Query) -> Terms:
    """Return the terms of a search: names of people become subjects, a period indexes."""
    name, zone = search.name_in(query), visit.language.zone
    people = tuple(await store.people_named(conn, name)) if name else ()
    found = search.terms(query, zone, people)
    dated = found.start or found.end
    if dated is None or own_of(visit) is not None:
        return found
    return replace(found, bounds=await store.bounds_of(conn, found.start, found.end))


async def look(visit: Visit, query: Query, before: int | None, count: int = PER_PAGE) -> Found:
    """Return one page of what is looked for, before an index."""
    recorder, own = visit.console.recorder, own_of(visit)
    state = await recorder.status()
    size = state.size
    end = min(size, FOREVER if before is None else before)
    async with visit.transaction() as conn:
        standing = await store.standing(conn)
        terms = await resolve(visit, conn, query)
        places = await store.find(conn, terms, own, min(end, standing.next), count + 1)
    start = max(standing.next, size - TAIL)
    tail = [stored for _, stored in await read_runs(recorder, range(start, end))]
    stored = dict(await read_runs(recorder, [place.idx for place in places]))
    differing = tuple(p.idx for p in places if leaf_hash(stored.get(p.idx, b"")) != p.leaf_hash)
    leaves = [*reversed(tail), *(stored[p.idx] for p in places if p.idx in stored)]
    seen = _seen(visit, terms, leaves)
    page = tuple(seen[:count])
    more = len(seen) > count or len(places) > count
    lowest = page[-1].index if page else min((p.idx for p in places), default=0)
    return Found(page, lowest if more and lowest else None, standing, state, differing)


def _seen(visit: Visit, terms: Terms, leaves: Iterable[bytes]) -> list[Record]:
    """Return what matches, and what the person may see, by what the log itself says."""
    matching = (stored for stored in leaves if terms.match(row_of(stored)))
    records = (read(stored, visit.language) for stored in matching)
    return [record for record in records if may_see(visit.caller, record)]


async def read_runs(
    recorder: RecorderClient, indexes: Sequence[int] | range
) -> list[tuple[int, bytes]]:
    """Return leaves of the log with their indexes; one that was pruned is left out.

    Neighbours are read together.

    Raises:
        RecorderError: The recorder is away.
    """
    ordered, wanted = sorted(set(indexes)), set(indexes)
    if not ordered:
        return []
    cuts = [place for place, (a, b) in enumerate(pairwise(ordered), 1) if b - a > _GAP]
    runs = [ordered[a:b] for a, b in pairwise([0, *cuts, len(ordered)])]
    answers = await asyncio.gather(
        *[recorder.read(run[0], run[-1] - run[0] + 1) for run in runs]
    )
    found = ((row_of(stored).idx, stored) for leaves in answers for stored in leaves)
    return [(index, stored) for index, stored in found if index in wanted]


async def records_at(visit: Visit, indexes: Sequence[int]) -> list[Record]:
    """Return the events at these indexes that the person may see, in order."""
    stored = await read_runs(visit.console.recorder, indexes)
    records = [read(one, visit.language) for _, one in stored]
    return [record for record in records if may_see(visit.caller, record)]


async def named(visit: Visit, records: Sequence[Record]) -> list[Record]:
    """Return the records with names for people, as their last sign-in in the log says."""
    known = {visit.caller.subject: visit.caller.name} | names_in(records)
    unknown = sorted({record.actor for record in records} - known.keys())
    async with visit.transaction() as conn:
        logins = await store.names_of(conn, unknown)
    known |= names_in(await records_at(visit, list(logins.values())))
    return [
        replace(record, actor=known.get(record.actor, short(record.actor)))
        for record in records
    ]
