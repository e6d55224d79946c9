"""Every SQL statement of the site domain: what the supervisor asks of PostgreSQL."""

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from appliance.site import scram


def make_identity_database(server: str, name: str, password: str) -> list[str]:
    """Make the role and the database of Keycloak where they are missing; return the changes.

    The password itself is not sent: a statement that fails could be logged.

    Args:
        server: Connection string of a superuser.
        name: Of both.
        password: With which Keycloak connects, by TCP and scram.
    """
    role, changes = sql.Identifier(name), list[str]()
    with psycopg.connect(server, autocommit=True) as conn:
        found = conn.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [name])
        if (row := found.fetchone()) is None:
            conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            changes.append(f"role {name}")
        if row is None or not scram.matches(row[0], password):
            made = conn.pgconn.encrypt_password(
                password.encode(), name.encode(), b"scram-sha-256"
            )
            verifier = sql.Literal(made.decode())
            conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, verifier))
            changes.append(f"password of {name}")
        if not conn.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount:
            conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
            changes.append(f"database {name}")
    return changes


def version(server: str) -> str:
    """Return what the server says that it is."""
    with psycopg.connect(server) as conn:
        row = conn.execute("SELECT version()").fetchone()
    assert row is not None
    return str(row[0])


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the documents of the site stand."""

    waiting: int  # not yet found by their words
    searchable: int  # found by their words; some also by their vectors
    ready: int  # of which all is done
    failed: int


def progress(database: str) -> Progress:
    """Count the documents by what is done with them, as the worker's role."""
    with psycopg.connect(database) as conn, conn.cursor(row_factory=class_row(Progress)) as cur:
        row = cur.execute(
            """
            SELECT count(*) FILTER (WHERE progress IN ('waiting', 'parsing')) AS waiting,
                   count(*) FILTER (WHERE progress IN ('embedding', 'ready')) AS searchable,
                   count(*) FILTER (WHERE progress = 'ready') AS ready,
                   count(*) FILTER (WHERE progress = 'failed') AS failed
              FROM document
            """
        ).fetchone()
    assert row is not None
    return row
