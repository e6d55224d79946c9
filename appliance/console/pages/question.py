"""Asking: the page, the streamed answer, conversations, history."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from appliance.audit.client import RecorderError
from appliance.console.context import Visit, Visitor
from appliance.console.gateway import Asked
from appliance.console.menu import ASK
from appliance.console.page import HIGHEST, Shell, highest
from appliance.console.problem import explain
from appliance.console.questions import Begun, Ended, Grew, Question, Step, new_key, panel
from appliance.console.sse import event
from appliance.console.store import ContentRow
from appliance.console.talk import Talk, extractive, model_for, new_talk, talk_of
from appliance.console.terminal import ending_of
from appliance.console.turn import Turn
from appliance.identity.principal import Scope
from appliance.rag.documents import UnknownDocumentError, page_of

router = APIRouter(include_in_schema=False)
PER_PAGE, CHARACTERS = 30, 4_000
LOOKS, PAUSE = 20, 0.03  # seconds
AWAY = (RecorderError, DatabaseError, PoolTimeout)


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


@router.get("/question")
async def ask_page(
    visit: Visitor,
    q: Annotated[str, Query(max_length=CHARACTERS)] = "",
    visite: Annotated[bool, Query()] = False,  # noqa: FBT002 - a query
) -> Response:
    """Show an empty question, or one that waits to be sent."""
    visit.check(Scope.CHAT)
    talk = await new_talk(visit, q, guided=visite)
    return _talk_page(visit, talk)


@router.get("/question/{conversation}")
async def conversation_page(visit: Visitor, conversation: UUID) -> Response:
    """Show a conversation of the person's history."""
    visit.check(Scope.CHAT)
    talk = await talk_of(visit, conversation, [], "")
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


def _talk_page(visit: Visit, talk: Talk, status: int = 200) -> Response:
    return visit.page("question.html", talk.shell(visit), status, **talk.values(visit))


async def _whole(visit: Visit, wish: Wish, ended: Ended) -> Response:
    """Return the page with the answer in it, for a browser without JavaScript."""
    await _written(visit, ended.turn)
    talk = await talk_of(visit, wish.conversation, wish.collections, wish.team)
    problem = ended.turn.problem
    shown = talk.joined(ended, wish.question if problem else "")
    return _talk_page(visit, shown, problem.status if problem else 200)


async def _fragments(visit: Visit, question: Question, wish: Wish) -> AsyncIterator[bytes]:
    """Yield the answer as fragments of the page."""
    try:
        talk = await talk_of(visit, wish.conversation, wish.collections, wish.team)
    except AWAY as exc:
        code = exc.code if isinstance(exc, RecorderError) else "CM-IDE-03"
        turn = replace(question.turn, problem=explain(code))
        yield event(visit.part("parts/alone.html", turn=turn, added=True))
        return
    key, rank = question.turn.key, talk.rank
    shell = talk.shell(visit)
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
    talk = await talk_of(visit, wish.conversation, wish.collections, wish.team)
    shown = talk.joined(ended)
    values = {
        **shown.values(visit),
        "panel": ended.panel,
        "turn": ended.turn,
        "searching": True,
    }
    return visit.part("parts/end.html", shown.shell(visit), **values)
