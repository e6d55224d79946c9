"""What clients ask the recorder: how the log stands, its leaves, proofs, sealed keys."""

import asyncio

import msgspec

from appliance.audit.checkpoints import Checkpoints
from appliance.audit.frame import (
    READ_MAX,
    BudgetState,
    Erased,
    Extend,
    Extended,
    Key,
    Leaves,
    Prove,
    Proved,
    Question,
    Ranges,
    Read,
    State,
    Status,
    Unseal,
)
from appliance.audit.precedence import Level
from appliance.audit.publisher import Publisher
from appliance.audit.writer import Writer, clocks

_DEGRADED = {
    Level.PLENTY: "",
    Level.WARN: "disk_warn",
    Level.NO_MODELS: "disk_no_models",
    Level.RESERVED: "disk_reserved",
}


class Questions:
    """Answers from the log. Nothing is written, but a checkpoint for a proof."""

    def __init__(self, writer: Writer, publisher: Publisher, checkpoints: Checkpoints) -> None:
        """Take the parts."""
        self._writer, self._publisher, self._checkpoints = writer, publisher, checkpoints

    async def answer(self, question: Question) -> msgspec.Struct:
        """Return the body of the answer.

        Raises:
            VerificationError: The log has not what is asked for.
        """
        match question:
            case Status():
                return self.status(question)
            case Read():
                return await self._read(question)
            case Prove():
                return await self._prove(question)
            case Erased():
                return Ranges(self._writer.erased)
            case Extend():
                return Extended(*await asyncio.to_thread(self._publisher.extend, question.old))
            case Unseal():
                return Key(self._writer.volume.sealed.read(question.index))

    def status(self, question: Status) -> State:
        """Return how the log stands: what is durable, and what of it is published."""
        writer = self._writer
        writer.commit()
        state, head = writer.admission, self._publisher.head
        standings = state.standings(clocks()[0], question.budgets)
        return State(
            size=writer.volume.size, root=writer.frontier.root(),
            checkpoint_size=head.size, checkpoint_at=self._checkpoints.at,
            stopped=bool(state.stopped_by), stopped_by=state.stopped_by,
            approvals=state.approvals, open=len(state.open), degraded=self._degraded(),
            budgets={
                name: BudgetState(one.used, one.reserved, one.limit, one.period, one.hard)
                for name, one in standings.items()
            },
            anchored=writer.anchored,
        )  # fmt: skip

    def _degraded(self) -> str:
        if self._checkpoints.failing_since is not None:
            return "unsigned"
        return _DEGRADED[self._writer.level]

    async def _read(self, question: Read) -> Leaves:
        size = self._writer.volume.size
        start = max(0, size + question.start) if question.start < 0 else question.start
        start = max(start, self._publisher.kept)
        end = min(size, start + min(question.max, READ_MAX))
        if start >= end:
            return Leaves(start, [])
        leaves: list[bytes] = []
        if start < self._writer.first:
            limit = min(end, self._writer.first) - start
            leaves = await asyncio.to_thread(self._publisher.entries, start, limit)
        at = start + len(leaves)
        first = self._writer.first  # only now: a checkpoint may have ended meanwhile
        if first <= at < end:
            leaves += self._writer.recent[at - first : end - first]
        return Leaves(start, leaves)

    async def _prove(self, question: Prove) -> Proved:
        await self._checkpoints.cover(question.index)
        proof, leaf = await asyncio.to_thread(self._proof, question.index)
        return Proved(leaf, proof)

    def _proof(self, index: int) -> tuple[bytes, bytes]:
        return self._publisher.prove(index).to_bytes(), self._publisher.entry(index)
