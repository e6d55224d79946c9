"""A question on its way: the gateway's answer as steps that a page draws, or document mode.

The same steps serve the streamed page and the one without JavaScript. When no engine answers,
the console searches and quotes by itself, under the same row security, and says so; the search
is on record before anything is shown. When the recorder is away nothing is searched at all.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import msgspec
from markupsafe import Markup
from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from appliance.audit.client import RecorderError, RefusedError, new_id
from appliance.audit.event import Kind, fact
from appliance.console.answer import Growing
from appliance.console.context import Visit, utc_now
from appliance.console.gateway import (
    Answering,
    Asked,
    Chunk,
    Facts,
    GatewayError,
    Given,
    Receipt,
)
from appliance.console.language import mark
from appliance.console.problem import Problem, of_error
from appliance.console.turn import Panel, Turn, answered, links_of, panel_of, source
from appliance.errors import ApplianceError
from appliance.rag.documents import UnknownDocumentError, page_of
from appliance.rag.extract import extract
from appliance.rag.retrieve import Passage, public, retrieve
from appliance.rag.support import decide

PAGE = mark("page %(page)s sur %(pages)s")
SOURCE = mark("Source %s")
NOT_FOUND = mark("Je ne trouve pas de réponse dans les documents que vous pouvez lire.")
_ENGINE_AWAY = frozenset({"CM-MOD-01", "CM-MOD-02"})


@dataclass(frozen=True, slots=True)
class Begun:
    """The gateway admitted the question."""

    request: str
    intent: int | None  # number of its record


@dataclass(frozen=True, slots=True)
class Grew:
    """The answer grew."""

    closed: Markup  # blocks that are whole
    more: str  # text to add to the open block
    open: str  # all of the open block
    label: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The turn as it stays, and its sources."""

    turn: Turn
    panel: Panel


Step = Begun | Grew | Ended


def new_key() -> str:
    """Return the prefix of the anchors of a new turn."""
    return uuid4().hex[:12]


class Question:
    """One question of one person."""

    def __init__(self, visit: Visit, asked: Asked, key: str) -> None:
        self._visit, self._asked = visit, asked
        policy = visit.console.policy
        model = policy.models.get(asked.model)
        self.turn = Turn(
            key=key,
            question=asked.question,
            at=utc_now(),
            model=asked.model,
            extractive=bool(model and model.extractive),
        )
        self._label_of_source = visit.language.text(SOURCE)

    async def steps(self) -> AsyncIterator[Step]:
        """Yield what happens; the last step is `Ended`, whatever happens."""
        try:
            async with self._visit.console.gateway.ask(
                self._visit.session.access, self._asked
            ) as answering:
                yield Begun(answering.request, answering.intent)
                async for step in self._answer(answering):
                    yield step
        except GatewayError as exc:
            yield await self._refused(exc)

    async def _answer(self, answering: Answering) -> AsyncIterator[Step]:
        """Yield the growth of the answer and its end."""
        self.turn = replace(self.turn, label=answering.label)
        growing = Growing(links_of(self.turn.key, (), self._label_of_source))
        facts = Facts()
        cut: Problem | None = None
        try:
            async for chunk in answering.chunks():
                facts = self._learn(chunk, growing) or facts
                if chunk.text:
                    closed, opened = growing.feed(chunk.text)
                    yield Grew(closed, chunk.text, opened, self.turn.label)
        except GatewayError as exc:
            if not growing.text:
                raise
            cut = exc.problem
        turn = replace(
            self.turn,
            label=max(facts.label, self.turn.label),
            outcome=facts.outcome,
            receipt=facts.receipt,
            interrupted=cut,
        )
        yield await self._ended(answered(turn, growing.text, self._label_of_source))

    def _learn(self, chunk: Chunk, growing: Growing) -> Facts | None:
        """Take the passages of the first event; return what the last one says."""
        facts = chunk.casemate
        if facts is None:
            return None
        if facts.passages is not None:
            label = max([g.label for g in facts.passages], default=self.turn.label)
            self.turn = replace(self.turn, sources=facts.passages, label=label)
            growing.links = links_of(self.turn.key, facts.passages, self._label_of_source)
        return facts if facts.receipt is not None else None

    async def _ended(self, turn: Turn) -> Ended:
        try:
            async with self._visit.transaction() as conn:
                return Ended(turn, await panel(conn, self._visit, turn))
        except (DatabaseError, PoolTimeout):  # the answer stays, without its pages
            return Ended(turn, Panel())

    async def _refused(self, exc: GatewayError) -> Ended:
        """Return document mode when only the engine is away, the problem otherwise."""
        problem = exc.problem
        if problem.code in _ENGINE_AWAY and self._asked.collections:
            try:
                ended = await self._documents()
            except ApplianceError as inner:
                problem = of_error(inner)
            else:
                self._visit.console.watch.forget()
                return ended
        return Ended(replace(self.turn, problem=problem), Panel())

    async def _documents(self) -> Ended:
        """Search and quote without any engine.

        Raises:
            RecorderError: The search cannot be recorded: nothing is shown.
            UnknownCollectionError: A collection is hidden or does not exist.
        """
        question, policy = self._asked.question, self._visit.console.policy
        async with self._visit.transaction() as conn:
            found = await retrieve(
                conn, question, self._asked.collections, policy.limits.passages
            )
            given = msgspec.convert(public(found), list[Given])
            label = max([passage.label for passage in found], default=0)
            receipt = await self._record(found, label)
            outcome = decide(question, found, policy.outcome).kind
            turn = replace(
                self.turn, model="", extractive=False, documents=True, sources=given,
                label=label, outcome=outcome, receipt=receipt,
            )  # fmt: skip
            text = self._visit.language.text(NOT_FOUND)
            if outcome == "answer":
                text = extract(question, found).text
            turn = answered(turn, text, self._label_of_source)
            return Ended(turn, await panel(conn, self._visit, turn))

    async def _record(self, found: Sequence[Passage], label: int) -> Receipt:
        """Make the search durable in the log.

        Raises:
            RecorderError: It is not.
        """
        event = fact(
            Kind.RAG_RETRIEVE, self._visit.caller.subject, new_id(), label=label,
            mode="documents", passages=len(found),
        )  # fmt: skip
        try:
            answer = await self._visit.console.recorder.append(event)
        except RefusedError as exc:
            raise RecorderError("the search is not on record") from exc
        return Receipt(answer.index, answer.leaf)


async def panel(conn: AsyncConnection, visit: Visit, turn: Turn) -> Panel:
    """Return the sources of a turn, with the pages that the person may read today."""
    sources = []
    where = visit.language.text(PAGE)
    for given in turn.shown():
        try:
            ids = UUID(given.document), UUID(given.passage)
            page = await page_of(conn, ids[0], given.place.page, ids[1])
        except (UnknownDocumentError, ValueError):
            page = None
        sources.append(source(given, page, where))
    return panel_of(turn, sources)
