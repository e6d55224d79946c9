import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import LiteralString, TypeVar
from uuid import uuid4

import psycopg
import pytest
from psycopg import AsyncConnection, errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from appliance.identity import store
from appliance.identity.keys import Terms
from appliance.identity.principal import KeyTerms, Principal, Scope

END = datetime.now(UTC) + timedelta(days=1)
PAST = datetime(2020, 1, 1, tzinfo=UTC)
ALICE = Terms(
    owner="alice",
    name="notebook",
    scopes=frozenset({Scope.CHAT, Scope.EMBED}),
    expires_at=END,
    models=frozenset({"extraits"}),
    collections=("b", "a"),
    networks=("10.0.0.0/8",),
    max_label=2,
)
BOB = Terms("bob", "script", frozenset({Scope.CHAT}), END)
DIGEST, OTHER_DIGEST = b"a" * 32, b"b" * 32
T = TypeVar("T")


def principal(subject: str) -> Principal:
    return Principal(subject, subject, frozenset(), frozenset(), ("/equipes/a",), 2)


def transaction(
    dsn: str, subject: str | None, work: Callable[[AsyncConnection], Awaitable[T]]
) -> T:
    """Do `work` in one transaction of `subject`, on a connection of its own."""

    async def run() -> T:
        async with await AsyncConnection.connect(dsn) as conn:
            if subject is not None:
                await store.act_as(conn, principal(subject))
            return await work(conn)

    return asyncio.run(run())


@pytest.fixture
def alice_row(console_database: str) -> store.KeyRow:
    return transaction(console_database, "alice", lambda c: store.issue_key(c, ALICE, DIGEST))


@pytest.fixture
def bob_row(console_database: str) -> store.KeyRow:
    return transaction(console_database, "bob", lambda c: store.issue_key(c, BOB, OTHER_DIGEST))


def test_an_issued_key_is_found_by_its_digest_before_anyone_signs_in(
    gateway_database: str, alice_row: store.KeyRow
) -> None:
    found = transaction(gateway_database, None, lambda c: store.find_key(c, DIGEST))
    assert found == alice_row
    assert alice_row.grant().terms == ALICE
    assert (
        transaction(gateway_database, None, lambda c: store.find_key(c, OTHER_DIGEST)) is None
    )


def test_nothing_is_kept_when_the_caller_rolls_back(console_database: str) -> None:
    async def issue_and_fail(conn: AsyncConnection) -> None:
        await store.issue_key(conn, ALICE, DIGEST)
        raise psycopg.Rollback

    with pytest.raises(psycopg.Rollback):
        transaction(console_database, "alice", issue_and_fail)
    assert transaction(console_database, "alice", store.list_keys) == []


def test_a_revoked_key_stays_revoked_from_the_first_time_on(
    console_database: str, alice_row: store.KeyRow
) -> None:
    first = transaction(console_database, "alice", lambda c: store.revoke_key(c, alice_row.id))
    again = transaction(console_database, "alice", lambda c: store.revoke_key(c, alice_row.id))
    assert first == again
    assert first is not None
    assert first.revoked_at is not None
    with psycopg.connect(console_database) as conn:
        conn.execute("SELECT set_config('app.subject', 'alice', true)")
        undone = conn.execute("UPDATE application_key SET revoked_at = NULL")
        assert undone.rowcount == 0


def test_each_principal_sees_and_revokes_own_keys_only(
    console_database: str, alice_row: store.KeyRow, bob_row: store.KeyRow
) -> None:
    assert transaction(console_database, "alice", store.list_keys) == [alice_row]
    assert transaction(console_database, "bob", store.list_keys) == [bob_row]
    stolen = transaction(console_database, "bob", lambda c: store.revoke_key(c, alice_row.id))
    absent = transaction(console_database, "bob", lambda c: store.revoke_key(c, uuid4()))
    assert stolen is absent is None
    assert transaction(console_database, "alice", store.list_keys) == [alice_row]


