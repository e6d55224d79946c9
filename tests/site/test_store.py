import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from appliance.site.store import Progress, make_identity_database, progress, version
from tests.rag.library import Book, declare, put, transaction

NAME = "keycloak_of_a_test"


def test_the_database_of_identity_is_made_once_and_its_password_set_each_time(
    server: str,
) -> None:
    for password in ("first", "it's second"):
        make_identity_database(server, NAME, password)

    with psycopg.connect(make_conninfo(server, dbname=NAME, user=NAME)) as conn:
        conn.execute("CREATE TABLE mine (n int)")
        owner = conn.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'mine'")
        assert owner.fetchone() == (NAME,)
    with psycopg.connect(server, autocommit=True) as conn:
        found = conn.execute(
            "SELECT rolpassword LIKE 'SCRAM-SHA-256%%', rolsuper FROM pg_authid"
            " WHERE rolname = %s",
            [NAME],
        )
        assert found.fetchone() == (True, False)
        conn.execute("DROP DATABASE keycloak_of_a_test WITH (FORCE)")
        conn.execute("DROP ROLE keycloak_of_a_test")


def test_the_server_says_its_version(server: str) -> None:
    assert version(server).startswith("PostgreSQL ")


def test_documents_are_counted_by_what_is_done_with_them(worker_database: str) -> None:
    async def fill(conn: AsyncConnection) -> None:
        await declare(conn, "rh", 1, rh=True)
        for state in ("waiting", "parsing", "embedding", "ready", "ready"):
            await put(conn, Book("rh", f"Note {state}", ["Un texte."], progress=state))

    transaction(worker_database, None, fill)
    with psycopg.connect(worker_database) as conn:
        conn.execute(
            "UPDATE document SET progress = 'failed', reason = 'broken'"
            " WHERE id = (SELECT min(id) FROM document)"
        )

    assert progress(worker_database) == Progress(waiting=1, searchable=3, ready=2, failed=1)
