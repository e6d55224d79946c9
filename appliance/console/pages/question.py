"""Asking: the page, the streamed answer, conversations, history."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from appliance.audit.client import RecorderError
from appliance.console.context import Visit, Visitor
from appliance.console.gateway import Asked
from appliance.console.history import Conversation
from appliance.console.menu import ASK
from appliance.console.page import HIGHEST, Shell, highest
from appliance.console.problem import explain
from appliance.console.questions import Begun, Ended, Grew, Question, Step, new_key, panel
from appliance.console.sse import event
from appliance.console.store import ContentRow
from appliance.console.terminal import ending_of
from appliance.console.turn import Panel, Turn
from appliance.identity.policy import Policy
from appliance.identity.principal import Principal, Scope
from appliance.rag.document import Collection
from appliance.rag.documents import (
    UnknownDocumentError,
    list_documents,
    page_of,
    visible_collections,
)

router = APIRouter(include_in_schema=False)
RECENT, PER_PAGE, STARTERS, CHARACTERS = 5, 30, 4, 4_000
LOOKS, PAUSE = 20, 0.03  # seconds
AWAY = (RecorderError, DatabaseError, PoolTimeout)
ORDINARY = 1  # labels up to this one are chosen beforehand


class Wish:
    """The form of a question."""

    def __init__(
        self,
        q: Annotated[str, Form(max_length=CHARACTERS)] = "",
        collection: Annotated[list[str], Form(max_length=32)] = [],  # noqa: B006 - FastAPI copies
        conversation: Annotated[UUID | None, Form()] = None,
        equipe: Annotated[str, Form(max_length=200)] = "",
    ) -> None:
        self.question, self.collections, self.team = q.strip(), collection, equipe
        self.conversation = conversation or uuid4()


@dataclass(frozen=True, slots=True)
class Talk:
    """What the page of a conversation shows."""

    conversation: UUID
    turns: Sequence[Turn]
    panel: Panel
    recents: Sequence[Conversation]
    collections: Sequence[Collection]
    chosen: Sequence[str]
    draft: str = ""
    starters: Sequence[str] = ()
    team: str = ""
    guided: bool = False

    @property
    def rank(self) -> int:
        """Return the highest label of what is displayed."""
        shown = [turn.label for turn in self.turns] + list(self.panel.labels)
        return highest(shown + [item.label for item in self.recents])

    def values(self, visit: Visit) -> dict[str, Any]:
        """Return what the templates name."""
        names = (
            "turns",
            "panel",
            "recents",
            "collections",
            "chosen",
            "draft",
            "starters",
            "team",
            "guided",
        )
        values = {name: getattr(self, name) for name in names}
        teams = visit.caller.teams
        return {**values, "conversation": self.conversation, "teams": teams}


@router.get("/question")
async def ask_page(
    visit: Visitor,
    q: Annotated[str, Query(max_length=CHARACTERS)] = "",
    visite: Annotated[bool, Query()] = False,  # noqa: FBT002 - a query
) -> Response:
    """Show an empty question, or one that waits to be sent."""
    visit.check(Scope.CHAT)
    async with visit.transaction() as conn:
        collections = await visible_collections(conn)
        recents = await _recents(conn, visit)
        starters = await _starters(conn, visit, collections)
    chosen = ordinary(collections)
    talk = Talk(uuid4(), [], Panel(), recents, collections, chosen, q, starters, guided=visite)
    return _talk_page(visit, talk)


@router.get("/question/{conversation}")
async def conversation_page(visit: Visitor, conversation: UUID) -> Response:
    """Show a conversation of the person's history."""
    visit.check(Scope.CHAT)
    talk = await _talk(visit, conversation, [], "")
    if not talk.turns:
        raise UnknownDocumentError
    return _talk_page(visit, talk)


@router.post("/question")
async def ask(visit: Visitor, wish: Annotated[Wish, Depends()]) -> Response:
    """Ask: a stream of fragments for htmx, a whole page otherwise."""
    visit.check(Scope.CHAT)
    asked = Asked(
        model=model_for(visit.console.policy, visit.caller),
        question=wish.question,
        collections=wish.collections,
        conversation=str(wish.conversation),
        team=wish.team,
    )
    if not wish.question:
        return RedirectResponse(ASK.href, HTTPStatus.SEE_OTHER)
    question = Question(visit, asked, new_key())
    if visit.htmx:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(
            _fragments(visit, question, wish), media_type="text/event-stream", headers=headers
        )
    async for step in question.steps():
        if isinstance(step, Ended):
            return await _whole(visit, wish, step)
    raise AssertionError("a question ends")


