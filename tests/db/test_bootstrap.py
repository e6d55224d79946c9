import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from appliance.db.bootstrap import INDEXER, OPENER, OWNER, READER, READERS, WORKER, bootstrap


def test_a_second_run_changes_nothing(server: str, owner_database: str) -> None:
    before = roles(server)
    bootstrap(server, str(conninfo_to_dict(owner_database)["dbname"]))
    assert roles(server) == before


def roles(server: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server) as conn:
        return conn.execute(
            """
            SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,
                   ARRAY(SELECT m.roleid::regrole::text FROM pg_auth_members m
                         WHERE m.member = r.oid)
            FROM pg_roles r WHERE rolname LIKE 'casemate%' ORDER BY 1
            """
        ).fetchall()


@pytest.mark.usefixtures("migrated")
def test_process_roles_may_log_in_and_nothing_more(server: str) -> None:
    plain = (False, False, False, False)
    assert roles(server) == [
        ("casemate_console", True, *plain, [READER]),
        ("casemate_gateway", True, *plain, [READER]),
        (INDEXER, True, *plain, []),
        (OPENER, True, *plain, []),
        (OWNER, True, *plain, []),
        (READER, False, *plain, []),
        (WORKER, True, *plain, []),
    ]


@pytest.mark.parametrize("role", [*READERS, WORKER, INDEXER, OPENER])
def test_a_process_makes_no_table(owner_database: str, role: str) -> None:
    with (
        psycopg.connect(make_conninfo(owner_database, user=role)) as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute("CREATE TABLE own (id int)")
