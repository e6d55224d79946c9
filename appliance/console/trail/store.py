"""SQL of the auditor's pages: where in the log something is. What it says is read in the log.

Functions take a connection inside a transaction in which `identity.store.act_as` was called:
row security shows all events to who may read all, one's own to others.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row

from appliance.console.trail.search import FOREVER, Terms

PEOPLE_MAX = 50  # of one name


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event is, and the hash that its leaf has by the copy."""

    idx: int
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the copy is, and what its last comparison with the log said."""

    first: int
    next: int
    compared_at: datetime | None
    compared: int | None  # events
    differs: int | None


_FOUND = """
    idx >= %(first)s AND idx < %(before)s
    AND (%(own)s::text IS NULL OR actor = %(own)s)
    AND (%(index)s::bigint IS NULL OR idx = %(index)s)
    AND (%(code)s::text IS NULL OR code = %(code)s)
    AND (%(subject)s::text IS NULL OR subject = %(subject)s)
    AND (%(type)s::text IS NULL OR type = %(type)s)
    AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s)
    AND (%(start)s::timestamptz IS NULL OR at >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR at < %(end)s)
    """
_LATEST = f"""
    SELECT idx, at, leaf_hash FROM audit.event WHERE {_FOUND} ORDER BY idx DESC LIMIT %(limit)s
    """  # noqa: S608 - constants of this module
# A name is a person's, a request's or an object's: each has its index, which gives the latest
# at once. Any of them in one condition would read the whole copy when there is none.
_NAMED = f"""
    SELECT idx, at, leaf_hash FROM unnest(%(names)s::text[]) AS named (name)
    CROSS JOIN LATERAL (SELECT idx, at, leaf_hash FROM audit.event
                        WHERE actor = named.name AND {_FOUND}
                        ORDER BY idx DESC LIMIT %(limit)s) AS of_actor
    UNION
    SELECT idx, at, leaf_hash FROM unnest(%(names)s::text[]) AS named (name)
    CROSS JOIN LATERAL (SELECT idx, at, leaf_hash FROM audit.event
                        WHERE request = named.name AND {_FOUND}
                        ORDER BY idx DESC LIMIT %(limit)s) AS of_request
    UNION
    (SELECT idx, at, leaf_hash FROM audit.event WHERE object = %(object)s AND {_FOUND}
     ORDER BY idx DESC LIMIT %(limit)s)
    ORDER BY idx DESC LIMIT %(limit)s
    """  # noqa: S608 - as above


async def standing(conn: AsyncConnection) -> Standing:
    """Return how the copy stands."""
    async with conn.cursor(row_factory=class_row(Standing)) as cur:
        await cur.execute(
            """
            SELECT s.first, s.next, c.at AS compared_at, c.size AS compared, c.differs
            FROM audit.side s LEFT JOIN LATERAL
                (SELECT at, size, differs FROM audit.comparison ORDER BY at DESC LIMIT 1) c
                ON true
            WHERE s.serving
            """
        )
        found = await cur.fetchone()
    assert found is not None, "the migration puts a side in that serves"
    return found


async def find(
    conn: AsyncConnection, terms: Terms, own: str | None, before: int, limit: int
) -> list[Place]:
    """Return events, the latest first.

    Args:
        conn: Connection.
        terms: What is looked for.
        own: The only actor whose events count; None for all.
        before: Index past the last one.
        limit: At most so many.
    """
    values = _values(terms, own, before) | {"limit": limit}
    async with conn.cursor(row_factory=class_row(Place)) as cur:
        source = _source(terms)
        statement = f"SELECT idx, leaf_hash FROM ({source}) AS f ORDER BY idx DESC"  # noqa: S608
        # Planned for these values: what is not asked for falls away.
        await cur.execute(statement.encode(), values, prepare=False)
        return await cur.fetchall()


def _source(terms: Terms) -> str:
    """Return what gives the latest events that are looked for, `limit` of them."""
    return _LATEST if terms.names is None else _NAMED


async def count_between(
    conn: AsyncConnection, terms: Terms, own: str | None, edges: Sequence[datetime], limit: int
) -> dict[int, int]:
    """Return how many of the latest `limit` events each bar has: from 1 on."""
    values = _values(terms, own, FOREVER) | {"edges": list(edges), "limit": limit}
    async with conn.cursor() as cur:
        statement = f"""
            SELECT width_bucket(at, %(edges)s::timestamptz[]) AS bar, count(*)::int
            FROM ({_source(terms)}) AS latest
            GROUP BY bar ORDER BY bar
            """  # noqa: S608 - constants of this module
        await cur.execute(statement.encode(), values, prepare=False)
        return dict(await cur.fetchall())


def _values(terms: Terms, own: str | None, before: int) -> dict[str, object]:
    low, high = terms.bounds
    values: dict[str, object] = asdict(terms)
    del values["bounds"]
    names = None if terms.names is None else list(terms.names)
    return values | {
        "names": names, "own": own, "first": low, "before": min(before, high),
    }  # fmt: skip


async def bounds_of(
    conn: AsyncConnection, start: datetime | None, end: datetime | None
) -> tuple[int, int]:
    """Return the range of indexes in which every event of a period lies.

    Only who reads all sees the bounds of the clock: for others this range is empty, and not
    to be used.
    """
    async with conn.cursor() as cur:
        await cur.execute(
            """
            SELECT min(slice) * 1024, (max(slice) + 1) * 1024 FROM audit.slice
            WHERE (%(start)s::timestamptz IS NULL OR high >= %(start)s)
              AND (%(end)s::timestamptz IS NULL OR low < %(end)s)
            """,
            {"start": start, "end": end},
        )
        low, high = await cur.fetchone() or (None, None)
    return (low or 0, high or 0)


async def range_of(conn: AsyncConnection, terms: Terms, end: int) -> tuple[int, int] | None:
    """Return the first and the last event of a period, before an index; None: there is none."""
    async with conn.cursor() as cur:
        await cur.execute(
            f"SELECT min(idx), max(idx) FROM audit.event WHERE {_FOUND}".encode(),  # noqa: S608
            _values(terms, None, end),
            prepare=False,
        )
        first, last = await cur.fetchone() or (None, None)
    return None if first is None or last is None else (first, last)


async def people_named(conn: AsyncConnection, name: str) -> list[str]:
    """Return the subjects that signed in under a name, folded."""
    async with conn.cursor(row_factory=scalar_row) as cur:
        await cur.execute(
            """
            SELECT DISTINCT actor FROM audit.event
            WHERE object = %(name)s AND type = 'auth.login' LIMIT %(limit)s
            """,
            {"name": name, "limit": PEOPLE_MAX},
        )
        return await cur.fetchall()


async def names_of(conn: AsyncConnection, subjects: Sequence[str]) -> dict[str, int]:
    """Return the index of the last sign-in of each subject, which tells their name."""
    async with conn.cursor() as cur:
        await cur.execute(
            """
            SELECT s.actor, l.idx FROM unnest(%(subjects)s::text[]) AS s (actor)
            CROSS JOIN LATERAL (SELECT e.idx FROM audit.event e
                                WHERE e.actor = s.actor AND e.type = 'auth.login'
                                ORDER BY e.idx DESC LIMIT 1) l
            """,
            {"subjects": list(subjects)},
        )
        return dict(await cur.fetchall())


async def of_request(conn: AsyncConnection, request: str, limit: int) -> list[int]:
    """Return the indexes of the events of one request, in order."""
    async with conn.cursor(row_factory=scalar_row) as cur:
        await cur.execute(
            """
            SELECT idx FROM audit.event WHERE request = %(request)s ORDER BY idx
            LIMIT %(limit)s
            """,
            {"request": request, "limit": limit},
        )
        return await cur.fetchall()


async def login_before(conn: AsyncConnection, actor: str, index: int) -> int | None:
    """Return the last sign-in of somebody before an event."""
    async with conn.cursor(row_factory=scalar_row) as cur:
        await cur.execute(
            """
            SELECT idx FROM audit.event
            WHERE actor = %(actor)s AND type = 'auth.login' AND idx < %(index)s
            ORDER BY idx DESC LIMIT 1
            """,
            {"actor": actor, "index": index},
        )
        return await cur.fetchone()


async def among(conn: AsyncConnection, indexes: Sequence[int], kind: str) -> set[int]:
    """Return which of these events are of a type."""
    async with conn.cursor(row_factory=scalar_row) as cur:
        await cur.execute(
            """
            SELECT idx FROM audit.event WHERE idx = ANY (%(indexes)s) AND type = %(kind)s
            """,
            {"indexes": list(indexes), "kind": kind},
        )
        return set(await cur.fetchall())
