"""The reader: its own user, its own socket, the only holder of the keys that open contents.

It opens the content of one record when two fresh approvals of different people, in two roles,
are in the log, written by a gateway. The order is fixed: the approvals are used up (on the
disk), `content.read` is durable in the log, then the texts leave, once. Whatever is missing is
refused with a code, and the refusal is recorded. The console that asks is not believed: it can
point to an approval, and no more.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

import msgspec

from appliance.audit.client import new_id
from appliance.audit.content import ContentKey
from appliance.audit.event import Event, Kind, Leaf, Terminal, fact
from appliance.audit.frame import Answer as Place
from appliance.audit.reading.approval import (
    FRESH,
    Approval,
    ApprovalError,
    UnapprovedError,
    pair,
    read_approval,
)
from appliance.audit.reading.frame import Answer, Given, Note, Open, Opened, Question
from appliance.audit.reading.month_keys import write_whole
from appliance.audit.reading.store import SealedRow
from appliance.errors import ApplianceError, VerificationError

log = logging.getLogger(__name__)

ACTOR = "reader"
PENDING_MAX = 256
_USED = "used.json"
_REFUSALS = 10  # recorded one by one in a minute; the others are counted


class UnreadableError(ApplianceError):
    """The content of the record cannot be opened: erased, never kept, or not for the reader."""

    code = "CM-JRN-55"


class Log(Protocol):
    """What the reader needs of the recorder's client."""

    def append(self, event: Event) -> "asyncio.Future[Place]":
        """Return when the event is durable."""
        ...

    async def read(self, start: int, limit: int) -> list[bytes]:
        """Return leaves."""
        ...

    async def sealed(self, index: int) -> bytes:
        """Return the sealed key that came with a leaf."""
        ...


class Rows(Protocol):
    """Where ciphertexts are."""

    async def find(self, record: int) -> SealedRow | None:
        """Return the row of a record."""
        ...


class Reader:
    """Decides, and opens. Made and used inside one event loop."""

    def __init__(
        self,
        parts: tuple[Log, Rows, Callable[[bytes], ContentKey]],
        gateways: Collection[int],
        folder: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts.

        Args:
            parts: The log, the ciphertexts, and what opens a sealed key.
            gateways: User ids whose approvals count.
            folder: Of the reader alone; remembers which approvals were used.
            clock: Seconds since 1970.
        """
        self._log, self._rows, self._open_key = parts
        self._gateways, self._clock = frozenset(gateways), clock
        self._file = folder / _USED
        self._used: dict[int, float] = _load(self._file)
        self._pending: dict[int, Approval] = {}
        self._refused = (0.0, 0)  # start of the minute, refusals in it

    async def answer(self, question: Question) -> Answer:
        """Answer a question; a refusal is an answer, and a record."""
        try:
            if isinstance(question, Note):
                await self._note(question.approval)
            if isinstance(question, Open):
                return Answer(opened=await self._open(question.record))
            return Answer(pending=self._waiting())
        except ApplianceError as exc:
            await self._refuse(question, exc)
            return Answer(exc.code, str(exc))

    async def _note(self, index: int) -> None:
        if index in self._used:
            raise ApprovalError(f"approval {index} was used")
        found = read_approval(await self._leaf(index), self._gateways, self._clock())
        self._forget_old()
        if len(self._pending) >= PENDING_MAX and index not in self._pending:
            raise ApprovalError("too many approvals wait")
        self._pending[index] = found

    async def _open(self, record: int) -> Opened:
        chosen = pair(self._pending.values(), record, self._clock())
        ended = (await self._leaf(record)).event
        if not isinstance(ended, Terminal) or ended.content != "sealed":
            raise UnreadableError(f"record {record} kept no content")
        row = await self._rows.find(record)
        if row is None:
            raise UnreadableError(f"the content of record {record} was erased")
        sealed = await self._log.sealed(record)
        self._use_up(chosen, record)
        event = fact(
            Kind.CONTENT_READ, ACTOR, new_id(), label=row.label, request=ended.request,
            record=record, **{one.role: one.index for one in chosen},
        )  # fmt: skip
        place = await self._log.append(event)
        try:
            key = self._open_key(sealed)
            texts = key.decrypt("question", row.question), key.decrypt("answer", row.answer)
        except VerificationError as exc:
            raise UnreadableError(f"record {record}: {exc}") from exc
        return Opened(*texts, row.label, place.index)

    def _use_up(self, chosen: tuple[Approval, Approval], record: int) -> None:
        """Take approvals out, durably: no restart brings them back.

        Raises:
            UnapprovedError: Another question took them meanwhile.
        """
        if any(one.index not in self._pending for one in chosen):
            raise UnapprovedError(f"record {record}: the approvals were used")
        now = self._clock()
        kept = {index: at for index, at in self._used.items() if now - at <= 2 * FRESH}
        self._used = kept | {one.index: now for one in chosen}
        for one in chosen:
            del self._pending[one.index]
        write_whole(self._file, msgspec.json.encode(self._used), 0o600)

    def _waiting(self) -> list[Given]:
        self._forget_old()
        return [
            Given(one.index, one.record, one.actor, one.name, one.role, one.reason, one.at)
            for one in sorted(self._pending.values(), key=lambda one: one.index)
        ]

    def _forget_old(self) -> None:
        now = self._clock()
        for index in [i for i, one in self._pending.items() if not one.is_fresh(now)]:
            del self._pending[index]

    async def _leaf(self, index: int) -> Leaf:
        found = await self._log.read(index, 1)
        if not found:
            raise ApprovalError(f"there is no record {index}")
        leaf = Leaf.parse(found[0])
        if leaf.index != index:
            raise VerificationError(f"record {index} is not at its place")
        return leaf

    async def _refuse(self, question: Question, exc: ApplianceError) -> None:
        log.warning("refused: %s", exc)
        now = self._clock()
        start, count = self._refused
        if now - start >= 60:  # noqa: PLR2004 - a minute
            start, count = now, 0
        self._refused = start, count + 1
        if count >= _REFUSALS:
            return
        index = question.record if isinstance(question, Open) else -1
        index = question.approval if isinstance(question, Note) else index
        event = fact(
            Kind.AUTHZ_DENIED, ACTOR, new_id(),
            reason=exc.code, route=f"content {question.__struct_config__.tag}", record=index,
        )  # fmt: skip
        try:
            await self._log.append(event)
        except ApplianceError as away:
            log.warning("the refusal is not on record: %s", away)


def fingerprint(public: bytes) -> str:
    """Return what the log says of a public key."""
    return hashlib.sha256(public).hexdigest()


def _load(path: Path) -> dict[int, float]:
    """Return the approvals that were used.

    Raises:
        VerificationError: The file is damaged: nothing may be opened on a guess.
    """
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[int, float])
    except msgspec.DecodeError as exc:
        raise VerificationError(f"{path}: not the approvals that were used") from exc
