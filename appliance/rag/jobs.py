"""Durable jobs: which task does what, when a job is tried again, and which were left behind.

Jobs live in PostgreSQL (procrastinate, schema `jobs`) and name a document, nothing else. One
job of a document runs at a time. A job that a dead worker left is queued again in seconds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import DeleteJobCondition, Job
from procrastinate.worker import Worker
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.audit.client import RecorderError
from appliance.errors import ApplianceError
from appliance.rag import ingest, retention, store
from appliance.rag.embed import AwayError
from appliance.rag.indexing import store as index

log = logging.getLogger(__name__)

QUEUE = "documents"
HEARTBEAT, STALLED, LOOK = 2, 8, 3  # seconds
HOUSEKEEPING, AGAIN = 3_600, 30  # seconds
_WAIT_MAX = 30  # seconds between two tries
_PATIENCE = 5  # seconds for a connection; an end that waits longer delays the next beginning
_TRIES = 8  # of a job that fails for no reason that may pass
_PASSING = (AwayError, RecorderError, psycopg.OperationalError, ConnectorException)


class Patience(BaseRetryStrategy):
    """Try again, later each time up to half a minute, for as long as it takes."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision:
        """Return when."""
        del exception
        seconds = min(_WAIT_MAX, 2 ** min(job.attempts, 5))
        return RetryDecision(retry_in={"seconds": seconds})


class Desk:
    """The worker of one process."""

    def __init__(self, database: str, tools: ingest.Tools, policy: Path) -> None:
        """Prepare; nothing runs yet.

        Args:
            database: Connection string of the role of the worker.
            tools: What jobs work with.
            policy: File with how long contents are kept.
        """
        self._tools, self._policy = tools, policy
        self._busy: set[int] = set()
        self._suspects: set[int] = set()
        self._app = App(
            connector=PsycopgConnector(
                pool_factory=_pool,
                conninfo=database,
                kwargs={"options": "-c search_path=jobs,public"},
                min_size=1,
                max_size=4,
                timeout=_PATIENCE,
            )
        )
        for name, work in self._tasks().items():
            self._app.task(name=name, queue=QUEUE, pass_context=True, retry=Patience())(
                self._guarded(work)
            )

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set.

        Raises:
            ConnectorException: PostgreSQL went away. Call again.
        """
        async with self._app.open_async():
            worker = Worker(
                self._app,
                queues=[QUEUE],
                concurrency=2,
                delete_jobs=DeleteJobCondition.SUCCESSFUL,
                install_signal_handlers=False,
                update_heartbeat_interval=HEARTBEAT,
                stalled_worker_timeout=STALLED,
                shutdown_graceful_timeout=5,
                fetch_job_polling_interval=2,
            )
            helpers = [
                asyncio.create_task(self._rescue_forever(worker)),
                asyncio.create_task(self._keep_house_forever()),
                asyncio.create_task(self._erase_forever()),
                asyncio.create_task(_stop_with(stop, worker)),
            ]
            try:
                await worker.run()  # type: ignore[no-untyped-call]
            finally:
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)

    def _tasks(self) -> dict[str, Callable[[UUID, int], Awaitable[None]]]:
        tools = self._tools
        return {
            "ingest": lambda document, job: ingest.ingest(tools, document, job),
            "embed": lambda document, _: ingest.embed(tools, document),
            "forget": lambda document, _: ingest.forget(tools, document),
        }

    def _guarded(
        self, work: Callable[[UUID, int], Awaitable[None]]
    ) -> Callable[[JobContext, str], Awaitable[None]]:
        async def task(context: JobContext, document: str) -> None:
            job = context.job
            assert job.id is not None
            self._busy.add(job.id)
            try:
                await work(UUID(document), job.id)
            except _PASSING:
                raise
            except Exception:  # the edge of a job: a defect ends its document, not the worker
                if job.attempts < _TRIES:
                    raise
                log.exception("job given up", extra={"document": document})
                await ingest.give_up(self._tools, UUID(document))
            finally:
                self._busy.discard(job.id)

        return task

    async def _rescue_forever(self, worker: Worker) -> None:
        while True:
            try:
                await self._rescue(worker.worker_id)
            except psycopg.Error:
                log.warning("PostgreSQL is away")
            await asyncio.sleep(LOOK)

    async def _keep_house_forever(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING)
            try:
                if await ingest.keep_house(self._tools):
                    log.info("postings are dense again")
            except psycopg.Error:
                log.warning("postings stay as they are")

    async def _erase_forever(self) -> None:
        ceiling = retention.Ceiling()
        while True:
            pause = HOUSEKEEPING
            try:
                if count := await retention.erase_old(self._tools, self._policy):
                    log.info("old contents erased", extra={"rows": count})
            except (psycopg.Error, PoolTimeout, ApplianceError) as exc:
                log.warning("old contents stay", extra={"cause": str(exc)})
                pause = AGAIN
            try:
                if count := await ceiling.look(self._tools, self._policy):
                    log.error("contents are older than the ceiling", extra={"rows": count})
            except (psycopg.Error, PoolTimeout, ApplianceError) as exc:
                log.warning("the ceiling was not looked at", extra={"cause": str(exc)})
                pause = AGAIN
            await asyncio.sleep(pause)

    async def _rescue(self, worker_id: int | None) -> None:
        """Queue again what a dead worker, or a lost connection, left behind."""
        async with self._tools.pool.connection() as conn:
            mine = await index.list_own_jobs(conn, worker_id) if worker_id else set[int]()
            idle = mine - self._busy
            lost = idle & self._suspects  # seen twice: not one that just begins or ends
            self._suspects = idle
            if rescued := await index.rescue_jobs(conn, STALLED, sorted(lost)):
                log.warning("jobs queued again", extra={"jobs": rescued})
            for task, document in await index.list_unfinished(conn):
                await store.add_job(conn, task, document)


def _pool(**options: Any) -> AsyncConnectionPool[AsyncConnection]:
    """Return a pool that looks at no connection before it lends it.

    After a restart of PostgreSQL every look at a dead connection would cost a longer pause, up
    to half a minute together. A job that meets a dead connection is tried again.
    """
    del options["check"]
    return AsyncConnectionPool(**options)


async def _stop_with(stop: asyncio.Event, worker: Worker) -> None:
    await stop.wait()
    worker.stop()  # type: ignore[no-untyped-call]
