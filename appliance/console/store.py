"""Every SQL statement of the console: reading the owner's history.

Functions take a connection inside a transaction in which `identity.store.act_as` was called:
row security shows the person's own rows, and of those only what they may still read today.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class ContentRow:
    """One question of the history, typed as psycopg gives it. Texts are encrypted."""

    request: str
    record: int
    conversation: UUID | None
    at: datetime
    model: str
    label: int
    collections: list[str]
    outcome: str
    question: bytes
    answer: bytes
    passages: list[dict[str, Any]]
    citations: list[int]


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """A conversation: its first question, and what it adds up to."""

    conversation: UUID
    record: int  # terminal record of the first question
    question: bytes
    at: datetime  # of the last question
    label: int  # highest
    count: int


async def list_conversations(
    conn: AsyncConnection, limit: int, before: datetime | None = None
) -> list[ConversationRow]:
    """Return conversations, the one that was asked in last first."""
    async with conn.cursor(row_factory=class_row(ConversationRow)) as cur:
        await cur.execute(
            """
            SELECT conversation, (array_agg(record ORDER BY record))[1] AS record,
                   (array_agg(question ORDER BY record))[1] AS question,
                   max(at) AS at, max(label) AS label, count(*)::int AS count
            FROM content WHERE conversation IS NOT NULL
            GROUP BY conversation
            HAVING %(before)s::timestamptz IS NULL OR max(at) < %(before)s
            ORDER BY max(at) DESC LIMIT %(limit)s
            """,
            {"limit": limit, "before": before},
        )
        return await cur.fetchall()


async def read_conversation(
    conn: AsyncConnection, conversation: UUID, limit: int = 50
) -> list[ContentRow]:
    """Return the last questions of a conversation, in the order they were asked."""
    async with conn.cursor(row_factory=class_row(ContentRow)) as cur:
        await cur.execute(
            """
            SELECT * FROM (
              SELECT request, record, conversation, at, model, label, collections, outcome,
                     question, answer, passages, citations
              FROM content WHERE conversation = %(conversation)s
              ORDER BY record DESC LIMIT %(limit)s) AS latest
            ORDER BY record
            """,
            {"conversation": conversation, "limit": limit},
        )
        return await cur.fetchall()


async def find_by_record(conn: AsyncConnection, record: int) -> ContentRow | None:
    """Return the question that this terminal record ended, if it is in the person's history."""
    async with conn.cursor(row_factory=class_row(ContentRow)) as cur:
        await cur.execute(
            """
            SELECT request, record, conversation, at, model, label, collections, outcome,
                   question, answer, passages, citations
            FROM content WHERE record = %(record)s
            """,
            {"record": record},
        )
        return await cur.fetchone()


@dataclass(frozen=True, slots=True)
class LatestRow:
    """The latest question of one outcome."""

    outcome: str
    record: int
    document: str | None  # of the first passage that the answer cites
    passage: str | None


async def find_latest(conn: AsyncConnection) -> list[LatestRow]:
    """Return the person's latest question of each outcome."""
    async with conn.cursor(row_factory=class_row(LatestRow)) as cur:
        await cur.execute(
            """
            SELECT DISTINCT ON (outcome) outcome, record,
                   passages -> (citations[1] - 1) ->> 'document' AS document,
                   passages -> (citations[1] - 1) ->> 'passage' AS passage
            FROM content ORDER BY outcome, cardinality(citations) = 0, record DESC
            """
        )
        return await cur.fetchall()