@router.get("/question/demande/{request}")
async def stopped(
    visit: Visitor, request: str, depuis: int, ancre: Annotated[str, Query(max_length=16)]
) -> Response:
    """Show how a request ended that the person stopped: its record and its receipt."""
    visit.check(Scope.CHAT)
    turn = await ending_of(visit, request, depuis, ancre)
    kept = await _kept(visit, turn)
    if kept is None:
        return HTMLResponse(visit.part("parts/stopped.html", turn=turn))
    whole, row = kept
    async with visit.transaction() as conn:
        ended = Ended(whole, await panel(conn, visit, whole))
    wish = Wish("", row.collections, row.conversation)
    return HTMLResponse(await _end(visit, wish, ended))


@router.get("/source/{document}/{passage}")
async def open_source(visit: Visitor, document: UUID, passage: UUID) -> Response:
    """Go to the page of a source, with its passage marked."""
    async with visit.transaction() as conn:
        page = await page_of(conn, document, 1, passage)
    address = f"/documents/{page.collection}/{document}?passage={passage}#passage"
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)


@router.get("/historique")
async def history_page(visit: Visitor, avant: datetime | None = None) -> Response:
    """List the person's conversations."""
    visit.check(Scope.CHAT)
    async with visit.transaction() as conn:
        items = await visit.console.history.conversations(conn, visit.words, PER_PAGE, avant)
    rank = highest([item.label for item in items])
    older = items[-1].at.isoformat() if len(items) == PER_PAGE else ""
    months = visit.console.policy.retention_months
    shell = visit.shell(rank, HIGHEST, ASK.href)
    return visit.page("history.html", shell, items=items, older=older, months=months)


async def _written(visit: Visit, turn: Turn) -> None:
    """Wait until the gateway wrote the turn, so that the page and its reload agree."""
    if turn.problem is None and not turn.documents:
        await _kept(visit, turn)


async def _kept(visit: Visit, turn: Turn) -> tuple[Turn, ContentRow] | None:
    """Return what the history keeps of a turn that was stopped: written soon after its end."""
    if turn.receipt is None:
        return None
    for _ in range(LOOKS):
        async with visit.transaction() as conn:
            history, models = visit.console.history, extractive(visit.console.policy)
            found = await history.turn_at(conn, turn, visit.words, models)
        if found is not None:
            return found
        await asyncio.sleep(PAUSE)
    return None


def model_for(policy: Policy, caller: Principal) -> str:
    """Return the chat model that answers this person."""
    if policy.default_model:
        return policy.default_model
    for name, model in policy.models.items():
        if model.kind == "chat" and (not model.roles or caller.roles & set(model.roles)):
            return name
    return ""


def extractive(policy: Policy) -> frozenset[str]:
    """Return the models that quote and do not write."""
    return frozenset(name for name, model in policy.models.items() if model.extractive)


def ordinary(collections: Sequence[Collection]) -> list[str]:
    """Return the collections chosen beforehand: those that do not raise the marking much."""
    low = [item.slug for item in collections if item.label <= ORDINARY]
    return low or [item.slug for item in collections]


async def _recents(conn: AsyncConnection, visit: Visit) -> list[Conversation]:
    """Return the latest conversations; none while the log, which holds their keys, is away."""
    if not visit.state.recorder:
        return []
    try:
        return await visit.console.history.conversations(conn, visit.words, RECENT)
    except RecorderError:
        return []


async def _starters(
    conn: AsyncConnection, visit: Visit, collections: Sequence[Collection]
) -> list[str]:
    """Return questions to try, from titles that carry no marking."""
    text = visit.language.text("Que prévoit « %s » ?")
    found: list[str] = []
    for collection in collections:
        if collection.label == 0 and len(found) < STARTERS:
            documents = await list_documents(conn, collection.slug, limit=STARTERS)
            found += [text % item.title for item in documents if item.pages]
    return found[:STARTERS]


