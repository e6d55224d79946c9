"""Every SQL statement of eliminations: proposing a list, its visa, erasing what it names."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import class_row

from appliance.rag.elimination.bordereau import Line, Proposal


@dataclass(frozen=True, slots=True)
class ListRow:
    """A list, typed as psycopg gives it."""

    id: int
    proposed_at: datetime
    months: int
    lines: list[dict[str, Any]]
    visa: int | None
    erased_at: datetime | None

    @property
    def proposal(self) -> Proposal:
        """Return what was proposed."""
        lines = msgspec.convert(self.lines, tuple[Line, ...])
        return Proposal(self.id, self.proposed_at, self.months, lines)


async def propose(conn: AsyncConnection, months: int) -> int | None:
    """Write down a list of what is older, up to the first row that stays; return its number.

    None when nothing is, or a list waits already.
    """
    made = await conn.execute(
        """
        WITH bound AS (SELECT now() - make_interval(months => %(months)s) AS at),
        oldest AS (
          SELECT min(record) AS record FROM content, bound WHERE content.at < bound.at),
        kept AS (
          SELECT min(content.record) AS record FROM content, bound, oldest
           WHERE content.at >= bound.at AND content.record > oldest.record),
        listed AS (
          SELECT to_char(content.at AT TIME ZONE 'UTC', 'YYYY-MM') AS month,
                 min(content.record) AS first, max(content.record) + 1 AS "end",
                 count(*) AS count, min(content.at) AS oldest, max(content.at) AS newest
            FROM content, bound, oldest, kept
           WHERE content.at < bound.at AND content.record >= oldest.record
             AND (kept.record IS NULL OR content.record < kept.record)
           GROUP BY 1)
        INSERT INTO elimination (months, lines)
        SELECT %(months)s, jsonb_agg(to_jsonb(listed) ORDER BY month) FROM listed
        HAVING count(*) > 0
        ON CONFLICT DO NOTHING
        RETURNING id
        """,
        {"months": months},
    )
    row = await made.fetchone()
    return int(row[0]) if row else None


async def list_eliminations(conn: AsyncConnection, limit: int = 50) -> list[ListRow]:
    """Return lists, the latest first."""
    async with conn.cursor(row_factory=class_row(ListRow)) as cur:
        await cur.execute(
            """
            SELECT id, proposed_at, months, lines, visa, erased_at
            FROM elimination ORDER BY id DESC LIMIT %(limit)s
            """,
            {"limit": limit},
        )
        return await cur.fetchall()


async def find_elimination(conn: AsyncConnection, number: int) -> ListRow | None:
    """Return a list."""
    async with conn.cursor(row_factory=class_row(ListRow)) as cur:
        await cur.execute(
            """
            SELECT id, proposed_at, months, lines, visa, erased_at
            FROM elimination WHERE id = %(id)s
            """,
            {"id": number},
        )
        return await cur.fetchone()


async def find_open(conn: AsyncConnection) -> ListRow | None:
    """Return the list that waits for its visa, or for its erasure."""
    async with conn.cursor(row_factory=class_row(ListRow)) as cur:
        await cur.execute(
            """
            SELECT id, proposed_at, months, lines, visa, erased_at
            FROM elimination WHERE erased_at IS NULL
            """
        )
        return await cur.fetchone()


async def note_visa(conn: AsyncConnection, number: int, visa: int) -> bool:
    """Note the record of the visa of a list; tell whether the list waited for one."""
    done = await conn.execute(
        """
        UPDATE elimination SET visa = %(visa)s
        WHERE id = %(id)s AND visa IS NULL AND erased_at IS NULL
        """,
        {"id": number, "visa": visa},
    )
    return done.rowcount == 1


async def erase_listed(
    conn: AsyncConnection, bounds: tuple[int, int], newest: datetime, limit: int
) -> list[int]:
    """Delete rows that a list names, the first ones first; return their records.

    Args:
        conn: Of the worker.
        bounds: First record of the list, and the one after its last.
        newest: When the last content of the list was written: nothing younger goes.
        limit: Rows at most.
    """
    done = await conn.execute(
        """
        WITH chosen AS (
          SELECT record FROM content
           WHERE record >= %(first)s AND record < %(end)s AND at <= %(newest)s
           ORDER BY record LIMIT %(limit)s)
        DELETE FROM content USING chosen
         WHERE content.record = chosen.record AND content.at <= %(newest)s
        RETURNING content.record
        """,
        {"first": bounds[0], "end": bounds[1], "newest": newest, "limit": limit},
    )
    return [record for (record,) in await done.fetchall()]


async def close(conn: AsyncConnection, number: int) -> None:
    """Note that everything that a list names is erased."""
    await conn.execute(
        "UPDATE elimination SET erased_at = now() WHERE id = %(id)s", {"id": number}
    )
