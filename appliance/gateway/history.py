"""History of the owners, written behind: rows wait here for their batch.

A request never waits for PostgreSQL. `accepts` is asked before the terminal record, which says
`content: sealed` or `none`; the row follows the record within `LINGER`. PostgreSQL away or the
queue full: `none`, until a batch is through again. A killed worker loses what waited here: its
records then say `sealed` and nothing opens, which a reader is told as "erased or lost".
"""

import asyncio
import logging
import time
from typing import Self

from psycopg import Error
from psycopg_pool import PoolTimeout

from appliance.db.pool import Pool
from appliance.gateway import store
from appliance.gateway.store import ContentRow

log = logging.getLogger(__name__)

LINGER = 0.2  # seconds that a row waits for others
ROWS_MAX, BATCH = 16_384, 1_024
BYTES_MAX = 64 * 2**20
RETRY = 1.0  # seconds


class History:
    """The rows that wait. An async context manager: leaving it writes what waits."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._rows: list[ContentRow] = []
        self._bytes = 0
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self.reachable = True
        self.last_written = time.monotonic()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ending = True
        self._woken.set()
        if self._task:
            await self._task

    def accepts(self) -> bool:
        """Tell whether a row put now would be written."""
        return self.reachable and len(self._rows) < ROWS_MAX and self._bytes < BYTES_MAX

    def put(self, row: ContentRow) -> None:
        """Take a row whose terminal record is durable."""
        self._rows.append(row)
        self._bytes += len(row.question) + len(row.answer)
        if len(self._rows) == 1:
            self._woken.set()

    async def _keep(self) -> None:
        while not self._ending:
            await self._woken.wait()
            self._woken.clear()
            while self._rows:
                await asyncio.sleep(LINGER if self.reachable and not self._ending else 0)
                if not await self._write() and self._ending:
                    log.error("history lost", extra={"rows": len(self._rows)})
                    return

    async def _write(self) -> bool:
        batch = self._rows[:BATCH]
        try:
            async with self._pool.connection(timeout=RETRY) as conn:
                await store.add_content(conn, batch)
        except (Error, PoolTimeout, OSError) as exc:
            self.reachable = False
            log.warning("history waits", extra={"reason": type(exc).__name__})
            await asyncio.sleep(0 if self._ending else RETRY)
            return False
        del self._rows[: len(batch)]
        self._bytes -= sum(len(row.question) + len(row.answer) for row in batch)
        self.reachable = True
        self.last_written = time.monotonic()
        return True
