"""Sealed contents: asked for by one person, agreed to by another, shown once.

This page decides nothing. A person's word goes to the gateway with their own token; the reader
looks for it in the signed log, and opens the content when it finds two.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, Path
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from appliance.audit.client import RefusedError
from appliance.audit.event import Terminal
from appliance.audit.reading.approval import FRESH, ROLES
from appliance.audit.reading.client import ReaderClient
from appliance.audit.reading.frame import Given
from appliance.console.context import Visit, Visitor, utc_now
from appliance.console.gateway import GatewayError
from appliance.console.language import mark
from appliance.console.menu import CONTENTS
from appliance.console.menu import ROLES as NAMES
from appliance.console.page import HIGHEST, METADATA
from appliance.console.problem import explain
from appliance.console.records import Record
from appliance.console.terminal import record_at
from appliance.identity.principal import ForbiddenError, Scope, check_elevated
from appliance.rag.documents import UnknownDocumentError

router = APIRouter(include_in_schema=False)
Index = Annotated[int, Path(ge=0, lt=2**53)]
_GIVEN = mark("Votre accord est inscrit au journal.")
_FOUND = 303


@dataclass(frozen=True, slots=True)
class Word:
    """One person's approval, for a page."""

    name: str
    role: str  # msgid
    reason: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Wish:
    """A content that somebody asked to open."""

    record: int
    words: tuple[Word, ...]
    missing: tuple[str, ...]  # msgids of the roles that have not agreed
    mine: bool  # the person who looks has agreed

    @property
    def complete(self) -> bool:
        """Tell whether the reader may open it."""
        return not self.missing


def wish_of(record: int, given: list[Given], subject: str) -> Wish:
    """Put the approvals of one record together; of each role the latest counts."""
    latest = {one.role: one for one in given if one.record == record}
    return Wish(
        record=record,
        words=tuple(_word(latest[role]) for role in ROLES if role in latest),
        missing=tuple(NAMES[role] for role in ROLES if role not in latest),
        mine=any(one.actor == subject for one in latest.values()),
    )


def _word(one: Given) -> Word:
    at = one.at / 1_000_000
    return Word(
        one.name, NAMES[one.role], one.reason,
        datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(at + FRESH, UTC),
    )  # fmt: skip


@router.get("/contenus")
async def contents(visit: Visitor) -> Response:
    """List what waits for a second person, or to be opened."""
    given = await _reader(visit).pending()
    records = sorted({one.record for one in given})
    return visit.page(
        "contents.html",
        visit.shell(0, METADATA, CONTENTS.href),
        wishes=[wish_of(record, given, visit.caller.subject) for record in records],
        minutes=FRESH // 60,
    )


@router.get("/contenus/{record}")
async def content(visit: Visitor, record: Index) -> Response:
    """Show a sealed content from outside: who agreed, who has to."""
    return await _page(visit, record)


@router.post("/contenus/{record}/accord")
async def approve(
    visit: Visitor, record: Index, motif: Annotated[str, Form(max_length=200)] = ""
) -> Response:
    """Give one's word, and point the reader to it."""
    reader = _reader(visit)
    await _sealed(visit, record)
    check_elevated(visit.caller, utc_now().timestamp())
    try:
        leaf = await visit.console.gateway.approve_opening(visit.session.access, record, motif)
    except GatewayError as exc:
        return await _page(visit, record, problem=exc.problem, status=exc.problem.status)
    await reader.note(leaf)
    return RedirectResponse(f"/contenus/{record}", _FOUND)


@router.post("/contenus/{record}/lecture")
async def read(visit: Visitor, record: Index) -> Response:
    """Show the texts, once. The reader recorded it before it gave them."""
    reader = _reader(visit)
    found = await _sealed(visit, record)
    check_elevated(visit.caller, utc_now().timestamp())
    if found.label > visit.caller.reads_up_to:
        raise ForbiddenError("the content is marked above this clearance")
    try:
        opened = await reader.open(record)
    except RefusedError as exc:
        problem = explain(exc.code)
        return await _page(visit, record, problem=problem, status=problem.status)
    answer = visit.page(
        "content_open.html",
        visit.shell(opened.label, HIGHEST, CONTENTS.href),
        record=found,
        opened=opened,
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


async def _page(
    visit: Visit, record: int, *, problem: object = None, status: int = 200
) -> HTMLResponse:
    given = await _reader(visit).pending()
    found = await _sealed(visit, record)
    wish = wish_of(record, given, visit.caller.subject)
    return visit.page(
        "content.html",
        visit.shell(found.label, METADATA, CONTENTS.href),
        status,
        record=found,
        wish=wish,
        message=_GIVEN if wish.mine else "",
        problem=problem,
        minutes=FRESH // 60,
        cleared=found.label <= visit.caller.reads_up_to,
    )


def _reader(visit: Visit) -> ReaderClient:
    """Return the reader, to who may ask it.

    Raises:
        ForbiddenError: The role may not.
        UnknownDocumentError: This site has none.
    """
    visit.check(Scope.CONTENT_APPROVE)
    if visit.console.reader is None:
        raise UnknownDocumentError
    return visit.console.reader


async def _sealed(visit: Visit, record: int) -> Record:
    """Return a record that came with a content.

    Raises:
        UnknownDocumentError: There is none, or it kept no content.
    """
    found = await record_at(visit, record)
    if not isinstance(found.event, Terminal) or found.event.content != "sealed":
        raise UnknownDocumentError
    return found
