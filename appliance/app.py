"""Builds the web applications. HTTP parts are wired together here and nowhere else."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool

from appliance.audit.client import RecorderClient, RefusedError, new_id
from appliance.audit.event import FACTS, Kind, fact
from appliance.audit.reading.client import ReaderClient
from appliance.console.context import Console, Policies
from appliance.console.credentials import Credentials, console_credentials
from appliance.console.gateway import Gateway
from appliance.console.health import Watch
from appliance.console.history import History as OwnHistory
from appliance.console.render import Renderer
from appliance.console.routing import Guarded, assemble
from appliance.db.pool import Pool
from appliance.gateway import openapi
from appliance.gateway.departures import Departures
from appliance.gateway.dispatch import Dispatcher
from appliance.gateway.documents import Documents
from appliance.gateway.embedding import Embeddings
from appliance.gateway.engines import Engines
from appliance.gateway.health import Examination
from appliance.gateway.history import History
from appliance.gateway.hot import Hot, Parts
from appliance.gateway.loads import Loads
from appliance.gateway.recipients import Recipients
from appliance.gateway.recording import Recording
from appliance.gateway.routes import router as gateway_routes
from appliance.gateway.rulings import Rulings
from appliance.gateway.running import Running
from appliance.gateway.upkeep import Upkeep
from appliance.identity.access import Authenticator
from appliance.identity.directory import Directory, Service
from appliance.identity.events import Told
from appliance.identity.follow import Tell
from appliance.identity.login import Client, Party
from appliance.identity.session import Sessions
from appliance.ledger.admission import LifecycleError
from appliance.rag.objects import Objects
from appliance.settings import ConsoleSettings, GatewaySettings, read_secret
from appliance.trail_settings import EventsSettings

CONSOLE_CONNECTIONS = 16
CONSOLE_PATIENCE = 3  # seconds for the recorder: a person waits for the page
GATEWAY_CONNECTIONS = 8  # to PostgreSQL: a search holds one for some milliseconds


def create_gateway(settings: GatewaySettings) -> Dispatcher:
    """Return the application of one gateway worker.

    Raises:
        SettingsError: A credential that the settings name is absent or wrong.
        FormatError: The policy cannot be read.
    """
    site_secret = read_secret(settings.site_secret)
    recipients = Recipients(settings.history_key, settings.reader_key)
    rulings = Rulings(settings.policy)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with AsyncExitStack() as stack:
            state = await _gateway_state(stack, settings, rulings, (site_secret, recipients))
            dispatcher.hot = state["hot"]
            yield state

    # Their pages would fetch from a CDN.
    app = FastAPI(title="Casemate", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.router.redirect_slashes = False
    app.include_router(gateway_routes)
    document = app.openapi
    app.openapi = lambda: openapi.complete(document())  # type: ignore[method-assign]
    dispatcher = Dispatcher(app)
    return dispatcher


async def _gateway_state(
    stack: AsyncExitStack, settings: GatewaySettings, rulings: Rulings,
    secrets: tuple[bytes, Recipients],
) -> dict[str, Any]:  # fmt: skip
    site_secret, recipients = secrets
    pool: Pool = AsyncConnectionPool(
        settings.database, open=False, max_size=GATEWAY_CONNECTIONS, timeout=5
    )
    await stack.enter_async_context(pool)
    running = Running()
    recorder = RecorderClient(
        settings.recorder, settings.name, live=running.live, on_stop=partial(_switch, running)
    )
    await recorder.connect()
    stack.push_async_callback(recorder.close)
    authenticator = await stack.enter_async_context(
        Authenticator(settings.realm, pool, rulings.scopes, site_secret=site_secret)
    )
    # One statement is one batch: committed by itself, it costs the worker one round trip.
    alone: Pool = AsyncConnectionPool(
        settings.database, open=False, min_size=1, max_size=1, kwargs={"autocommit": True}
    )
    history = await stack.enter_async_context(History(await stack.enter_async_context(alone)))
    recording = Recording(recorder, history, running, recipients)
    loads = Loads(recording.tell)
    stack.callback(loads.close)
    engines = _engines(settings, recording, loads)
    stack.callback(engines.close)
    departures = Departures()
    stack.callback(departures.close)
    documents = Documents(pool, engines)
    parts = Parts(
        rulings, authenticator, recording, engines, documents, departures, site_secret
    )
    stack.callback(recording.tick, last=True)
    await stack.enter_async_context(
        Upkeep(engines.tick, rulings.look, recipients.look, recording.tick)
    )
    return {
        "pool": pool, "authenticator": authenticator, "recording": recording, "parts": parts,
        "hot": Hot(parts), "embeddings": Embeddings(parts),
        "examination": Examination(recorder, engines, history, authenticator.revocations),
    }  # fmt: skip


def _switch(running: Running, stopped: bool) -> None:  # noqa: FBT001 - the recorder's call
    if stopped:
        running.stop()


def _engines(settings: GatewaySettings, recording: Recording, loads: Loads) -> Engines:
    def told(name: str, ready: bool) -> None:  # noqa: FBT001 - the engines' call
        kind = Kind.SERVICE_RESTORED if ready else Kind.SERVICE_DEGRADED
        recording.tell(fact(kind, settings.name, new_id(), part=f"engine {name}"))

    embedder = settings.embedder and (settings.embedding_model, settings.embedder)
    return Engines(
        settings.engines, embedder or None, settings.request_timeout, told, loads.note
    )


def create_console(settings: ConsoleSettings) -> Guarded:
    """Return the application of the console.

    Raises:
        SettingsError: A credential that the settings name is absent or wrong.
        FormatError: The policy cannot be read.
    """
    credentials = console_credentials(settings)
    site_policies = Policies(settings.policy)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with AsyncExitStack() as stack:
            yield await _console_state(stack, settings, site_policies, credentials)

    return assemble(lifespan)


async def _console_state(
    stack: AsyncExitStack, settings: ConsoleSettings, site_policies: Policies,
    credentials: Credentials,
) -> dict[str, Any]:  # fmt: skip
    pool: Pool = AsyncConnectionPool(
        settings.database, open=False, max_size=CONSOLE_CONNECTIONS, timeout=5
    )
    await stack.enter_async_context(pool)
    recorder = RecorderClient(settings.recorder, "console", patience=CONSOLE_PATIENCE)
    await recorder.connect()
    stack.push_async_callback(recorder.close)
    authenticator = await stack.enter_async_context(
        Authenticator(settings.realm, pool, site_policies.scopes, site_secret=credentials.site)
    )
    http = await stack.enter_async_context(aiohttp.ClientSession())
    client = Client(settings.realm, settings.client_id, settings.origin, credentials.client)
    party = Party(client, authenticator.keyring, http, credentials.session)
    service = Service(settings.realm, settings.client_id, credentials.client)
    await stack.enter_async_context(Directory(pool, service, http))
    gateway = await stack.enter_async_context(Gateway(settings.gateway))
    console = Console(
        settings=settings,
        renderer=Renderer(settings.time_zone, lambda: site_policies.current.labels),
        pool=pool,
        recorder=recorder,
        gateway=gateway,
        history=OwnHistory(recorder, credentials.history),
        objects=Objects(settings.objects, credentials.objects),
        sessions=Sessions(pool, authenticator, party, credentials.session),
        watch=Watch(gateway, recorder),
        reader=ReaderClient(settings.reader) if settings.reader else None,
        log_key=credentials.log_key,
        policies=site_policies,
    )

    async def record(kind: str, actor: str, data: Mapping[str, str | int]) -> None:
        event = FACTS[Kind(kind)](actor=actor, id=new_id(), data=dict(data))
        await recorder.append(event)

    return {
        "console": console, "pool": pool, "authenticator": authenticator,
        "sessions": console.sessions, "site_secret": credentials.site, "record": record,
    }  # fmt: skip


@asynccontextmanager
async def create_identity(settings: EventsSettings) -> AsyncIterator[Tell]:
    """Open what has Keycloak's events recorded.

    Raises:
        RecorderError: The recorder is away.
    """
    recorder = RecorderClient(settings.recorder, "events")
    await recorder.connect()

    async def tell(facts: Sequence[Told]) -> None:
        sent = [
            recorder.append(FACTS[Kind(one.kind)](actor=one.actor, id=one.id, data=one.data))
            for one in facts
        ]
        for answer in await asyncio.gather(*sent, return_exceptions=True):
            # Told before, in the words of an earlier release: it is in the log.
            known = isinstance(answer, RefusedError) and answer.code == LifecycleError.code
            if isinstance(answer, BaseException) and not known:
                raise answer

    try:
        yield tell
    finally:
        await recorder.close()
