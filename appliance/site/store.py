"""Every SQL statement of the site domain: what the supervisor asks of PostgreSQL."""

import psycopg
from psycopg import sql


def make_identity_database(server: str, name: str, password: str) -> None:
    """Make the role and the database of Keycloak where they are missing; set the password.

    Args:
        server: Connection string of a superuser.
        name: Of both.
        password: With which Keycloak connects, by TCP and scram.
    """
    role = sql.Identifier(name)
    with psycopg.connect(server, autocommit=True) as conn:
        if not conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).rowcount:
            conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        secret = sql.Literal(password)
        conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, secret))
        if not conn.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount:
            conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))


def version(server: str) -> str:
    """Return what the server says that it is."""
    with psycopg.connect(server) as conn:
        row = conn.execute("SELECT version()").fetchone()
    assert row is not None
    return str(row[0])
