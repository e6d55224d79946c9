"""`casemate audit heartbeat`: what others counted goes into the log, at an interval.

The size of the log is read before the counts: see `completeness.py`. A count that cannot be
read is left out of the heartbeat; a recorder that is away makes the command fail.
"""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Annotated

import aiohttp
import typer

from appliance import logs
from appliance.audit import heartbeat
from appliance.audit.client import RecorderClient, RecorderError, new_id
from appliance.audit.event import FACTS, Kind
from appliance.audit.heartbeat import Data
from appliance.settings import load
from appliance.trail_settings import HeartbeatSettings

log = logging.getLogger(__name__)
app = typer.Typer(help="Record what others counted.")

NAME = "heartbeat"
PATIENCE = 5.0  # seconds for a page, and for the recorder


@app.command("heartbeat")
def run(
    settings: Annotated[Path, typer.Option("--settings", help="heartbeat.toml")],
    *,
    forever: Annotated[
        bool, typer.Option("--forever", help="Again and again, at the interval.")
    ] = False,
) -> None:
    """Record what engines and the front counted."""
    logs.to_standard_error()
    config = load(settings, HeartbeatSettings)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_forever(config) if forever else beat(config))


async def beat(config: HeartbeatSettings) -> Data:
    """Read the counts, record them, and return them.

    Raises:
        RecorderError: It does not answer.
        RefusedError: This user may not write heartbeats.
    """
    client = RecorderClient(config.recorder, NAME, patience=PATIENCE)
    await client.connect()
    try:
        data: Data = {"every": config.every, "size": (await client.status()).size}
        for place, (model, socket) in enumerate(sorted(config.engines.items())):
            connector = aiohttp.UnixConnector(str(socket))
            data |= heartbeat.engine(place, model, await _page(connector, "http://engine"))
        if config.front:
            data |= heartbeat.front(await _page(aiohttp.TCPConnector(), config.front))
        fact = FACTS[Kind.AUDIT_HEARTBEAT](actor=NAME, data=data, id=new_id())
        await client.append(fact)
    finally:
        await client.close()
    return data


async def _forever(config: HeartbeatSettings) -> None:
    while True:
        try:
            await beat(config)
        except RecorderError as exc:
            log.warning("no heartbeat: %s", exc)
        await asyncio.sleep(config.every)


async def _page(connector: aiohttp.BaseConnector, address: str) -> str:
    """Return a page of metrics; "" when it cannot be read."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(f"{address}/metrics") as answer,
        ):
            answer.raise_for_status()
            return (await answer.read()).decode("utf-8", "replace")
    except (aiohttp.ClientError, OSError, TimeoutError) as exc:
        log.warning("%s gives no counts: %s", address, exc)
        return ""
