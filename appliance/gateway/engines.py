"""The engines of this worker: one pool each, and whether they answer.

A request finds out at once that nobody listens, and costs the engine nothing; a look each
`PROBE` seconds finds out that it is back. Who is away is told once, and so is who came back.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from appliance.gateway.upstream import Limits, UnreachedError, Upstream, UpstreamError

PROBE = 1.0  # seconds between two looks at one engine
PATIENCE = 3.0  # seconds for the answer to a look: a busy engine is slow to say so
MISSES = 2  # looks without an answer before an engine that listens counts as away
_HEALTH = b"/health"


class Engine:
    """One model's engine."""

    def __init__(self, name: str, path: Path, silence: float) -> None:
        self.name = name
        self.pool = Upstream(path, Limits(silence=silence))
        self.ready: bool | None = None  # None: not known yet, and worth a try
        self.missed = 0

    def check(self) -> Upstream:
        """Return the pool to ask.

        Raises:
            UnreachedError: It was away at the last look.
        """
        if self.ready is False:
            raise UnreachedError("the engine of this model is away")
        return self.pool

    async def look(self) -> bool:
        """Ask for its health."""
        try:
            async with asyncio.timeout(PATIENCE):
                response = await self.pool.get(_HEALTH)
                await response.read()
        except UnreachedError:
            self.missed = MISSES
        except (UpstreamError, TimeoutError):
            self.missed += 1
        else:
            self.missed = 0 if response.status < 500 else MISSES  # noqa: PLR2004 - as HTTP has it
        return self.missed < MISSES


class Engines:
    """All engines.

    `told` is called with a name and whether it answers, at each change; `came` with each engine
    that begins to answer, also at the first look.
    """

    def __init__(
        self, chat: Mapping[str, Path], embedder: tuple[str, Path] | None, silence: float,
        told: Callable[[str, bool], None], came: Callable[[Engine], None],
    ) -> None:  # fmt: skip
        self.chat = {name: Engine(name, path, silence) for name, path in chat.items()}
        self.embedder = Engine(*embedder, silence) if embedder else None
        self._told, self._came = told, came
        self._tasks: set[asyncio.Task[None]] = set()
        self._looked = float("-inf")

    def __iter__(self) -> Iterator[Engine]:
        yield from self.chat.values()
        if self.embedder:
            yield self.embedder

    def of(self, model: str) -> Engine:
        """Return the engine of a model.

        Raises:
            UnreachedError: The site offers the model and this worker has no engine for it.
        """
        engine = self.chat.get(model)
        if engine is None and self.embedder and self.embedder.name == model:
            engine = self.embedder
        if engine is None:
            raise UnreachedError("no engine serves this model here")
        return engine

    def lost(self, engine: Engine) -> None:
        """Note that nobody listened."""
        self._set(engine, ready=False)

    def tick(self) -> None:
        """Look at the engines if it is time; what a look finds comes later."""
        if time.monotonic() - self._looked < PROBE or self._tasks:
            return
        self._looked = time.monotonic()
        for engine in self:
            task = asyncio.create_task(self._look(engine))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Drop every connection."""
        for task in self._tasks:
            task.cancel()
        for engine in self:
            engine.pool.close()

    async def _look(self, engine: Engine) -> None:
        self._set(engine, ready=await engine.look())

    def _set(self, engine: Engine, *, ready: bool) -> None:
        before, engine.ready = engine.ready, ready
        if ready != before and not (before is None and ready):
            self._told(engine.name, ready)
        if ready and not before:
            self._came(engine)
