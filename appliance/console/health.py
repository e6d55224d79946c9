"""How the service is, as pages say it: asked at most every other second, whoever looks.

The gateway records when an engine goes away and comes back; here it is only shown.
"""

import asyncio
import time
from datetime import UTC, datetime

from appliance.audit.client import RecorderClient, RecorderError, RefusedError
from appliance.console.gateway import Gateway, Health
from appliance.console.page import Proof, State

_FRESH = 2.0  # seconds
_PATIENCE = 1.0  # seconds for the recorder to say how the log stands
_MICRO = 1_000_000


class Watch:
    """One look shared by everybody."""

    def __init__(self, gateway: Gateway, recorder: RecorderClient) -> None:
        self._gateway, self._recorder = gateway, recorder
        self._lock = asyncio.Lock()
        self._until = 0.0
        self._state = State()
        self._proof: Proof | None = None
        self.health: Health | None = None

    async def look(self) -> tuple[State, Proof | None]:
        """Return the state of the service and of the log."""
        async with self._lock:
            if time.monotonic() >= self._until:
                await self._renew()
        return self._state, self._proof

    def forget(self) -> None:
        """Look again at the next page."""
        self._until = 0.0

    async def _renew(self) -> None:
        self.health, standing = await asyncio.gather(self._gateway.health(), self._log())
        engine = not engine_is_away(self.health)
        stopped = bool(standing and standing[1]) or bool(self.health and self.health.stopped)
        vectors = self.health.vectors if self.health else "ready"
        self._proof = standing[0] if standing else None
        self._state = State(vectors, engine, stopped, standing is not None)
        self._until = time.monotonic() + _FRESH

    async def _log(self) -> tuple[Proof | None, bool] | None:
        """Return how the log stands, or None when the recorder does not say."""
        try:
            async with asyncio.timeout(_PATIENCE):
                state = await self._recorder.status()
        except (RecorderError, RefusedError, TimeoutError):
            return None
        at = datetime.fromtimestamp(state.checkpoint_at / _MICRO, UTC)
        anchored = datetime.fromtimestamp(state.anchored.at, UTC) if state.anchored else None
        proof = Proof(state.size, state.checkpoint_size, at, state.root.hex(), anchored)
        return proof, state.stopped


def engine_is_away(health: Health | None) -> bool:
    """Say whether the gateway knows that no chat engine answers."""
    states = set(health.engines.values()) if health else set()
    return bool(states) and states == {"away"}
