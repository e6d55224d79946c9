"""The worker process: it stays, whatever goes away and comes back."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator

import psycopg
from procrastinate.exceptions import ConnectorException
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.audit.client import RecorderClient, RecorderError
from appliance.audit.exporting.writing import Writing
from appliance.rag.embed import Embedder
from appliance.rag.ingest import Tools
from appliance.rag.jobs import Desk
from appliance.rag.objects import Objects
from appliance.settings import WorkerSettings, read_secret

log = logging.getLogger(__name__)

_PAUSE = 1.0  # seconds before the next try
_AWAY = (psycopg.Error, ConnectorException, RecorderError, PoolTimeout, OSError)


async def serve(settings: WorkerSettings, stop: asyncio.Event) -> None:
    """Do jobs until `stop` is set.

    Raises:
        SettingsError: A credential is missing.
    """
    objects = Objects(settings.objects, read_secret(settings.object_key))
    secret = read_secret(settings.client_secret).decode().strip()
    while not stop.is_set():
        try:
            async with _tools(settings, objects, secret) as tools:
                log.info("worker ready")
                async with _exports(settings, tools):
                    await Desk(settings.database, tools, settings.policy).run(stop)
        except _AWAY as exc:
            log.warning("worker waits", extra={"cause": type(exc).__name__})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _PAUSE)


async def run(settings: WorkerSettings) -> None:
    """Do jobs until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, stop)


@contextlib.asynccontextmanager
async def _exports(settings: WorkerSettings, tools: Tools) -> AsyncIterator[None]:
    """Write exports of the log meanwhile, where the settings say from what and where."""
    if settings.log is None or settings.exports is None:
        yield
        return
    writing = Writing(tools.pool, tools.recorder, settings.log, settings.exports)
    task = asyncio.create_task(writing.forever())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def _tools(
    settings: WorkerSettings, objects: Objects, secret: str
) -> AsyncIterator[Tools]:
    async with contextlib.AsyncExitStack() as stack:
        pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
            settings.database,
            min_size=1,
            max_size=4,
            open=False,
            timeout=5,
        )
        await stack.enter_async_context(pool)
        recorder = RecorderClient(settings.recorder, "worker")
        await recorder.connect()
        stack.push_async_callback(recorder.close)
        client = (settings.client_id, secret)
        embedder = Embedder(settings.gateway, settings.realm, client, settings.embedding_model)
        stack.push_async_callback(embedder.close)
        yield Tools(pool, objects, embedder, recorder, settings.parser)
