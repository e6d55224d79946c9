"""Revocations as one worker knows them: read every 5 s, believed for a minute.

Invariant: a worker that has not read the table for `STALE` seconds answers nobody (503): a
revocation that cannot be known is not a right.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from psycopg import Error
from psycopg_pool import PoolTimeout

from appliance.db.pool import Pool
from appliance.identity import store
from appliance.identity.principal import (
    Principal,
    RevocationUnknownError,
    UnauthenticatedError,
)

log = logging.getLogger(__name__)
POLL = 5.0  # seconds
STALE = 60.0  # seconds
WINDOW = 900  # seconds: longer than any token or cached identity lives


@dataclass(frozen=True, slots=True)
class Epochs:
    """Which sessions are over, and until when tokens of a subject, key or group are refused."""

    sessions: frozenset[str] = frozenset()
    subjects: dict[str, float] | None = None
    keys: dict[str, float] | None = None
    groups: dict[str, float] | None = None

    @classmethod
    def of(cls, rows: Iterable[store.RevocationRow]) -> Self:
        """Read the table."""
        kinds: dict[str, dict[str, float]] = {}
        for row in rows:
            kinds.setdefault(row.kind, {})[row.name] = row.at.timestamp()
        return cls(
            frozenset(kinds.get("session", ())),
            kinds.get("subject"),
            kinds.get("key"),
            kinds.get("group"),
        )

    def refuses(self, caller: Principal, issued: float) -> bool:
        """Say whether an identity given at `issued` (seconds since 1970) is no longer good."""
        if caller.session and caller.session in self.sessions:
            return True
        if self.subjects and issued <= self.subjects.get(caller.subject, -1.0):
            return True
        if caller.key and self.keys and caller.key.id in self.keys:
            return True
        if not self.groups:
            return False
        groups = self.groups
        return any(issued <= groups.get(group, -1.0) for group in caller.groups)


class Revocations:
    """The epochs, kept up to date by a task of this worker."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._task: asyncio.Task[None] | None = None
        self.epochs = Epochs()
        self.read_at = float("-inf")  # time.monotonic() of the last good reading

    async def __aenter__(self) -> Self:
        await self._try()
        self._task = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def read(self) -> None:
        """Read the table now."""
        begun = time.monotonic()
        async with asyncio.timeout(POLL), self._pool.connection() as conn:
            rows = await store.recent_revocations(conn, seconds=WINDOW)
        self.epochs, self.read_at = Epochs.of(rows), begun

    def check(self, caller: Principal, issued: float) -> None:
        """Let an identity pass that was given at `issued`, seconds since 1970.

        Raises:
            RevocationUnknownError: The table was not read for a minute.
            UnauthenticatedError: It is revoked.
        """
        if time.monotonic() - self.read_at > STALE:
            raise RevocationUnknownError("revocations cannot be read")
        if self.epochs.refuses(caller, issued):
            raise UnauthenticatedError("the session has ended")

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            await self._try()

    async def _try(self) -> None:
        try:
            await self.read()
        except (Error, PoolTimeout, TimeoutError, OSError) as exc:
            log.warning("revocations.unread", extra={"reason": type(exc).__name__})
