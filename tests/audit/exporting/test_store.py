"""Who may ask for an export and see it, and how it goes from waiting to gone."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection

from appliance.audit.exporting import store
from appliance.audit.exporting.store import Export, Wish
from appliance.identity import store as identity
from appliance.identity.principal import Principal, Scope

T = TypeVar("T")
ONE, TWO = UUID(int=1), UUID(int=2)
ALL, OWN = frozenset({Scope.RECORDS_ALL, Scope.EXPORT}), frozenset({Scope.RECORDS_OWN})


def wish(one: UUID) -> Wish:
    return Wish(one, 3, 9, ("jsonl", "pdf"), "Usage interne", "Atelier")


def as_person(
    database: str,
    subject: str,
    work: Callable[[AsyncConnection], Awaitable[T]],
    scopes: frozenset[Scope] = ALL,
) -> T:
    async def run() -> T:
        async with await AsyncConnection.connect(database) as conn:
            caller = Principal(subject, subject, frozenset(), scopes, (), 0)
            await identity.act_as(conn, caller)
            return await work(conn)

    return asyncio.run(run())


def as_worker(database: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    async def run() -> T:
        async with await AsyncConnection.connect(database) as conn:
            return await work(conn)

    return asyncio.run(run())


@pytest.fixture
def asked(console_database: str) -> str:
    as_person(console_database, "ines", lambda conn: store.ask(conn, "ines", wish(ONE)))
    return console_database


def test_an_export_is_its_owners_and_nobody_elses(asked: str) -> None:
    def seen(subject: str, scopes: frozenset[Scope] = ALL) -> Export | None:
        return as_person(asked, subject, lambda conn: store.find(conn, ONE), scopes)

    own = seen("ines")
    assert own is not None
    assert (own.first, own.last, own.total, own.state) == (3, 9, 7, "waiting")
    assert seen("jean") is None
    assert seen("ines", OWN) is None  # no longer an auditor
    assert as_person(asked, "jean", lambda conn: store.latest(conn, 9)) == []


@pytest.mark.parametrize(
    ("owner", "scopes"), [("jean", ALL), ("ines", OWN)], ids=["for another", "without right"]
)
def test_nobody_asks_for_another_or_without_the_right(
    console_database: str, owner: str, scopes: frozenset[Scope]
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_person(
            console_database, "ines", lambda conn: store.ask(conn, owner, wish(TWO)), scopes
        )


def test_the_console_does_not_say_that_an_export_is_done(asked: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_person(asked, "ines", lambda conn: store.finish(conn, ONE, "x", "y", 1))


def test_an_export_goes_from_waiting_to_done_to_gone(asked: str, worker_database: str) -> None:
    async def work(conn: AsyncConnection) -> list[object]:
        first = await store.next_waiting(conn)
        await store.note_written(conn, ONE, 4)
        await store.finish(conn, ONE, "export-atelier-3-9", "ab" * 32, 77)
        states: list[object] = [first and first.id, await store.next_waiting(conn)]
        states.append(await store.expire(conn, 1))
        states.append(await store.expire(conn, 0))
        return states

    assert as_worker(worker_database, work) == [ONE, None, [], [ONE]]
    own = as_person(asked, "ines", lambda conn: store.find(conn, ONE))
    assert own is not None
    assert (own.state, own.written, own.name, own.size) == ("gone", 7, "export-atelier-3-9", 77)


def test_a_failure_names_its_code(asked: str, worker_database: str) -> None:
    as_worker(worker_database, lambda conn: store.fail(conn, ONE, "CM-JRN-34"))
    (own,) = as_person(asked, "ines", lambda conn: store.latest(conn, 9))
    assert (own.state, own.problem) == ("failed", "CM-JRN-34")
