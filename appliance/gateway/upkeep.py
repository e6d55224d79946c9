"""What a worker does beside requests, once a second: engines, policy, summaries of refusals."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Self

log = logging.getLogger(__name__)

TICK = 1.0  # seconds


class Upkeep:
    """A task that calls each duty in turn. One that fails does not stop the others."""

    def __init__(self, *duties: Callable[[], None]) -> None:
        self._duties = duties
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _keep(self) -> None:
        while True:
            for duty in self._duties:
                try:
                    duty()
                except Exception:  # the edge of a duty
                    log.exception("duty failed")
            await asyncio.sleep(TICK)
