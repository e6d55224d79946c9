"""Who is calling, and may they: access tokens of the site realm, and application keys.

A credential is verified once, then known by its SHA-256 for at most 60 s; revocations are
checked at every request, cached or not. A handler names its permission in its signature.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Self, cast

import aiohttp
from fastapi import Depends, Request
from psycopg import Error
from psycopg_pool import PoolTimeout

from appliance.db.pool import Pool
from appliance.errors import FormatError
from appliance.identity import keys, store
from appliance.identity.keyring import Keyring
from appliance.identity.principal import (
    Principal,
    RevocationUnknownError,
    Scope,
    UnauthenticatedError,
    check_roles,
    check_scope,
    check_second_factor,
)
from appliance.identity.revocation import STALE, Revocations
from appliance.identity.tokens import Claims, Verifier
from appliance.settings import RealmSettings

CACHE_SECONDS = 60.0
CACHE_ENTRIES = 10_000
LOOKUPS = 4  # keys looked up at once: a flood of made-up keys leaves connections to others
Scopes = Callable[[frozenset[str]], frozenset[Scope]]


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Principal
    issued: float  # seconds since 1970: when the right was given


class Authenticator:
    """Principals of the credentials that this worker has seen. An async context manager."""

    def __init__(
        self, realm: RealmSettings, pool: Pool, scopes: Scopes, *, site_secret: bytes
    ) -> None:
        """Prepare.

        Args:
            realm: Issuer, audience and where its keys are.
            pool: Of the worker's own database role.
            scopes: What roles may do, by the policy of the moment.
            site_secret: Under which keys are hashed.
        """
        self._realm, self._pool, self._scopes = realm, pool, scopes
        self._site_secret = site_secret
        self._verifier = Verifier(realm.issuer, realm.audience)
        self._cache: dict[bytes, _Known] = {}
        self._lookups = asyncio.Semaphore(LOOKUPS)
        self._stack = AsyncExitStack()
        self.revocations = Revocations(pool)
        self.keyring: Keyring

    async def __aenter__(self) -> Self:
        http = await self._stack.enter_async_context(aiohttp.ClientSession())
        address = f"{self._realm.backchannel}/protocol/openid-connect/certs"
        self.keyring = await self._stack.enter_async_context(Keyring(address, http))
        await self._stack.enter_async_context(self.revocations)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def cached(self, authorization: bytes, now: float, address: str = "") -> Principal | None:
        """Return who presents this header if that is known: no wait, no I/O.

        Args:
            authorization: Value of the header `Authorization`.
            now: Seconds since 1970.
            address: Of the client, as the front end saw it; asked by keys bound to networks.

        Raises:
            RevocationUnknownError: Revocations were not read for a minute.
            UnauthenticatedError: The identity was revoked since, or comes from elsewhere.
        """
        known = self._cache.get(hashlib.sha256(authorization).digest())
        if known is None or known.caller.until <= now:
            return None
        self.revocations.check(known.caller, known.issued)
        if known.caller.key is not None:
            keys.check_network(known.caller.key, address)
        return known.caller

    async def principal(self, authorization: bytes, address: str = "") -> Principal:
        """Return who presents this header, after verification if it is new.

        Raises:
            UnauthenticatedError: The credential is absent, wrong, expired or revoked.
            SecondFactorError: A role of the token needs a second factor that is absent.
            RoleConflictError: The token combines an auditor with who is audited.
            RevocationUnknownError: Database or realm cannot be asked.
        """
        now = time.time()
        if (caller := self.cached(authorization, now, address)) is not None:
            return caller
        scheme, _, credential = authorization.partition(b" ")
        if scheme.lower() != b"bearer" or not credential.isascii():
            raise UnauthenticatedError(keys.REFUSED)
        text = credential.decode("ascii")
        known = await (self._of_key if text.startswith(keys.PREFIX) else self._of_token)(text)
        known = self._remember(authorization, known, now)
        self.revocations.check(known.caller, known.issued)
        if known.caller.key is not None:
            keys.check_network(known.caller.key, address)
        return known.caller

    def caller_of(self, claims: Claims) -> Principal:
        """Return the principal of verified claims.

        Raises:
            SecondFactorError: A role needs a second factor that `amr` does not show.
            RoleConflictError: The roles may not be held together.
        """
        check_roles(claims.roles)
        check_second_factor(claims.roles, claims.amr)
        return Principal(
            subject=claims.subject,
            name=claims.name,
            roles=claims.roles,
            scopes=self._scopes(claims.roles),
            groups=claims.groups,
            clearance=claims.clearance,
            session=claims.session,
            until=claims.expires,
            acr=claims.acr,
            signed_in=claims.signed_in,
        )

    async def _of_token(self, text: str) -> _Known:
        key = await self.keyring.key_of(text)
        claims = self._verifier.verify(text, key, now=time.time())
        return _Known(self.caller_of(claims), claims.issued)

    async def _of_key(self, text: str) -> _Known:
        try:
            digest = keys.ApplicationKey.parse(text).digest(self._site_secret)
        except FormatError as exc:
            raise UnauthenticatedError(keys.REFUSED) from exc
        now = time.time()
        try:
            async with self._lookups, self._pool.connection() as conn:
                row = await store.find_key(conn, digest)
                if row is None:
                    raise UnauthenticatedError(keys.REFUSED)
                person = await store.find_person(conn, row.owner, seconds=int(STALE))
        except (Error, PoolTimeout) as exc:
            raise RevocationUnknownError("keys cannot be read") from exc
        if person is None:
            raise RevocationUnknownError("the owner of the key cannot be checked")
        owner = self._owner(person)
        return _Known(keys.admit(digest, row.grant(), owner, now=datetime.now(UTC)), now)

    def _owner(self, person: store.PersonRow) -> keys.Owner:
        roles = frozenset(person.roles)
        return keys.Owner(
            person.name,
            roles,
            self._scopes(roles),
            tuple(person.groups),
            person.clearance,
            person.enabled,
        )

    def _remember(self, authorization: bytes, known: _Known, now: float) -> _Known:
        if len(self._cache) >= CACHE_ENTRIES:
            self._cache.clear()
        until = min(known.caller.until, now + CACHE_SECONDS)
        known = replace(known, caller=replace(known.caller, until=until))
        self._cache[hashlib.sha256(authorization).digest()] = known
        return known


async def current_principal(request: Request) -> Principal:
    """Return who presents the `Authorization` header of this request."""
    authenticator = cast("Authenticator", request.state.authenticator)
    header = request.headers.get("authorization", "").encode("latin-1")
    return await authenticator.principal(header, client_address(request))


def client_address(request: Request) -> str:
    """Return the address of the client: the last hop that our own front end wrote."""
    return request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()


def require(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """Build the dependency that admits only callers holding `scope`."""

    async def check(
        principal: Annotated[Principal, Depends(current_principal)],
    ) -> Principal:
        check_scope(principal, scope)
        return principal

    return check


Caller = Annotated[Principal, Depends(current_principal)]
