"""The owner's history: what the database keeps encrypted, opened with the console's key.

The key of each question is sealed beside the log; destroying it there erases the text here, and
a row that no longer opens is shown as erased.
"""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from appliance.audit.client import RecorderClient, RecorderError, RefusedError
from appliance.audit.content import ContentKey, Part, open_sealed
from appliance.audit.event import Interrupted, Leaf
from appliance.audit.tree import leaf_hash
from appliance.console import store
from appliance.console.gateway import Given, Receipt
from appliance.console.store import ContentRow
from appliance.console.turn import Turn, answered
from appliance.errors import FormatError, VerificationError

_ERASED = (RefusedError, FormatError, VerificationError)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation in a list."""

    conversation: UUID
    title: str  # its first question
    at: datetime
    label: int
    count: int


@dataclass(frozen=True, slots=True)
class Words:
    """What the history says in the language of the page."""

    source: str  # "Source %s"
    erased: str  # instead of a text that no longer opens


class History:
    """Opens rows."""

    def __init__(self, recorder: RecorderClient, private: bytes) -> None:
        """Prepare. `private`: the X25519 key of the console, 32 bytes."""
        self._recorder, self._private = recorder, private

    async def key_of(self, record: int) -> ContentKey | None:
        """Return the content key of a terminal record, or None when it was destroyed.

        Raises:
            RecorderError: The recorder is away: whether the key exists is not known.
        """
        try:
            return open_sealed(self._private, await self._recorder.sealed(record))
        except _ERASED:
            return None

    async def conversations(
        self, conn: AsyncConnection, words: Words, limit: int, before: datetime | None = None
    ) -> list[Conversation]:
        """Return conversations with their titles, the latest first.

        Raises:
            RecorderError: The recorder is away: no title can be opened.
        """
        rows = await store.list_conversations(conn, limit, before)
        return [
            Conversation(
                row.conversation,
                _text(await self.key_of(row.record), "question", row.question) or words.erased,
                row.at,
                row.label,
                row.count,
            )
            for row in rows
        ]

    async def turns(
        self,
        conn: AsyncConnection,
        conversation: UUID,
        words: Words,
        extractive: frozenset[str],
    ) -> tuple[list[Turn], list[str]]:
        """Return the turns of a conversation, and the collections asked last."""
        rows = await store.read_conversation(conn, conversation)
        turns = [await self._turn(row, words, extractive) for row in rows]
        return turns, rows[-1].collections if rows else []

    async def turn_at(
        self, conn: AsyncConnection, turn: Turn, words: Words, extractive: frozenset[str]
    ) -> tuple[Turn, ContentRow] | None:
        """Return a turn that has a receipt as the history keeps it, once it was written."""
        row = await store.find_by_record(conn, turn.receipt.index) if turn.receipt else None
        if row is None:
            return None
        return await self._turn(row, words, extractive, turn.key), row

    async def _turn(
        self, row: ContentRow, words: Words, extractive: frozenset[str], anchor: str = ""
    ) -> Turn:
        key = await self.key_of(row.record)
        receipt, stopped = await self._ending(row.record)
        turn = Turn(
            key=anchor or row.request[-12:],
            question=_text(key, "question", row.question) or words.erased,
            at=row.at,
            model=row.model,
            label=row.label,
            outcome=row.outcome,
            sources=_given(row.passages),
            receipt=receipt,
            extractive=row.model in extractive,
            stopped=stopped,
        )
        answer = _text(key, "answer", row.answer)
        return answered(turn, words.erased if answer is None else answer, words.source)

    async def _ending(self, record: int) -> tuple[Receipt, bool]:
        """Return the receipt of a terminal record, and whether the answer was stopped."""
        try:
            stored = await self._recorder.read(record, 1)
            event = Leaf.parse(stored[0]).event
        except (RecorderError, RefusedError, FormatError, IndexError):
            return Receipt(record, ""), False
        digest = base64.b64encode(leaf_hash(stored[0])).decode()
        return Receipt(record, digest), isinstance(event, Interrupted)


def _text(key: ContentKey | None, part: Part, data: bytes) -> str | None:
    """Return the text of a part, or None when it does not open any more."""
    if key is None:
        return None
    try:
        return key.decrypt(part, data)
    except (FormatError, VerificationError):
        return None


def _given(passages: list[dict[str, Any]]) -> list[Given]:
    return msgspec.convert(passages, list[Given])
