"""SQL of exports: asked for by the console as its person, written by the worker.

Functions take a connection and never commit.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row


@dataclass(frozen=True, slots=True)
class Export:
    """One export, typed as psycopg gives it."""

    id: UUID
    owner: str
    at: datetime
    first: int
    last: int  # included
    formats: list[str]
    label: str
    site: str
    state: str  # waiting | done | failed | gone
    written: int  # events
    name: str | None
    sums: str | None
    size: int | None  # bytes of the archive
    problem: str | None  # a code of the table of errors
    done_at: datetime | None

    @property
    def total(self) -> int:
        """Return how many events it holds."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for."""

    id: UUID
    first: int
    last: int
    formats: tuple[str, ...]
    label: str
    site: str


async def ask(conn: AsyncConnection, owner: str, wish: Wish) -> None:
    """Ask for an export, as its owner."""
    await conn.execute(
        """
        INSERT INTO audit.export (id, owner, first, last, formats, label, site)
        VALUES (%(id)s, %(owner)s, %(first)s, %(last)s, %(formats)s, %(label)s, %(site)s)
        """,
        {
            "id": wish.id, "owner": owner, "first": wish.first, "last": wish.last,
            "formats": list(wish.formats), "label": wish.label, "site": wish.site,
        },
    )  # fmt: skip


async def find(conn: AsyncConnection, export: UUID) -> Export | None:
    """Return an export that the person of this transaction asked for."""
    async with conn.cursor(row_factory=class_row(Export)) as cur:
        await cur.execute("SELECT * FROM audit.export WHERE id = %(id)s", {"id": export})
        return await cur.fetchone()


async def latest(conn: AsyncConnection, limit: int) -> list[Export]:
    """Return the exports of the person, the latest first."""
    async with conn.cursor(row_factory=class_row(Export)) as cur:
        await cur.execute(
            "SELECT * FROM audit.export ORDER BY at DESC LIMIT %(limit)s", {"limit": limit}
        )
        return await cur.fetchall()


async def next_waiting(conn: AsyncConnection) -> Export | None:
    """Return the export that waits longest, also one that a dead worker began."""
    async with conn.cursor(row_factory=class_row(Export)) as cur:
        await cur.execute(
            "SELECT * FROM audit.export WHERE state = 'waiting' ORDER BY at, id LIMIT 1"
        )
        return await cur.fetchone()


async def note_written(conn: AsyncConnection, export: UUID, written: int) -> None:
    """Say how far an export is."""
    await conn.execute(
        "UPDATE audit.export SET written = %(written)s WHERE id = %(id)s",
        {"id": export, "written": written},
    )


async def finish(conn: AsyncConnection, export: UUID, name: str, sums: str, size: int) -> None:
    """Say that an export can be taken."""
    await conn.execute(
        """
        UPDATE audit.export SET state = 'done', written = last - first + 1, name = %(name)s,
            sums = %(sums)s, size = %(size)s, done_at = clock_timestamp()
        WHERE id = %(id)s
        """,
        {"id": export, "name": name, "sums": sums, "size": size},
    )


async def fail(conn: AsyncConnection, export: UUID, problem: str) -> None:
    """Say that an export cannot be made, by a code of the table of errors."""
    await conn.execute(
        """
        UPDATE audit.export SET state = 'failed', problem = %(problem)s,
            done_at = clock_timestamp()
        WHERE id = %(id)s
        """,
        {"id": export, "problem": problem},
    )


async def expire(conn: AsyncConnection, days: int) -> list[UUID]:
    """Let exports go that were made so many days ago; return them."""
    async with conn.cursor(row_factory=scalar_row) as cur:
        await cur.execute(
            """
            UPDATE audit.export SET state = 'gone'
            WHERE state IN ('done', 'failed')
              AND done_at < clock_timestamp() - make_interval(days => %(days)s)
            RETURNING id
            """,
            {"days": days},
        )
        return await cur.fetchall()
