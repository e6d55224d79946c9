"""Sessions of the console: a random cookie in the browser, sealed tokens in PostgreSQL.

Access tokens live 60 s. A request that finds less than 30 s left refreshes them, one worker at
a time for a session (row lock); who is not the first goes on with what is left. Keycloak
refuses a refresh at once for who is disabled, logged out or revoked: the session is forgotten
then. While Keycloak is down a session is kept, and refused only when its token is over.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, cast

import msgspec
from fastapi import Depends, Request
from psycopg import AsyncConnection

from appliance.db.pool import Pool
from appliance.errors import ApplianceError, VerificationError
from appliance.identity import store
from appliance.identity.access import Authenticator, current_principal
from appliance.identity.login import IdentityUnavailableError, Party, Tokens
from appliance.identity.principal import (
    SECOND_FACTOR_ROLES,
    Principal,
    Scope,
    UnauthenticatedError,
    check_scope,
)
from appliance.identity.sealing import NONCE_BYTES, Seal

FRESH = timedelta(seconds=30)  # left on the access token: below, it is refreshed
LAST = timedelta(seconds=5)  # left: below, who refreshes is waited for
# Idle and absolute life: shorter for who signs in with a second factor (DESIGN 7).
LIVES = {
    False: (timedelta(hours=1), timedelta(hours=10)),
    True: (timedelta(minutes=15), timedelta(hours=4)),
}
CSRF_HEADER, CSRF_FIELD = "x-csrf-token", "csrf"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class ForgeryError(ApplianceError):
    """A request that changes something does not come from a page of this session."""

    code = "CM-IDE-07"


class _Kept(msgspec.Struct, frozen=True):
    tokens: Tokens
    csrf: str


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser, for the length of one request."""

    caller: Principal
    ends_at: datetime
    csrf: str = field(repr=False)  # goes into each form, or into the header X-CSRF-Token
    access: str = field(repr=False)  # bearer token for the gateway


def cookie_name(origin: str) -> str:
    """Return the name of the session's cookie: bound to the host where there is TLS."""
    return "__Host-casemate" if origin.startswith("https://") else "casemate"


def check_csrf(expected: str, given: str) -> None:
    """Let a request pass that carries the token of its session.

    Raises:
        ForgeryError: It does not.
    """
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise ForgeryError("the form is not of this session")


def check_origin(given: str | None, own: str) -> None:
    """Let a request pass that names our origin, or none (not a browser's cross-site request).

    Raises:
        ForgeryError: It comes from a page of another origin.
    """
    if given is not None and given != own:
        raise ForgeryError("the request comes from another origin")


