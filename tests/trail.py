"""What stands in a log whose recorder runs, as one of its clients reads it."""

import asyncio
from pathlib import Path

from appliance.audit.client import RecorderClient
from appliance.audit.event import Event, Fact, Kind, Leaf


def events_of(recorder: Path) -> list[Event]:
    """Return the events of the log behind a socket, in its order."""

    async def read() -> list[bytes]:
        client = RecorderClient(recorder, "test-reader")
        await client.connect()
        try:
            return await client.read(0, 100_000)
        finally:
            await client.close()

    return [Leaf.parse(one).event for one in asyncio.run(read())]


def facts_of(recorder: Path, *kinds: Kind) -> list[Fact]:
    """Return the facts of the log, of some kinds only when any are named."""
    found = [event for event in events_of(recorder) if isinstance(event, Fact)]
    return [one for one in found if not kinds or one.kind in kinds]
