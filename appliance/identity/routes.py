"""HTTP face of identity: sign in, sign out, application keys.

`request.state` holds what app.py puts there: `pool`, `authenticator`, `sessions`, `site_secret`
and `record`, which makes a fact durable in the signed log before the answer leaves.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Literal, Protocol, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from psycopg import AsyncConnection
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from appliance.db.pool import Connection
from appliance.errors import ApplianceError
from appliance.identity import keys, store
from appliance.identity.login import LOGIN_SECONDS
from appliance.identity.principal import Principal, Scope
from appliance.identity.session import (
    Sessions,
    check_origin,
    cookie_name,
    given_csrf,
    require_person,
)

router = APIRouter(prefix="/api/keys", tags=["identity"])  # application keys
login = APIRouter(tags=["identity"])  # sign in and out, for browsers

KEY_ISSUE, KEY_REVOKE = "casemate.key.issue.v1", "casemate.key.revoke.v1"
LOGIN = "casemate.auth.login.v1"
LOGIN_COOKIE = "casemate-connexion"
Names = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=50)
]
KeyOwner = Annotated[Principal, Depends(require_person(Scope.KEYS_OWN))]


class UnknownKeyError(ApplianceError):
    """No such key, or not the caller's: the answer does not tell which."""

    code = "CM-DRT-04"


class Record(Protocol):
    """Makes a fact durable in the signed log; raises when that is impossible."""

    async def __call__(self, kind: str, actor: str, data: Mapping[str, str | int]) -> None:
        """Append a fact of type `kind`, done by `actor`."""


def _record(request: Request) -> Record:
    return cast("Record", request.state.record)


Recording = Annotated[Record, Depends(_record)]


def _site_secret(request: Request) -> bytes:
    return cast("bytes", request.state.site_secret)


SiteSecret = Annotated[bytes, Depends(_site_secret)]


def _sessions(request: Request) -> Sessions:
    return cast("Sessions", request.state.sessions)


OpenSessions = Annotated[Sessions, Depends(_sessions)]


class KeyIn(BaseModel):
    """A wish for a key."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    scopes: Annotated[frozenset[Scope], Field(min_length=1)]
    expires_at: AwareDatetime
    models: Names = []
    collections: Names = []
    networks: Names = []
    max_label: Annotated[int, Field(ge=0, le=9)] = 0

    def terms(self, owner: Principal) -> keys.Terms:
        """Return the same in the words of the domain."""
        return keys.Terms(
            owner=owner.subject,
            name=self.name,
            scopes=self.scopes,
            expires_at=self.expires_at,
            models=frozenset(self.models),
            collections=tuple(self.collections),
            networks=tuple(self.networks),
            max_label=self.max_label,
        )


class KeyOut(BaseModel):
    """An issued key as the API shows it: never its text, never its digest."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    scopes: list[str]
    models: list[str]
    collections: list[str]
    networks: list[str]
    max_label: int
    created_at: AwareDatetime
    expires_at: AwareDatetime
    revoked_at: AwareDatetime | None


class IssuedKey(BaseModel):
    """The answer to an issue, the only place where the text of a key is ever shown."""

    secret: str
    key: KeyOut


class Keys:
    """What API and pages do with application keys, in the request's transaction."""

    def __init__(self, conn: Connection, record: Recording, site_secret: SiteSecret) -> None:
        """Prepare: a dependency of FastAPI."""
        self._conn: AsyncConnection = conn
        self._record, self._site_secret = record, site_secret

    async def issue(self, caller: Principal, wish: KeyIn) -> IssuedKey:
        """Issue a key to the caller, once that is recorded.

        Raises:
            ForbiddenError: The terms give more than the caller has.
            TermsError: They are not permitted.
        """
        terms = wish.terms(caller)
        keys.check_issue(caller, terms, now=datetime.now(UTC))
        key = keys.ApplicationKey(secrets.token_bytes(keys.SECRET_BYTES))
        await store.act_as(self._conn, caller)
        row = await store.issue_key(self._conn, terms, key.digest(self._site_secret))
        await store.put_person(self._conn, person_of(caller))
        data = {"key": str(row.id), "name": row.name, "scopes": " ".join(row.scopes)}
        data["expires"] = row.expires_at.isoformat(timespec="seconds")
        await self._record(KEY_ISSUE, caller.subject, {**data, "max_label": row.max_label})
        return IssuedKey(secret=key.text(), key=KeyOut.model_validate(row))

    async def all(self, caller: Principal) -> list[KeyOut]:
        """Return the caller's keys, oldest first."""
        await store.act_as(self._conn, caller)
        return [KeyOut.model_validate(row) for row in await store.list_keys(self._conn)]

    async def revoke(self, caller: Principal, key_id: UUID) -> KeyOut:
        """Revoke one of the caller's keys, at once and for good; a second call changes nothing.

        Raises:
            UnknownKeyError: There is none, or it is another's.
        """
        await store.act_as(self._conn, caller)
        row = await store.revoke_key(self._conn, key_id)
        if row is None:
            raise UnknownKeyError(f"no key {key_id}")
        await store.revoke(self._conn, "key", [str(key_id)])
        await self._record(KEY_REVOKE, caller.subject, {"key": str(key_id)})
        return KeyOut.model_validate(row)