def test_nobody_issues_a_key_in_the_name_of_another(console_database: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        transaction(console_database, "bob", lambda c: store.issue_key(c, ALICE, DIGEST))
    with psycopg.connect(console_database) as conn:  # nor blindly, without reading it back
        conn.execute("SELECT set_config('app.subject', 'bob', true)")
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
            conn.execute(
                "INSERT INTO application_key"
                " (owner, name, scopes, max_label, expires_at, digest)"
                " VALUES ('alice', 'n', '{chat}', 0, now() + interval '1 day', %s)",
                [DIGEST],
            )


NOBODY = [
    None,
    "",
    "ALICE",
    "alice ",
    "%",
    "' OR true --",
    "\\x61",
    "61",  # half a digest
]


@pytest.mark.parametrize("role", ["gateway_database", "console_database", "owner_database"])
@pytest.mark.parametrize("setting", ["app.subject", "app.key_digest"])
@pytest.mark.usefixtures("alice_row", "bob_row")
def test_no_key_without_a_subject(
    request: pytest.FixtureRequest, role: str, setting: str
) -> None:
    with psycopg.connect(request.getfixturevalue(role)) as conn:
        for value in NOBODY:
            with conn.transaction():
                if value is not None:
                    conn.execute("SELECT set_config(%s, %s, true)", [setting, value])
                assert conn.execute("SELECT FROM application_key").rowcount == 0, value


def test_a_connection_forgets_its_subject_at_commit(
    console_database: str, alice_row: store.KeyRow
) -> None:
    async def read_twice(conn: AsyncConnection) -> tuple[list[store.KeyRow], ...]:
        during = await store.list_keys(conn)
        await conn.commit()
        return during, await store.list_keys(conn)

    assert transaction(console_database, "alice", read_twice) == ([alice_row], [])


def test_a_transaction_acts_with_the_rights_of_the_caller_and_the_label_of_the_key(
    gateway_database: str,
) -> None:
    async def settings(conn: AsyncConnection) -> tuple[object, ...] | None:
        cur = await conn.execute(
            "SELECT current_subject(), app_clearance(), app_groups(),"
            " current_setting('app.groups')"
        )
        return await cur.fetchone()

    caller = replace(principal("alice"), groups=('/equipes/a"', "/b, c"))
    keyed = replace(caller, key=KeyTerms("k", frozenset(), (), 1))

    async def run() -> list[tuple[object, ...] | None]:
        async with await AsyncConnection.connect(gateway_database) as conn:
            found = []
            for one in (caller, keyed):
                await store.act_as(conn, one)
                found.append(await settings(conn))
            return found

    groups = ['/equipes/a"', "/b, c"]
    text = json.dumps(groups)
    assert asyncio.run(run()) == [("alice", 2, groups, text), ("alice", 1, groups, text)]


FORBIDDEN = [
    pytest.param("console_database", "DELETE FROM application_key", id="delete a key"),
    pytest.param("console_database", "TRUNCATE application_key", id="truncate"),
    pytest.param(
        "console_database", "UPDATE application_key SET scopes = '{chat}'", id="scopes"
    ),
    pytest.param("console_database", "UPDATE application_key SET max_label = 9", id="label"),
    pytest.param(
        "console_database", "UPDATE application_key SET expires_at = 'infinity'", id="life"
    ),
    pytest.param("console_database", "UPDATE application_key SET owner = 'bob'", id="owner"),
    pytest.param("console_database", "DELETE FROM revocation", id="forget a revocation"),
    pytest.param(
        "console_database", "ALTER TABLE application_key DISABLE ROW LEVEL SECURITY", id="open"
    ),
    pytest.param(
        "gateway_database",
        "UPDATE application_key SET revoked_at = now()",
        id="gateway: revoke",
    ),
    pytest.param(
        "gateway_database",
        "INSERT INTO revocation VALUES ('key', 'x')",
        id="gateway: write revocations",
    ),
    pytest.param("gateway_database", "SELECT FROM console_session", id="gateway: sessions"),
    pytest.param("gateway_database", "UPDATE person SET clearance = 9", id="gateway: people"),
    pytest.param("worker_database", "SELECT FROM application_key", id="worker: keys"),
    pytest.param("worker_database", "SELECT FROM console_session", id="worker: sessions"),
    pytest.param("worker_database", "SELECT FROM person", id="worker: people"),
]


@pytest.mark.parametrize(("role", "statement"), FORBIDDEN)
@pytest.mark.usefixtures("alice_row")
def test_a_process_may_not(
    request: pytest.FixtureRequest, role: str, statement: LiteralString
) -> None:
    with psycopg.connect(request.getfixturevalue(role)) as conn:
        conn.execute("SELECT set_config('app.subject', 'alice', true)")
        with pytest.raises(
            errors.InsufficientPrivilege, match=r"permission denied|must be owner"
        ):
            conn.execute(statement)


@pytest.mark.parametrize(
    ("column", "value", "error"),
    [
        pytest.param("owner", "", errors.CheckViolation, id="nobody's key"),
        pytest.param("name", "", errors.CheckViolation, id="no name"),
        pytest.param("name", "x" * 101, errors.CheckViolation, id="long name"),
        pytest.param("scopes", [], errors.CheckViolation, id="no scope"),
        pytest.param("scopes", [None], errors.CheckViolation, id="empty scope"),
        pytest.param("models", [None], errors.CheckViolation, id="empty model"),
        pytest.param("max_label", 10, errors.CheckViolation, id="label above the scale"),
        pytest.param("max_label", None, errors.NotNullViolation, id="no label"),
        pytest.param("expires_at", PAST, errors.CheckViolation, id="in the past"),
        pytest.param("expires_at", None, errors.NotNullViolation, id="no end"),
        pytest.param("digest", b"a" * 31, errors.CheckViolation, id="short digest"),
        pytest.param("digest", OTHER_DIGEST, errors.UniqueViolation, id="key of another"),
    ],
)
@pytest.mark.usefixtures("bob_row")
def test_the_table_of_keys_refuses_even_a_superuser(
    server: str, console_database: str, column: str, value: object, error: type[Exception]
) -> None:
    row = {
        "owner": "o", "name": "l", "scopes": ["chat"], "models": [], "max_label": 0,
        "expires_at": END, "digest": DIGEST,
    }  # fmt: skip
    row[column] = value
    superuser = make_conninfo(server, dbname=conninfo_to_dict(console_database)["dbname"])
    with psycopg.connect(superuser) as conn, pytest.raises(error):
        conn.execute(
            """
            INSERT INTO application_key
                (owner, name, scopes, models, max_label, expires_at, digest)
            VALUES (%(owner)s, %(name)s, %(scopes)s, %(models)s, %(max_label)s,
                    %(expires_at)s, %(digest)s)
            """,
            row,
        )


PERSON = store.PersonRow("alice", "alice", ["utilisateur"], ["/equipes/a"], 2, enabled=True)


def test_the_gateway_believes_the_directory_for_a_minute(
    console_database: str, gateway_database: str, server: str
) -> None:
    transaction(console_database, None, lambda c: store.put_person(c, PERSON))

    def find(subject: str) -> store.PersonRow | None:
        return transaction(
            gateway_database, None, lambda c: store.find_person(c, subject, seconds=60)
        )

    assert find("alice") == PERSON
    assert find("bob") is None
    superuser = make_conninfo(server, dbname=conninfo_to_dict(console_database)["dbname"])
    with psycopg.connect(superuser) as conn:
        conn.execute("UPDATE person SET checked_at = now() - interval '61 seconds'")
    assert find("alice") is None
    poorer = replace(PERSON, clearance=0, enabled=False)
    transaction(console_database, None, lambda c: store.put_person(c, poorer))
    assert find("alice") == poorer
    assert transaction(console_database, None, store.list_people) == [poorer]


def test_the_gateway_sees_nobody_whose_key_it_does_not_hold(
    console_database: str, gateway_database: str
) -> None:
    transaction(console_database, None, lambda c: store.put_person(c, PERSON))
    with psycopg.connect(gateway_database) as conn:
        assert conn.execute("SELECT FROM person").rowcount == 0


def test_a_revocation_moves_forward_only(console_database: str) -> None:
    async def twice(conn: AsyncConnection) -> list[datetime]:
        found = []
        for _ in range(2):
            await store.revoke(conn, "subject", ["alice", "bob"])
            rows = await store.recent_revocations(conn, seconds=60)
            assert {row.name for row in rows} == {"alice", "bob"}
            found.append(min(row.at for row in rows))
        await conn.execute("UPDATE revocation SET at = now() - interval '1 hour'")
        found.append(min(r.at for r in await store.recent_revocations(conn, seconds=60)))
        return found

    first, second, third = transaction(console_database, None, twice)
    assert first < second == third


@pytest.mark.parametrize(
    ("kind", "name"),
    [pytest.param("role", "x", id="kind"), pytest.param("session", "", id="name")],
)
def test_a_revocation_of_nothing_is_refused(
    console_database: str, kind: str, name: str
) -> None:
    with pytest.raises(errors.CheckViolation):
        transaction(console_database, None, lambda c: store.revoke(c, kind, [name]))


SESSION = store.SessionRow(
    id=b"i" * 32,
    sid="sid",
    subject="alice",
    fresh_until=END,
    created_at=datetime.now(UTC),
    ends_at=END,
    sealed=b"s" * 40,
)


def test_a_session_is_found_until_it_ends(console_database: str) -> None:
    over = replace(SESSION, id=b"o" * 32, created_at=PAST, ends_at=PAST + timedelta(hours=1))

    async def work(conn: AsyncConnection) -> None:
        await store.open_session(conn, SESSION)
        await store.open_session(conn, over)
        assert await store.find_session(conn, SESSION.id) == SESSION
        assert await store.find_session(conn, over.id) is None
        assert await store.lock_session(conn, over.id, wait=True) is None
        assert await store.sweep_sessions(conn) == 1
        renewed = replace(SESSION, sealed=b"t" * 40, sid="new")
        await store.renew_session(conn, renewed)
        assert await store.find_session(conn, SESSION.id) == renewed
        assert await store.close_session(conn, SESSION.id) == renewed
        assert await store.close_session(conn, SESSION.id) is None

    transaction(console_database, None, work)


def test_a_logout_closes_the_sessions_it_names(console_database: str) -> None:
    async def work(conn: AsyncConnection) -> None:
        for number, (sid, subject) in enumerate(
            [("a", "alice"), ("b", "alice"), ("c", "bob"), ("d", "bob")]
        ):
            row = replace(SESSION, id=bytes([number]) * 32, sid=sid, subject=subject)
            await store.open_session(conn, row)
        assert await store.close_sessions_of(conn, sid="a", subject="bob") == 1
        assert await store.close_sessions_of(conn, sid="", subject="bob") == 2
        assert await store.close_sessions_of(conn, sid="", subject="") == 0
        assert await store.find_session(conn, bytes([1]) * 32) is not None

    transaction(console_database, None, work)


def test_a_session_that_another_worker_holds_is_not_waited_for_unless_asked(
    console_database: str,
) -> None:
    async def work() -> None:
        async with (
            await AsyncConnection.connect(console_database) as one,
            await AsyncConnection.connect(console_database) as two,
        ):
            await store.open_session(one, SESSION)
            await one.commit()
            assert await store.lock_session(one, SESSION.id, wait=True) == SESSION
            assert await store.lock_session(two, SESSION.id, wait=False) is None
            waiting = asyncio.create_task(store.lock_session(two, SESSION.id, wait=True))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            await one.commit()
            assert await waiting == SESSION

    asyncio.run(work())


def test_one_pass_at_a_time_holds_the_lock(console_database: str) -> None:
    async def work() -> None:
        async with (
            await AsyncConnection.connect(console_database) as one,
            await AsyncConnection.connect(console_database) as two,
        ):
            assert await store.alone(one, 1)
            assert not await store.alone(two, 1)
            await one.rollback()
            assert await store.alone(two, 1)

    asyncio.run(work())
