"""Rows of lists: one waits at a time; each role writes its own part."""

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo

from appliance.rag.elimination import store
from tests.rag.library import transaction

LINES = """'[{"month": "2025-01", "first": 1, "end": 3, "count": 2,
  "oldest": "2025-01-02T00:00:00Z", "newest": "2025-01-03T00:00:00Z"}]'"""
PROPOSE = f"INSERT INTO elimination (months, lines) VALUES (12, {LINES}) RETURNING id"  # noqa: S608


def propose(database: str) -> int:
    with psycopg.connect(database) as conn:
        (number,) = conn.execute(PROPOSE.encode()).fetchone() or (0,)
    return int(number)


def test_a_list_is_read_back_and_a_visa_is_noted_once(
    worker_database: str, console_database: str
) -> None:
    number = propose(worker_database)
    row = transaction(console_database, None, lambda c: store.find_elimination(c, number))
    assert row
    assert (row.proposal.first, row.proposal.end, row.proposal.count) == (1, 3, 2)
    assert row.proposal.newest.isoformat() == "2025-01-03T00:00:00+00:00"
    for noted in (True, False):
        assert noted == transaction(
            console_database, None, lambda c: store.note_visa(c, number, 40)
        )
    transaction(worker_database, None, lambda c: store.close(c, number))
    assert transaction(worker_database, None, store.find_open) is None
    assert transaction(console_database, None, lambda c: store.find_elimination(c, 99)) is None


def test_one_list_waits_at_a_time(worker_database: str) -> None:
    propose(worker_database)
    with pytest.raises(errors.UniqueViolation):
        propose(worker_database)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("worker", "UPDATE elimination SET visa = 1"),
        ("worker", "DELETE FROM elimination"),
        ("console", PROPOSE),
        ("console", "UPDATE elimination SET erased_at = now()"),
        ("console", "UPDATE elimination SET lines = '[1]'"),
        ("gateway", "SELECT id FROM elimination"),
    ],
)
def test_each_role_does_its_own_part(worker_database: str, role: str, statement: str) -> None:
    propose(worker_database)
    database = make_conninfo(worker_database, user=f"casemate_{role}")
    with psycopg.connect(database) as conn, pytest.raises(errors.InsufficientPrivilege):
        conn.execute(statement.encode())


def test_nothing_is_closed_without_a_visa(worker_database: str) -> None:
    number = propose(worker_database)
    with pytest.raises(errors.CheckViolation):
        transaction(worker_database, None, lambda conn: store.close(conn, number))
