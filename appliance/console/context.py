"""What a page is made with: the parts of the process, and the person who asks.

A handler names `Visit` in its signature: the session was found, and a request that changes
something carries the token of its session and comes from our origin.
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from psycopg import AsyncConnection

from appliance.audit.client import RecorderClient
from appliance.audit.reading.client import ReaderClient
from appliance.console.gateway import Gateway
from appliance.console.health import Watch
from appliance.console.history import History, Words
from appliance.console.language import Code, Language, mark, pick
from appliance.console.menu import menu_for
from appliance.console.page import NO_CONTENT, Proof, Shell, State, person
from appliance.console.render import Renderer
from appliance.db.pool import Pool
from appliance.errors import FormatError
from appliance.identity import policy as policies
from appliance.identity.policy import Policy
from appliance.identity.principal import Principal, Scope, check_scope
from appliance.identity.session import (
    CSRF_HEADER,
    Session,
    Sessions,
    check_csrf,
    check_origin,
    cookie_name,
    current_session,
)
from appliance.identity.store import act_as
from appliance.rag.objects import Objects
from appliance.settings import ConsoleSettings

log = logging.getLogger(__name__)

THEMES = frozenset({"clair", "sombre"})
_SOURCE, _ERASED = mark("Source %s"), mark("(contenu effacé)")


class Policies:
    """The policy of a file: read again when `casemate site apply` replaced it."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            FormatError: It cannot be read.
        """
        self._path, self._seen = path, path.stat().st_mtime_ns if path.exists() else 0
        self._policy = policies.read(path)

    @property
    def current(self) -> Policy:
        """Return it; a file that cannot be read leaves the old one in force."""
        try:
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._seen:
                self._policy, self._seen = policies.read(self._path), stamp
        except (OSError, FormatError) as exc:
            log.error("policy.unreadable", extra={"reason": str(exc)})  # noqa: TRY400 - no stack
        return self._policy

    def scopes(self, roles: frozenset[str]) -> frozenset[Scope]:
        """Return what these roles may do by the policy of the moment."""
        return self.current.scopes(roles)


@dataclass(frozen=True, slots=True)
class Console:
    """The parts of the process."""

    settings: ConsoleSettings
    renderer: Renderer
    pool: Pool
    recorder: RecorderClient
    gateway: Gateway
    history: History
    objects: Objects
    sessions: Sessions
    watch: Watch
    reader: ReaderClient | None  # of sealed contents
    log_key: str  # verifier key of the log
    policies: Policies

    @property
    def policy(self) -> Policy:
        """Return the policy in force."""
        return self.policies.current


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a signed-in person."""

    console: Console
    session: Session
    code: Code
    theme: str
    path: str
    proof: Proof | None
    state: State
    htmx: bool

    @property
    def caller(self) -> Principal:
        """Return the person."""
        return self.session.caller

    @property
    def language(self) -> Language:
        """Return how the page speaks."""
        return self.console.renderer.languages[self.code]

    @property
    def words(self) -> Words:
        """Return what the history says."""
        return Words(self.language.text(_SOURCE), self.language.text(_ERASED))

    async def afresh(self) -> "Visit":
        """Return the same visit with the state of now."""
        self.console.watch.forget()
        state, proof = await self.console.watch.look()
        return replace(self, state=state, proof=proof)

    def check(self, *scopes: Scope) -> None:
        """Let pass who holds one of the scopes.

        Raises:
            ForbiddenError: They hold none.
        """
        if not any(scope in self.caller.scopes for scope in scopes):
            check_scope(self.caller, scopes[0])

    def shell(self, rank: int = 0, scope: str = NO_CONTENT, current: str = "") -> Shell:
        """Return what surrounds the content."""
        settings, policy = self.console.settings, self.console.policy
        return Shell(
            site=settings.site,
            labels=tuple(policy.labels),
            rank=rank,
            scope=scope,
            theme=self.theme,
            csrf=self.session.csrf,
            who=person(self.caller),
            menu=menu_for(self.caller),
            current=current,
            proof=self.proof,
            until=int(self.session.ends_at.timestamp()),
            state=self.state,
        )

    def page(
        self, template: str, shell: Shell, status: int = 200, **values: object
    ) -> HTMLResponse:
        """Return a whole page."""
        html = self.console.renderer.page(template, self.code, shell=shell, **values)
        return HTMLResponse(html, status)

    def part(self, template: str, shell: Shell | None = None, **values: object) -> str:
        """Return a fragment."""
        shown = shell or self.shell()
        return self.console.renderer.part(template, self.code, shell=shown, **values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection on which the database sees this person."""
        async with self.console.pool.connection() as conn:
            await act_as(conn, self.caller)
            yield conn


def console_of(request: Request) -> Console:
    """Return the parts of the process."""
    return cast("Console", request.state.console)


def code_of(request: Request) -> Code:
    """Return the language of the page."""
    return pick(request.cookies.get("langue"), request.headers.get("accept-language"))


def theme_of(cookies: Mapping[str, str]) -> str:
    """Return the theme that was chosen, or empty."""
    theme = cookies.get("theme", "")
    return theme if theme in THEMES else ""


async def visit_of(request: Request) -> Visit:
    """Return the visit, with the state of the service that its page shows.

    Raises:
        UnauthenticatedError: Nobody is signed in.
        ForgeryError: The request changes something and is not of a page of this session.
    """
    return await visit_with(request, csrf=True)


async def visit_with(request: Request, *, csrf: bool) -> Visit:
    """Return the visit; without `csrf`, who calls checks the token before anything is done."""
    console = console_of(request)
    if csrf:
        session = await current_session(request)
    else:
        check_origin(request.headers.get("origin"), console.settings.origin)
        cookie = request.cookies.get(cookie_name(console.settings.origin), "")
        session = await console.sessions.find(cookie)
    state, proof = await console.watch.look()
    return Visit(
        console,
        session,
        code_of(request),
        theme_of(request.cookies),
        request.url.path,
        proof,
        state,
        request.headers.get("hx-request") == "true",
    )


def token_check(visit: Visit, request: Request) -> Callable[[str], None]:
    """Return what checks the token of a form whose parts are read as they arrive.

    It is given the first field of the form, and prefers the header that htmx may send.
    """
    header = request.headers.get(CSRF_HEADER)

    def check(field: str) -> None:
        check_csrf(visit.session.csrf, field if header is None else header)

    return check


Visitor = Annotated[Visit, Depends(visit_of)]


def anonymous_shell(request: Request) -> Shell:
    """Return what surrounds a page for who is not signed in."""
    console = console_of(request)
    labels = tuple(console.policy.labels)
    theme = theme_of(request.cookies)
    return Shell(console.settings.site, labels, 0, NO_CONTENT, theme)


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
