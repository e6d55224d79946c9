import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from appliance.db.pool import Pool
from appliance.identity import revocation, store
from appliance.identity.principal import (
    KeyTerms,
    Principal,
    RevocationUnknownError,
    UnauthenticatedError,
)
from appliance.identity.revocation import STALE, Epochs, Revocations
from appliance.identity.store import RevocationRow
from tests.identity.waiting import until

AT = 1_000.0
CALLER = Principal(
    subject="alice",
    name="alice",
    roles=frozenset(),
    scopes=frozenset(),
    groups=("/equipes/accueil", "/pilotage"),
    clearance=0,
    session="sid",
    key=KeyTerms("a-key", frozenset(), (), 0),
)


def row(kind: str, name: str) -> RevocationRow:
    return RevocationRow(kind, name, datetime.fromtimestamp(AT, UTC))


@pytest.mark.parametrize(
    ("kind", "name", "issued", "refused"),
    [
        pytest.param("session", "sid", AT - 1, True, id="session over"),
        pytest.param("session", "sid", AT + 1, True, id="a session never comes back"),
        pytest.param("session", "other", AT - 1, False, id="another session"),
        pytest.param("subject", "alice", AT - 1, True, id="issued before"),
        pytest.param("subject", "alice", AT, True, id="issued at that instant"),
        pytest.param("subject", "alice", AT + 1, False, id="issued after"),
        pytest.param("subject", "bob", AT - 1, False, id="another subject"),
        pytest.param("key", "a-key", AT + 1, True, id="key revoked for good"),
        pytest.param("key", "another", AT - 1, False, id="another key"),
        pytest.param("group", "/pilotage", AT - 1, True, id="group changed"),
        pytest.param("group", "/pilotage", AT + 1, False, id="token after the change"),
        pytest.param("group", "/equipes", AT - 1, False, id="parent of a group"),
    ],
)
def test_what_was_given_before_a_revocation_is_refused(
    kind: str, name: str, issued: float, *, refused: bool
) -> None:
    assert Epochs.of([row(kind, name)]).refuses(CALLER, issued) is refused


def test_who_has_no_session_is_not_the_empty_session() -> None:
    service = replace(CALLER, session="", key=None)
    assert not Epochs.of([row("session", "x")]).refuses(service, AT)


@asynccontextmanager
async def reading(dsn: str) -> AsyncIterator[Revocations]:
    pool: Pool = AsyncConnectionPool(dsn, open=False, timeout=1)
    async with pool:
        yield Revocations(pool)


def check(dsn: str, work: Callable[[Revocations], Awaitable[None]]) -> None:
    async def run() -> None:
        async with reading(dsn) as revocations:
            await work(revocations)

    asyncio.run(run())


def revoke(dsn: str, kind: str, name: str) -> None:
    async def run() -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as conn:
            await store.revoke(conn, kind, [name])

    asyncio.run(run())


def test_a_worker_learns_what_the_console_wrote(
    console_database: str, gateway_database: str
) -> None:
    async def work(revocations: Revocations) -> None:
        await revocations.read()
        revocations.check(CALLER, AT)
        await asyncio.to_thread(revoke, console_database, "session", "sid")
        await revocations.read()
        with pytest.raises(UnauthenticatedError, match="ended"):
            revocations.check(CALLER, AT)

    check(gateway_database, work)


def test_nobody_passes_before_the_first_reading(gateway_database: str) -> None:
    async def work(revocations: Revocations) -> None:
        with pytest.raises(RevocationUnknownError):
            revocations.check(CALLER, AT)

    check(gateway_database, work)


def test_nobody_passes_when_the_last_reading_is_a_minute_old(gateway_database: str) -> None:
    async def work(revocations: Revocations) -> None:
        await revocations.read()
        revocations.read_at -= STALE - 5
        revocations.check(CALLER, AT)
        revocations.read_at -= 6
        with pytest.raises(RevocationUnknownError):
            revocations.check(CALLER, AT)

    check(gateway_database, work)


def test_the_task_goes_on_after_a_database_that_was_away(
    gateway_database: str, console_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "POLL", 0.05)

    async def work(revocations: Revocations) -> None:
        good, broken = revocations.read, True

        async def read() -> None:
            if broken:
                raise psycopg.OperationalError("away")
            await good()

        monkeypatch.setattr(revocations, "read", read)
        async with revocations:
            with pytest.raises(RevocationUnknownError):
                revocations.check(CALLER, AT)
            broken = False
            await asyncio.to_thread(revoke, console_database, "session", "sid")
            await until(lambda: bool(revocations.epochs.sessions))
            with pytest.raises(UnauthenticatedError):
                revocations.check(CALLER, AT)

    check(gateway_database, work)
