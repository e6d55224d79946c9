"""Where events are, by the copy: as one who reads all, and as one who reads one's own."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from psycopg import AsyncConnection

from appliance.audit.index.row import SLICE
from appliance.console.trail import store
from appliance.console.trail.search import FOREVER, Terms
from appliance.identity import store as identity
from appliance.identity.principal import Principal, Scope
from tests.audit.index.copies import ALICE, BOB, put, stored
from tests.audit.logs import event_id

T = TypeVar("T")
START = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.fixture
def copy(indexer_database: str, console_database: str) -> str:
    put(indexer_database, stored())
    return console_database


def asked(database: str, work: Callable[[AsyncConnection], Awaitable[T]], scope: Scope) -> T:
    caller = Principal(ALICE, "alice", frozenset(), frozenset({scope}), (), 0)

    async def run() -> T:
        async with await AsyncConnection.connect(database) as conn:
            await identity.act_as(conn, caller)
            return await work(conn)

    return asyncio.run(run())


def found(
    database: str,
    terms: Terms,
    *,
    own: str | None = None,
    before: int = FOREVER,
    limit: int = 9,
) -> list[int]:
    scope = Scope.RECORDS_ALL if own is None else Scope.RECORDS_OWN

    async def work(conn: AsyncConnection) -> list[int]:
        places = await store.find(conn, terms, own, before, limit)
        return [place.idx for place in places]

    return asked(database, work, scope)


def test_events_are_found_latest_first_and_page_by_page(copy: str) -> None:
    assert found(copy, Terms()) == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert found(copy, Terms(), limit=2) == [8, 7]
    assert found(copy, Terms(), before=7, limit=2) == [6, 5]
    assert found(copy, Terms(), own=ALICE) == [6, 5, 0]
    assert found(copy, Terms(), own=BOB) == []  # row security knows who asks


def test_each_term_narrows_what_is_found(copy: str) -> None:
    for terms, expected in (
        (Terms(index=4), [4]),
        (Terms(code="CM-DRT-01"), [5]),
        (Terms(subject="llm"), [4, 2]),
        (Terms(type="rag.open"), [7, 6]),
        (Terms(outcome="ok"), [4]),
        (Terms(names=(BOB,), object="x"), [8, 7, 1]),
        (Terms(names=("x", event_id(1, "r")), object="note-12"), [7, 6, 4, 3, 2]),
        (Terms(names=(), object="note-12", type="rag.open", code="x"), []),
        (Terms(start=START + timedelta(milliseconds=120)), [8, 7, 6]),
        (Terms(end=START + timedelta(milliseconds=20)), [0]),
        (Terms(bounds=(3, 5)), [4, 3]),
    ):
        assert found(copy, terms) == expected, terms


def test_a_period_is_a_range_of_indexes_for_who_reads_all(copy: str) -> None:
    def bounds(start: datetime, scope: Scope) -> tuple[int, int]:
        return asked(copy, lambda conn: store.bounds_of(conn, start, None), scope)

    assert bounds(START, Scope.RECORDS_ALL) == (0, SLICE)
    assert bounds(START + timedelta(days=1), Scope.RECORDS_ALL) == (0, 0)
    assert bounds(START, Scope.RECORDS_OWN) == (0, 0)  # not told: not to be used then


def test_events_are_counted_between_edges_up_to_a_limit(copy: str) -> None:
    edges = [START + timedelta(milliseconds=n) for n in (0, 50, 100, 200)]

    async def work(conn: AsyncConnection) -> list[dict[int, int]]:
        whole = Terms(start=edges[0], end=edges[-1])
        return [
            await store.count_between(conn, terms, None, edges, limit)
            for terms, limit in ((whole, 99), (whole, 2), (replace(whole, subject="llm"), 99))
        ]

    assert asked(copy, work, Scope.RECORDS_ALL) == [{1: 3, 2: 2, 3: 4}, {3: 2}, {1: 1, 2: 1}]


def test_people_are_named_by_their_sign_in(copy: str) -> None:
    async def work(conn: AsyncConnection) -> object:
        return (
            await store.people_named(conn, "b.bob"),
            await store.names_of(conn, [ALICE, BOB, "nobody"]),
            await store.login_before(conn, ALICE, 6),
            await store.login_before(conn, ALICE, 0),
        )

    assert asked(copy, work, Scope.RECORDS_ALL) == ([BOB], {ALICE: 0, BOB: 1}, 0, None)
    assert asked(copy, work, Scope.RECORDS_OWN) == ([], {ALICE: 0}, 0, None)


def test_a_request_has_its_events_and_a_draw_its_answers(copy: str) -> None:
    async def work(conn: AsyncConnection) -> object:
        return (
            await store.of_request(conn, event_id(1, "r"), 9),
            await store.of_request(conn, event_id(1, "r"), 2),
            await store.among(conn, [1, 2, 4, 77], "llm.completion"),
        )

    assert asked(copy, work, Scope.RECORDS_ALL) == ([2, 3, 4], [2, 3], {4})
    assert asked(copy, work, Scope.RECORDS_OWN) == ([], [], set())


def test_the_standing_says_how_far_the_copy_is(copy: str) -> None:
    standing = asked(copy, store.standing, Scope.RECORDS_ALL)
    assert (standing.first, standing.next) == (0, 9)
    assert standing.compared_at is None
    assert standing.differs is None