async def _talk(visit: Visit, conversation: UUID, chosen: Sequence[str], team: str) -> Talk:
    """Return a conversation as the history has it."""
    history, models = visit.console.history, extractive(visit.console.policy)
    async with visit.transaction() as conn:
        collections = await visible_collections(conn)
        recents = await _recents(conn, visit)
        turns, kept = await history.turns(conn, conversation, visit.words, models)
        beside = await panel(conn, visit, turns[-1]) if turns else Panel()
    picked = chosen or kept or ordinary(collections)
    return Talk(conversation, turns, beside, recents, collections, picked, team=team)


def _talk_page(visit: Visit, talk: Talk, status: int = 200) -> Response:
    return visit.page("question.html", _shell(visit, talk), status, **talk.values(visit))


def _shell(visit: Visit, talk: Talk) -> Shell:
    return visit.shell(talk.rank, HIGHEST if talk.rank else visit.shell().scope, ASK.href)


def _with(talk: Talk, ended: Ended, draft: str) -> Talk:
    """Return the conversation with a turn that the history may not have yet."""
    last = ended.turn.receipt
    known = [turn for turn in talk.turns if not last or _index(turn) != last.index]
    beside = ended.panel if not ended.turn.problem else talk.panel
    return Talk(
        talk.conversation, [*known, ended.turn], beside, talk.recents, talk.collections,
        talk.chosen, draft, (), talk.team,
    )  # fmt: skip


def _index(turn: Turn) -> int | None:
    return turn.receipt.index if turn.receipt else None


async def _whole(visit: Visit, wish: Wish, ended: Ended) -> Response:
    """Return the page with the answer in it, for a browser without JavaScript."""
    await _written(visit, ended.turn)
    talk = await _talk(visit, wish.conversation, wish.collections, wish.team)
    problem = ended.turn.problem
    shown = _with(talk, ended, wish.question if problem else "")
    return _talk_page(visit, shown, problem.status if problem else 200)


async def _fragments(visit: Visit, question: Question, wish: Wish) -> AsyncIterator[bytes]:
    """Yield the answer as fragments of the page."""
    try:
        talk = await _talk(visit, wish.conversation, wish.collections, wish.team)
    except AWAY as exc:
        code = exc.code if isinstance(exc, RecorderError) else "CM-IDE-03"
        turn = replace(question.turn, problem=explain(code))
        yield event(visit.part("parts/alone.html", turn=turn, added=True))
        return
    key, rank = question.turn.key, talk.rank
    shell = _shell(visit, talk)
    values: dict[str, Any] = {
        **talk.values(visit),
        "key": key,
        "question": wish.question,
        "request": "",
        "intent": 0,
        "talking": True,
    }
    yield event(visit.part("parts/begin.html", shell, **values))
    async for step in question.steps():
        if isinstance(step, Ended):
            try:
                yield event(await _end(visit, wish, step))
            except AWAY:  # what was written stays, with what is known of it
                yield event(visit.part("parts/alone.html", turn=step.turn, added=False))
        else:
            yield event(_growth(visit, shell, step, key, rank))
            rank = max(rank, step.label) if isinstance(step, Grew) else rank


def _growth(visit: Visit, shell: Shell, step: Step, key: str, rank: int) -> str:
    """Return the fragment of one step."""
    if isinstance(step, Begun):
        values = {"key": key, "request": step.request, "intent": step.intent or 0}
        return visit.part("parts/stoppable.html", shell, **values)
    assert isinstance(step, Grew)
    label = max(rank, step.label)
    values = {"key": key, "closed": step.closed, "more": step.more, "open": step.open}
    band = {"band": label > rank, "rank": label, "scope": HIGHEST}
    return visit.part("parts/grew.html", shell, **band, **values)


async def _end(visit: Visit, wish: Wish, ended: Ended) -> str:
    """Return the fragments that end the stream: the turn as it stays, its sources, the rest."""
    await _written(visit, ended.turn)
    visit = await visit.afresh()
    talk = await _talk(visit, wish.conversation, wish.collections, wish.team)
    shown = _with(talk, ended, "")
    values = {
        **shown.values(visit),
        "panel": ended.panel,
        "turn": ended.turn,
        "searching": True,
    }
    return visit.part("parts/end.html", _shell(visit, shown), **values)
