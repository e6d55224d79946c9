"""Who sees which rows of the copy: checks, then mutants of the policies, which must be seen."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pytest

from appliance.audit.index import store
from appliance.audit.index.row import read
from appliance.identity import store as identity
from appliance.identity.principal import Principal, Scope
from tests.audit.index.copies import ALICE, BOB, as_indexer, put, stored

ALL, OWN = frozenset({Scope.RECORDS_ALL}), frozenset({Scope.RECORDS_OWN})
NONE: frozenset[Scope] = frozenset()
GARBAGE = ["", " ", "ALL", "all ", "all\n", "own,all", "true", "1", "null", "%", "{all}"]
OF_ALICE, OF_BOB = {0, 5, 6}, {1, 7, 8}


def caller(subject: str, scopes: frozenset[Scope]) -> Principal:
    return Principal(subject, subject, frozenset(), scopes, ("/equipes/rh",), 3)


@contextmanager
def reading(database: str, one: Principal | None) -> Iterator[psycopg.Connection]:
    """Lend a transaction in which the database sees this caller."""
    values: Mapping[str, str] = {}
    if one is not None:

        async def settings() -> dict[str, str]:
            async with await psycopg.AsyncConnection.connect(database) as conn:
                await identity.act_as(conn, one)
                names = ("app.subject", "app.records")
                shown = ", ".join(f"current_setting('{name}', true)" for name in names)
                found = await (await conn.execute(f"SELECT {shown}".encode())).fetchone()
                return dict(zip(names, found or (), strict=True))

        values = asyncio.run(settings())
    with psycopg.connect(database) as conn:
        for name, value in values.items():
            conn.execute("SELECT set_config(%s, %s, true)", [name, value])
        yield conn


def seen(conn: psycopg.Connection) -> set[int]:
    return {idx for (idx,) in conn.execute("SELECT idx FROM audit.event")}


@pytest.fixture
def copy(indexer_database: str, console_database: str) -> str:
    """Return the console's view of a copy of nine events."""
    put(indexer_database, stored())
    return console_database


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (caller(ALICE, ALL), set(range(9))),
        (caller(ALICE, OWN), OF_ALICE),
        (caller(BOB, OWN), OF_BOB),
        (caller(ALICE, NONE), set()),
        (caller("nobody", OWN), set()),
        (None, set()),
    ],
    ids=["all", "alice", "bob", "no scope", "somebody new", "nobody"],
)
def test_row_security_shows_all_or_ones_own_or_nothing(
    copy: str, who: Principal | None, expected: set[int]
) -> None:
    with reading(copy, who) as conn:
        assert seen(conn) == expected


def test_a_setting_in_disorder_shows_nothing(copy: str) -> None:
    with psycopg.connect(copy) as conn:
        for value in GARBAGE:
            conn.execute("SELECT set_config('app.subject', %s, true)", [ALICE])
            conn.execute("SELECT set_config('app.records', %s, true)", [value])
            assert seen(conn) == set(), value
            conn.rollback()


def test_ones_own_rows_are_nobodys_when_no_subject_is_set(copy: str) -> None:
    with psycopg.connect(copy) as conn:
        conn.execute("SELECT set_config('app.subject', '', true)")
        conn.execute("SELECT set_config('app.records', 'own', true)")
        assert seen(conn) == set()


def test_the_rights_of_a_caller_end_with_the_transaction(copy: str) -> None:
    with reading(copy, caller(ALICE, ALL)) as conn:
        assert seen(conn)
        conn.commit()
        assert seen(conn) == set()


@pytest.mark.parametrize("role", ["gateway", "worker", "owner"])
def test_no_other_process_reads_the_copy(copy: str, role: str) -> None:
    database = copy.replace("casemate_console", f"casemate_{role}")
    with psycopg.connect(database) as conn:
        conn.execute("SELECT set_config('app.records', 'all', true)")
        if role == "owner":
            assert seen(conn) == set()
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                seen(conn)


WRITES = (
    "INSERT INTO audit.comparison (size) VALUES (1)",
    "UPDATE audit.side SET next = 0",
    "DELETE FROM audit.event",
    "UPDATE audit.event SET actor = 'x'",
    "SELECT FROM audit.event_0",
    "TRUNCATE audit.event",
)


