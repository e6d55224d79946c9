"""A realm that the test plays: its key set on the loopback, its tokens signed by the test."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from psycopg_pool import AsyncConnectionPool

from appliance.db.pool import Pool
from appliance.identity.access import Authenticator
from appliance.identity.principal import Scope
from appliance.settings import RealmSettings
from tests.identity.tokens import ISSUER

SITE_SECRET = bytes(range(32))
ROLES = {
    "utilisateur": {Scope.CHAT, Scope.EMBED, Scope.KEYS_OWN},
    "rssi": {Scope.STOP, Scope.START_APPROVE},
    "auditeur": {Scope.EXPORT},
    "exploitant": {Scope.STOP},
}


def scopes(roles: frozenset[str]) -> frozenset[Scope]:
    return frozenset(scope for role in roles for scope in ROLES.get(role, set()))


@asynccontextmanager
async def serving(document: Any) -> AsyncIterator[RealmSettings]:
    """Serve a key set where Keycloak would."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(document)

    app = web.Application()
    app.router.add_get("/realm/protocol/openid-connect/certs", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        address = f"http://127.0.0.1:{runner.addresses[0][1]}/realm"
        yield RealmSettings(issuer=ISSUER, backchannel=address)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def authenticating(realm: RealmSettings, dsn: str) -> AsyncIterator[Authenticator]:
    """Run the authenticator of one worker."""
    pool: Pool = AsyncConnectionPool(dsn, open=False, timeout=2, max_size=4)
    async with (
        pool,
        Authenticator(realm, pool, scopes, site_secret=SITE_SECRET) as authenticator,
    ):
        yield authenticator


def bearer(token: str) -> bytes:
    return b"Bearer " + token.encode()


def basic(user: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:x".encode())
