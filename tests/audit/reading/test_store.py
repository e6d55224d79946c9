"""Row security: the reader's role sees the one record that its transaction names."""

import asyncio

import psycopg
import pytest
from psycopg import AsyncConnection, errors
from psycopg.conninfo import make_conninfo

from appliance.audit.reading.store import find_sealed

ROWS = """
    INSERT INTO content (request, record, owner, key, model, label, outcome, question, answer)
    VALUES ('request-number-one', 1, 'ana', '', 'm', 1, '', 'q1', 'a1'),
           ('request-number-two', 2, 'bob', '', 'm', 2, '', 'q2', 'a2')
"""


@pytest.fixture
def opener(gateway_database: str) -> str:
    with psycopg.connect(gateway_database) as conn:
        conn.execute(ROWS)
    return make_conninfo(gateway_database, user="casemate_opener")


def test_the_named_record_is_found_and_no_other(opener: str) -> None:
    async def main() -> None:
        async with await AsyncConnection.connect(opener) as conn:
            found = await find_sealed(conn, 2)
            assert found
            assert (found.question, found.answer, found.label) == (b"q2", b"a2", 2)
            rows = await (await conn.execute("SELECT record FROM content")).fetchall()
            assert rows == [(2,)]
            assert await find_sealed(conn, 3) is None

    asyncio.run(main())


@pytest.mark.parametrize("record", ["", "x", "1 OR 1=1", None])
def test_without_a_record_nothing_is_seen(opener: str, record: str | None) -> None:
    with psycopg.connect(opener) as conn:
        if record is not None:
            conn.execute("SELECT set_config('app.record', %s, true)", [record])
        assert conn.execute("SELECT record FROM content").fetchall() == []


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM content", "UPDATE content SET label = 0", "SELECT owner FROM content", ROWS],
)
def test_the_role_may_do_nothing_else(opener: str, statement: str) -> None:
    with psycopg.connect(opener) as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute(statement.encode())
