"""The stop switch at the rack: the recorder is told directly, whatever else is down."""

import asyncio
from pathlib import Path

from appliance.audit.client import RecorderClient, new_id
from appliance.audit.event import Kind, fact
from appliance.audit.frame import State

NAME = "service-switch"  # under which the recorder knows this client
PATIENCE = 5.0  # seconds for the recorder


def throw(recorder: Path, kind: Kind, person: str, reason: str) -> State:
    """Record a stop, or a word for starting again, and return how the service stands.

    Args:
        recorder: Its socket.
        kind: SERVICE_STOP or SERVICE_APPROVE.
        person: Who acts, as this machine knows them.
        reason: In their words, at most 200 characters.

    Raises:
        RecorderError: The recorder does not answer.
        RefusedError: It contradicts the state of the service.
    """
    assert kind in {Kind.SERVICE_STOP, Kind.SERVICE_APPROVE}
    return asyncio.run(_throw(recorder, kind, f"local:{person}", reason[:200]))


async def _throw(recorder: Path, kind: Kind, actor: str, reason: str) -> State:
    client = RecorderClient(recorder, NAME, patience=PATIENCE)
    await client.connect()
    try:
        await client.append(fact(kind, actor, new_id(), reason=reason))
        return await client.status()
    finally:
        await client.close()
