"""The identity part of the console, as app.py wires it, and a worker of the gateway."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from psycopg_pool import AsyncConnectionPool

from appliance.db.pool import Pool
from appliance.errors import CODES, ApplianceError
from appliance.identity.access import Authenticator
from appliance.identity.login import Client, Party
from appliance.identity.routes import login, router
from appliance.identity.session import Sessions
from appliance.settings import RealmSettings
from tests.identity.realm import SITE_SECRET, scopes

SESSION_KEY = bytes(range(1, 33))


@dataclass
class Worker:
    """One process of the console."""

    pool: Pool
    http: aiohttp.ClientSession
    authenticator: Authenticator
    party: Party
    sessions: Sessions
    facts: list[tuple[str, str, dict[str, str | int]]] = field(default_factory=list)

    async def record(self, kind: str, actor: str, data: Mapping[str, str | int]) -> None:
        self.facts.append((kind, actor, dict(data)))

    def state(self) -> dict[str, Any]:
        return {
            "pool": self.pool, "authenticator": self.authenticator, "sessions": self.sessions,
            "site_secret": SITE_SECRET, "record": self.record,
        }  # fmt: skip


@asynccontextmanager
async def working(
    realm: RealmSettings, dsn: str, origin: str, secret: str
) -> AsyncIterator[Worker]:
    async with AsyncExitStack() as stack:
        pool: Pool = AsyncConnectionPool(dsn, open=False, timeout=5, max_size=8)
        await stack.enter_async_context(pool)
        authenticator = await stack.enter_async_context(
            Authenticator(realm, pool, scopes, site_secret=SITE_SECRET)
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        client = Client(realm, "casemate-console", origin, secret)
        party = Party(client, authenticator.keyring, http, SESSION_KEY)
        sessions = Sessions(pool, authenticator, party, SESSION_KEY)
        yield Worker(pool, http, authenticator, party, sessions)


async def answer(_: Request, exc: Exception) -> JSONResponse:
    assert isinstance(exc, ApplianceError)
    body = {"error": type(exc).__name__, "detail": str(exc), "code": exc.code}
    return JSONResponse(body, CODES[exc.code].status)


def build(realm: RealmSettings, dsn: str, origin: str, secret: str) -> FastAPI:
    """Return the application; its worker is in `app.state.worker` while it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with working(realm, dsn, origin, secret) as worker:
            app.state.worker = worker
            yield worker.state()

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    app.include_router(login)
    app.add_exception_handler(ApplianceError, answer)
    return app
