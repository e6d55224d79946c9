"""Wait for what a task of the code under test does; the timeout of the test bounds it."""

import asyncio
import time
from collections.abc import Callable

from pyotp.totp import TOTP

STEP, PATIENCE = 0.02, 60  # seconds
OTP = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # of every account of these tests


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 - the code under test offers no event
            await asyncio.sleep(STEP)


_used: dict[str, float] = {}


async def next_code(name: str) -> str:
    """Return a one-time code that was never given: Keycloak takes each one once per person."""
    if time.time() // 30 == _used.get(name):
        await asyncio.sleep(30.2 - time.time() % 30)
    _used[name] = time.time() // 30
    return TOTP(OTP).now()
