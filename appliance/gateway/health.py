"""What this worker knows of the parts it depends on: names and states, for whoever asks."""

import asyncio
from typing import Literal

import msgspec

from appliance.audit.client import RecorderClient, RecorderError
from appliance.gateway.engines import Engines
from appliance.gateway.history import History
from appliance.identity.revocation import STALE, Revocations

State = Literal["ready", "away", "unknown"]
PATIENCE = 1.0  # seconds for the recorder


class Health(msgspec.Struct, frozen=True):
    """The body of GET /health."""

    status: Literal["ready", "degraded", "stopped"]
    stopped: bool
    recorder: State
    database: State
    identity: State
    engines: dict[str, State]
    vectors: Literal["ready", "warming", "absent"]


class Examination:
    """Looks at the parts."""

    def __init__(
        self, recorder: RecorderClient, engines: Engines, history: History,
        revocations: Revocations,
    ) -> None:  # fmt: skip
        self._recorder, self._engines = recorder, engines
        self._history, self._revocations = history, revocations

    async def look(self, now: float) -> Health:
        """Return the health at `now`, seconds of a monotonic clock."""
        recorder, age = await self._recorder_state(), now - self._revocations.read_at
        database: State = "ready" if self._history.reachable and age < STALE / 4 else "away"
        engines: dict[str, State] = {
            name: _state(ready=e.ready) for name, e in self._engines.chat.items()
        }
        embedder = self._engines.embedder
        identity: State = "ready" if age < STALE else "away"
        stopped = self._recorder.stopped
        fine = {recorder, database, identity, *engines.values()} == {"ready"}
        return Health(
            "stopped" if stopped else "ready" if fine else "degraded",
            stopped, recorder, database, identity, engines,
            "absent" if embedder is None else "ready" if embedder.ready else "warming",
        )  # fmt: skip

    async def _recorder_state(self) -> State:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._recorder.status()
        except (RecorderError, TimeoutError):
            return "away"
        return "ready"


def _state(*, ready: bool | None) -> State:
    return "unknown" if ready is None else "ready" if ready else "away"