def test_the_console_writes_nothing_and_reaches_no_part(copy: str) -> None:
    for statement in WRITES:
        with (
            reading(copy, caller(ALICE, ALL)) as conn,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            conn.execute(statement.encode())


def test_the_indexer_cannot_edit_a_row(indexer_database: str) -> None:
    with (
        psycopg.connect(indexer_database) as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute("UPDATE audit.event SET actor = 'x'")


def test_the_side_that_is_being_filled_is_seen_by_nobody(
    copy: str, indexer_database: str
) -> None:
    async def fill(conn: psycopg.AsyncConnection) -> None:
        other = await store.read_side(conn, serving=False)
        await store.add(conn, other, [read(one) for one in stored()])

    as_indexer(indexer_database, fill)
    with reading(copy, caller(ALICE, ALL)) as conn:
        assert conn.execute("SELECT count(*) FROM audit.event").fetchone() == (9,)


def test_times_of_others_are_not_shown_to_who_reads_ones_own(copy: str) -> None:
    for one, rows in ((caller(ALICE, ALL), 1), (caller(ALICE, OWN), 0), (None, 0)):
        with reading(copy, one) as conn:
            assert conn.execute("SELECT FROM audit.slice").rowcount == rows


SIGNATURE = "CREATE OR REPLACE FUNCTION audit.reads_all() RETURNS boolean LANGUAGE sql STABLE"
MUTANTS = {
    "everybody reads all": (
        f"{SIGNATURE} RETURN true",
        caller(ALICE, OWN),
        OF_ALICE,
    ),
    "what is unset is all": (
        f"{SIGNATURE} RETURN current_setting('app.records', true) IS DISTINCT FROM 'own'",
        None,
        set[int](),
    ),
    "no row security": (
        "ALTER TABLE audit.event DISABLE ROW LEVEL SECURITY",
        caller(ALICE, OWN),
        OF_ALICE,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_policy_shows_other_rows(copy: str, server: str, name: str) -> None:
    statement, who, expected = MUTANTS[name]
    with psycopg.connect(server, dbname="casemate_test") as conn:
        conn.execute(statement.encode())
    with reading(copy, who) as conn:
        assert seen(conn) != expected


@pytest.mark.usefixtures("copy")
def test_a_place_moves_only_with_its_rows(indexer_database: str) -> None:
    async def fail(conn: psycopg.AsyncConnection) -> None:
        side = await store.read_side(conn, serving=True, lock=True)
        rows = [read(one) for one in stored()]
        with pytest.raises(psycopg.errors.UniqueViolation):
            await store.add(conn, side, rows)
        await conn.rollback()
        assert await store.read_side(conn, serving=True) == side

    as_indexer(indexer_database, fail)


def test_the_other_side_serves_only_when_it_is_as_far(copy: str, indexer_database: str) -> None:
    rows = [read(one) for one in stored()]

    async def work(conn: psycopg.AsyncConnection) -> list[bool]:
        other = await store.read_side(conn, serving=False)
        await store.add(conn, other, rows[:8])
        early = await store.switch(conn)
        await conn.commit()
        await store.add(conn, await store.read_side(conn, serving=False), rows[8:])
        return [early, await store.switch(conn)]

    assert as_indexer(indexer_database, work) == [False, True]
    with reading(copy, caller(ALICE, ALL)) as conn:
        assert seen(conn) == set(range(9))


def test_pruned_events_are_forgotten(copy: str, indexer_database: str) -> None:

    async def work(conn: psycopg.AsyncConnection) -> store.Side:
        await store.prune(conn, await store.read_side(conn, serving=True), 5)
        return await store.read_side(conn, serving=True)

    assert as_indexer(indexer_database, work).first == 5
    with reading(copy, caller(ALICE, ALL)) as conn:
        assert seen(conn) == {5, 6, 7, 8}


def test_of_old_comparisons_a_hundred_stay(copy: str, indexer_database: str) -> None:

    async def work(conn: psycopg.AsyncConnection) -> None:
        for size in range(105):
            await store.note_comparison(conn, size, None)

    as_indexer(indexer_database, work)
    with psycopg.connect(copy) as conn:
        sizes = {size for (size,) in conn.execute("SELECT size FROM audit.comparison")}
    assert len(sizes) in (100, 101)
    assert 104 in sizes
