"""Which engine serves a model, and since when: `model.load`, once for each start of an engine.

Every worker looks, and all say the same of one start under the same id, so that the log has it
once. What an engine does not tell of itself is left out; an engine that does not even say when
it started is noted by each worker that found it.
"""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import msgspec

from appliance.audit.client import new_id
from appliance.audit.event import FACTS, Event, Fact, Kind
from appliance.audit.heartbeat import STARTED, total
from appliance.gateway.engines import Engine
from appliance.gateway.upstream import UpstreamError

PATIENCE = 5.0  # seconds for the pages of an engine
ACTOR = "engine"
_OK = 200
_TEXT = 200  # characters of a field


def loaded(model: str, pages: dict[str, bytes]) -> Fact:
    """Return what an engine says of itself.

    Args:
        model: Name by which the site calls it.
        pages: Its answers to `/metrics`, `/version` and `/v1/models`; absent: it gave none.
    """
    data: dict[str, str | int] = {"model": model}
    since = total(pages.get("/metrics", b"").decode(errors="replace"), STARTED)
    if since is not None:
        data["since"] = since
    if isinstance(version := _json(pages.get("/version", b"")).get("version"), str):
        data["version"] = version[:_TEXT]
    cards = _json(pages.get("/v1/models", b"")).get("data")
    card = cards[0] if isinstance(cards, list) and cards and isinstance(cards[0], dict) else {}
    if isinstance(root := card.get("root"), str):
        data["folder"] = PurePath(root).name[:_TEXT]
    if isinstance(longest := card.get("max_model_len"), int) and longest >= 0:
        data["context"] = longest
    event_id = new_id() if since is None else f"load-{_digest(f'{model} {since}')}"
    return FACTS[Kind.MODEL_LOAD](actor=ACTOR, id=event_id, data=data)


def _json(page: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(page, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class Loads:
    """Asks each engine that came up who it is, and has that recorded."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        """Prepare. `tell` records a fact that nobody waits for."""
        self._tell = tell
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, engine: Engine) -> None:
        """Ask an engine that answers again, or for the first time."""
        task = asyncio.create_task(self._ask(engine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()

    async def _ask(self, engine: Engine) -> None:
        pages: dict[str, bytes] = {}
        for path in ("/metrics", "/version", "/v1/models"):
            try:
                async with asyncio.timeout(PATIENCE):
                    response = await engine.pool.get(path.encode())
                    body = await response.read()
            except (UpstreamError, TimeoutError):
                continue
            if response.status == _OK:
                pages[path] = body
        self._tell(loaded(engine.name, pages))
