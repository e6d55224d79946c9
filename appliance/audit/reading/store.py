"""Every SQL statement of the reader: the ciphertext of the one record that was approved."""

from dataclasses import dataclass

from psycopg import AsyncConnection
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class SealedRow:
    """Question and answer of one request, encrypted."""

    question: bytes
    answer: bytes
    label: int


async def find_sealed(conn: AsyncConnection, record: int) -> SealedRow | None:
    """Return the row that this terminal record ended. Row security shows no other one."""
    await conn.execute(
        "SELECT set_config('app.record', %(record)s, true)", {"record": str(record)}
    )
    async with conn.cursor(row_factory=class_row(SealedRow)) as cur:
        await cur.execute(
            "SELECT question, answer, label FROM content WHERE record = %(record)s",
            {"record": record},
        )
        return await cur.fetchone()