OwnKeys = Annotated[Keys, Depends()]


def person_of(caller: Principal) -> store.PersonRow:
    """Return what the token of a person says of them."""
    return store.PersonRow(
        subject=caller.subject,
        name=caller.name,
        roles=sorted(caller.roles),
        groups=list(caller.groups),
        clearance=caller.clearance,
        enabled=True,
    )


@router.post("", status_code=HTTPStatus.CREATED)
async def issue_key(
    caller: KeyOwner, own: OwnKeys, wish: KeyIn, response: Response
) -> IssuedKey:
    """Issue a key to the caller."""
    response.headers["Cache-Control"] = "no-store"
    return await own.issue(caller, wish)


@router.get("")
async def list_keys(caller: KeyOwner, own: OwnKeys) -> list[KeyOut]:
    """List the caller's keys, oldest first."""
    return await own.all(caller)


@router.post("/{key_id}/revoke")
async def revoke_key(caller: KeyOwner, own: OwnKeys, key_id: UUID) -> KeyOut:
    """Revoke one of the caller's keys, at once and for good."""
    return await own.revoke(caller, key_id)


def _redirect(address: str) -> RedirectResponse:
    headers = {"Cache-Control": "no-store"}
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, headers)


def set_cookie(
    response: Response, sessions: Sessions, name: str, value: str, life: int
) -> None:
    """Set a cookie that scripts do not see; an empty value removes it."""
    response.set_cookie(
        name,
        value,
        max_age=life if value else 0,
        secure=sessions.party.origin.startswith("https://"),
        httponly=True,
        samesite="lax",
    )


@login.get("/connexion", include_in_schema=False)
async def sign_in(
    sessions: OpenSessions,
    retour: str = "/",
    confirmer: Literal["0", "1"] = "0",
    langue: str = "fr",
) -> Response:
    """Send the browser to Keycloak; `confirmer` asks for a fresh one-time code."""
    language = langue if langue in {"fr", "en"} else "fr"
    address, cookie = sessions.party.begin(retour, step_up=confirmer == "1", language=language)
    response = _redirect(address)
    set_cookie(response, sessions, LOGIN_COOKIE, cookie, LOGIN_SECONDS)
    return response


@login.get("/connexion/retour", include_in_schema=False)
async def come_back(request: Request, sessions: OpenSessions, record: Recording) -> Response:
    """End a login: Keycloak sent the browser back."""
    cookies = request.cookies
    name = cookie_name(sessions.party.origin)
    tokens, departure = await sessions.party.finish(
        request.query_params, cookies.get(LOGIN_COOKIE, "")
    )
    cookie, session = await sessions.open(tokens, previous=cookies.get(name, ""))
    caller = session.caller
    roles = " ".join(sorted(caller.roles))
    await record(
        LOGIN, caller.subject, {"name": caller.name, "roles": roles, "acr": caller.acr}
    )
    response = _redirect(departure.back)
    set_cookie(response, sessions, name, cookie, 10 * 3600)
    set_cookie(response, sessions, LOGIN_COOKIE, "", 0)
    return response


@login.post("/deconnexion", include_in_schema=False)
async def sign_out(request: Request, sessions: OpenSessions) -> Response:
    """End the session here, then at Keycloak, which tells the other parties."""
    check_origin(request.headers.get("origin"), sessions.party.origin)
    name = cookie_name(sessions.party.origin)
    csrf = await given_csrf(request)
    response = _redirect(await sessions.close(request.cookies.get(name, ""), csrf))
    set_cookie(response, sessions, name, "", 0)
    return response


@login.post("/deconnexion/annonce", include_in_schema=False)
async def logged_out(sessions: OpenSessions, logout_token: Annotated[str, Form()]) -> Response:
    """Take a back-channel logout of Keycloak (OpenID Connect Back-Channel Logout 1.0, 2.5)."""
    await sessions.announce(logout_token)
    return Response(headers={"Cache-Control": "no-store"})
