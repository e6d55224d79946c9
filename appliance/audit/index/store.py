"""SQL of the working copy: filling it, comparing it. Run as `casemate_indexer`.

Functions take a connection and never commit. What people read of it is in the console's store.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import AsyncConnection, sql
from psycopg.rows import class_row, scalar_row

from appliance.audit.index.row import COLUMNS, SLICE, Row, Slice, slices

LOCK = 7_165  # advisory: one rebuild at a time
_COLUMNS = ("idx", *COLUMNS)


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two copies."""

    side: int
    serving: bool
    first: int  # what is older was pruned
    next: int  # index of the leaf to take next


async def read_side(conn: AsyncConnection, *, serving: bool, lock: bool = False) -> Side:
    """Return the side that serves, or the other one; locked until the transaction ends."""
    statement = """
        SELECT side, serving, first, next FROM audit.side WHERE serving = %(serving)s
        """
    async with conn.cursor(row_factory=class_row(Side)) as cur:
        await cur.execute(statement + (" FOR UPDATE" if lock else ""), {"serving": serving})
        found = await cur.fetchone()
    assert found is not None, "the migration puts two sides in"
    return found


async def add(conn: AsyncConnection, side: Side, rows: Sequence[Row]) -> None:
    """Append rows that follow one another to a side, and move its place on. Once a transaction.

    COPY knows no row security: it fills a table of the transaction, and one INSERT moves it.
    """
    await conn.execute(
        """
        CREATE TEMPORARY TABLE IF NOT EXISTS arriving
            (LIKE audit.event INCLUDING DEFAULTS) ON COMMIT DELETE ROWS
        """
    )
    statement = f"COPY arriving (side, {', '.join(_COLUMNS)}) FROM STDIN"
    async with conn.cursor() as cur, cur.copy(statement.encode()) as copy:
        for row in rows:
            await copy.write_row([side.side, *(getattr(row, name) for name in _COLUMNS)])
    await conn.execute("INSERT INTO audit.event SELECT * FROM arriving")
    await _widen(conn, side.side, slices(rows))
    await conn.execute(
        """
        UPDATE audit.side SET next = %(next)s,
            first = CASE WHEN next = first THEN %(first)s ELSE first END
        WHERE side = %(side)s
        """,
        {"side": side.side, "first": rows[0].idx, "next": rows[-1].idx + 1},
    )


async def _widen(conn: AsyncConnection, side: int, bounds: Sequence[Slice]) -> None:
    async with conn.cursor() as cur:
        await cur.executemany(
            """
            INSERT INTO audit.slice AS s (side, slice, low, high)
            VALUES (%(side)s, %(slice)s, %(low)s, %(high)s)
            ON CONFLICT (side, slice) DO UPDATE
            SET low = least(s.low, excluded.low), high = greatest(s.high, excluded.high)
            """,
            [{"side": side, "slice": b.slice, "low": b.low, "high": b.high} for b in bounds],
        )


async def prune(conn: AsyncConnection, side: Side, below: int) -> None:
    """Forget what the log no longer keeps: rows below an index."""
    values = {"side": side.side, "below": below, "slice": below // SLICE}
    await conn.execute(
        "DELETE FROM audit.event WHERE side = %(side)s AND idx < %(below)s", values
    )
    await conn.execute(
        "DELETE FROM audit.slice WHERE side = %(side)s AND slice < %(slice)s", values
    )
    await conn.execute(
        """
        UPDATE audit.side SET first = greatest(first, least(%(below)s, next))
        WHERE side = %(side)s
        """,
        values,
    )


async def empty(conn: AsyncConnection, side: Side) -> None:
    """Empty the side that does not serve."""
    assert not side.serving
    name = sql.Identifier("audit", f"event_{side.side}")
    await conn.execute("SET LOCAL lock_timeout = '5s'")  # waiting behind a reader stops others
    await conn.execute(sql.SQL("TRUNCATE {}").format(name))
    await conn.execute("DELETE FROM audit.slice WHERE side = %(side)s", {"side": side.side})
    await conn.execute(
        "UPDATE audit.side SET first = 0, next = 0 WHERE side = %(side)s", {"side": side.side}
    )


async def switch(conn: AsyncConnection) -> bool:
    """Let the other side serve, unless it is behind; true when it does."""
    serving = await read_side(conn, serving=True, lock=True)
    other = await read_side(conn, serving=False, lock=True)
    if other.next < serving.next:
        return False
    await conn.execute("UPDATE audit.side SET serving = false WHERE serving")
    await conn.execute(
        "UPDATE audit.side SET serving = true WHERE side = %(side)s", {"side": other.side}
    )
    return True


async def take_turn(conn: AsyncConnection) -> bool:
    """Take the lock of a rebuild for this connection; false while another one has it."""
    async with conn.cursor(row_factory=scalar_row) as cur:
        await cur.execute("SELECT pg_try_advisory_lock(%(lock)s)", {"lock": LOCK})
        return bool(await cur.fetchone())


async def read_rows(conn: AsyncConnection, side: Side, start: int, end: int) -> list[Row]:
    """Return the rows of a side in [start, end), by ascending index."""
    async with conn.cursor(row_factory=class_row(Row)) as cur:
        await cur.execute(
            """
            SELECT idx, at, subject, type, outcome, code, actor, request, object, leaf_hash,
                   digest
            FROM audit.event
            WHERE side = %(side)s AND idx >= %(start)s AND idx < %(end)s ORDER BY idx
            """,
            {"side": side.side, "start": start, "end": end},
        )
        return await cur.fetchall()


async def count_beyond(conn: AsyncConnection, side: Side) -> int | None:
    """Return the first index of a row that no leaf was taken for, or None."""
    async with conn.cursor(row_factory=scalar_row) as cur:
        await cur.execute(
            """
            SELECT min(idx) FROM audit.event
            WHERE side = %(side)s AND (idx < %(first)s OR idx >= %(next)s)
            """,
            {"side": side.side, "first": side.first, "next": side.next},
        )
        return await cur.fetchone()


async def note_comparison(conn: AsyncConnection, size: int, differs: int | None) -> None:
    """Keep what a comparison said; of the older ones the last hundred stay."""
    await conn.execute(
        "INSERT INTO audit.comparison (size, differs) VALUES (%(size)s, %(differs)s)",
        {"size": size, "differs": differs},
    )
    await conn.execute(
        """
        DELETE FROM audit.comparison
        WHERE at < (SELECT at FROM audit.comparison ORDER BY at DESC OFFSET 100 LIMIT 1)
        """
    )