class Sessions:
    """All sessions of the console, through one worker."""

    def __init__(
        self, pool: Pool, authenticator: Authenticator, party: Party, credential: bytes
    ) -> None:
        """Prepare; `credential` is the session key of the settings."""
        self._pool, self._authenticator, self.party = pool, authenticator, party
        self._seal = Seal(credential, "session")

    async def open(self, tokens: Tokens, *, previous: str = "") -> tuple[str, Session]:
        """Keep a session for these tokens; return its cookie and the session.

        The cookie is always a new one. The forms of the `previous` session of the same person
        stay good (step-up in another tab), the session itself ends.

        Raises:
            ApplianceError: The tokens give no access (roles, second factor, revoked).
        """
        caller = await self._authenticator.principal(b"Bearer " + tokens.access.encode())
        cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        async with self._pool.connection() as conn:
            if previous and (old := await store.close_session(conn, _digest(previous))):
                csrf = self._opened(old).csrf if old.subject == caller.subject else csrf
            kept = _Kept(tokens, csrf)
            row = self._row(_digest(cookie), kept, caller, created_at=now)
            await store.open_session(conn, row)
            await store.sweep_sessions(conn)
        return cookie, Session(caller, row.ends_at, csrf, tokens.access)

    async def find(self, cookie: str) -> Session:
        """Return the session of a cookie, its tokens refreshed where that is due.

        Raises:
            UnauthenticatedError: There is none, or it is over.
            IdentityUnavailableError: Its token is over and Keycloak does not answer.
        """
        session_id = _digest(cookie)
        async with self._pool.connection() as conn:
            row = await store.find_session(conn, session_id)
        if row is None:
            raise UnauthenticatedError("no session")
        if row.fresh_until - datetime.now(UTC) < FRESH:
            row = await self._refresh(row)
        try:
            return await self._session(row)
        except UnauthenticatedError:
            # Revoked. A change of group asks for a new token; an ended session gets none.
            return await self._session(await self._refresh(row, forced=True))

    async def close(self, cookie: str, csrf: str) -> str:
        """Forget a session, here and for every other worker; return where to end it.

        Also for who may do nothing any more, as with a role that lacks its second factor.

        Raises:
            ForgeryError: The request is not of a page of this session.
        """
        async with self._pool.connection() as conn:
            row = await store.close_session(conn, _digest(cookie))
            if row is None:
                return "/"
            kept = self._opened(row)
            check_csrf(kept.csrf, csrf)  # raises: nothing was closed
            await store.revoke(conn, "session", [row.sid])
        return self.party.logout_address(kept.tokens.identity)

    async def announce(self, token: str) -> None:
        """Take a back-channel logout: the session is over on every worker within 5 s.

        Raises:
            UnauthenticatedError: The token is not Keycloak's.
        """
        sid, subject = await self.party.logged_out(token)
        async with self._pool.connection() as conn:
            await store.close_sessions_of(conn, sid=sid, subject=subject)
            await store.revoke(conn, "session" if sid else "subject", [sid or subject])

    async def _session(self, row: store.SessionRow) -> Session:
        kept = self._opened(row)
        bearer = b"Bearer " + kept.tokens.access.encode()
        caller = await self._authenticator.principal(bearer)
        return Session(caller, row.ends_at, kept.csrf, kept.tokens.access)

    async def _refresh(
        self, row: store.SessionRow, *, forced: bool = False
    ) -> store.SessionRow:
        """Return the row with fresh tokens, or as it is while another worker refreshes it."""
        left = row.fresh_until - datetime.now(UTC)
        wait = forced or left < LAST
        async with self._pool.connection() as conn:
            held = await store.lock_session(conn, row.id, wait=wait)
            if held is None and not wait:
                return row
            if held is None or held.sealed != row.sealed:
                renewed = held
            else:
                usable = not forced and left > timedelta()
                renewed = await self._renew(conn, held, usable=usable)
        if renewed is None:  # raised after the commit that forgot the session
            raise UnauthenticatedError("the session is over")
        return renewed

    async def _renew(
        self, conn: AsyncConnection, held: store.SessionRow, *, usable: bool
    ) -> store.SessionRow | None:
        """Refresh a session whose row is held; None when it is over, and forgotten.

        Raises:
            IdentityUnavailableError: Keycloak does not answer, and the old token is no use.
        """
        try:
            renewed = await self._renewed(held)
        except UnauthenticatedError:
            await store.close_session(conn, held.id)
            return None
        except IdentityUnavailableError:
            if not usable:
                raise
            return held
        await store.renew_session(conn, renewed)
        return renewed

    async def _renewed(self, held: store.SessionRow) -> store.SessionRow:
        kept = self._opened(held)
        tokens = await self.party.refresh(kept.tokens.refresh)
        caller = await self._authenticator.principal(b"Bearer " + tokens.access.encode())
        kept = _Kept(tokens, kept.csrf)
        return self._row(held.id, kept, caller, created_at=held.created_at)

    def _row(
        self, session_id: bytes, kept: _Kept, caller: Principal, *, created_at: datetime
    ) -> store.SessionRow:
        idle, longest = LIVES[bool(caller.roles & SECOND_FACTOR_ROLES)]
        nonce = secrets.token_bytes(NONCE_BYTES)
        return store.SessionRow(
            id=session_id,
            sid=caller.session,
            subject=caller.subject,
            fresh_until=datetime.fromtimestamp(caller.until, UTC),
            created_at=created_at,
            ends_at=min(created_at + longest, datetime.now(UTC) + idle),
            sealed=self._seal.seal(msgspec.json.encode(kept), session_id, nonce),
        )

    def _opened(self, row: store.SessionRow) -> _Kept:
        try:
            return msgspec.json.decode(self._seal.open(row.sealed, row.id), type=_Kept)
        except (VerificationError, msgspec.DecodeError) as exc:
            raise UnauthenticatedError("the session was sealed elsewhere") from exc


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()


async def given_csrf(request: Request) -> str:
    """Return the token that a request carries: in a header (htmx), else in a form."""
    if (header := request.headers.get(CSRF_HEADER)) is not None:
        return header
    if "form" not in request.headers.get("content-type", ""):
        return ""
    given = (await request.form()).get(CSRF_FIELD, "")
    return given if isinstance(given, str) else ""


async def current_session(request: Request) -> Session:
    """Return the session of this request; if it changes something it proves its origin."""
    sessions = cast("Sessions", request.state.sessions)
    session = await sessions.find(request.cookies.get(cookie_name(sessions.party.origin), ""))
    if request.method not in SAFE_METHODS:
        check_origin(request.headers.get("origin"), sessions.party.origin)
        check_csrf(session.csrf, await given_csrf(request))
    return session


CurrentSession = Annotated[Session, Depends(current_session)]


async def current_person(request: Request) -> Principal:
    """Return who is calling: by the `Authorization` header, else by the session's cookie."""
    if "authorization" in request.headers:
        return await current_principal(request)
    return (await current_session(request)).caller


def require_person(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """Build the dependency that admits a person or tool holding `scope`, by token or cookie."""

    async def check(person: Annotated[Principal, Depends(current_person)]) -> Principal:
        check_scope(person, scope)
        return person

    return check
