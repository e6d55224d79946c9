"""Wait for what a task of the code under test does; the timeout of the test bounds it."""

import asyncio
from collections.abc import Callable

STEP = 0.02  # seconds


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - the code under test offers no event
        await asyncio.sleep(STEP)
