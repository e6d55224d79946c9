"""What exists before the first migration: roles, database, extension. Run as superuser.

On a site the playbook does the same. Process roles own nothing and bypass nothing; the group
role `casemate_reader` is what the need-to-know policies name.
"""

import psycopg
from psycopg import sql

OWNER = "casemate_owner"
READER = "casemate_reader"
READERS = ("casemate_gateway", "casemate_console")
WORKER = "casemate_worker"
INDEXER = "casemate_indexer"
OPENER = "casemate_opener"  # the reader of sealed contents


def bootstrap(server: str, database: str) -> list[str]:
    """Make roles and database where they are missing; return what was made.

    Args:
        server: Connection string of a superuser.
        database: Name of the database.
    """
    changes: list[str] = []
    with psycopg.connect(server, autocommit=True) as conn:
        for role in (OWNER, *READERS, WORKER, INDEXER, OPENER):
            changes += _create_role(conn, role, login=True)
        changes += _create_role(conn, READER, login=False)
        for role in READERS:
            conn.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(READER), sql.Identifier(role))
            )
        found = conn.execute("SELECT FROM pg_database WHERE datname = %s", [database])
        if not found.rowcount:
            names = sql.Identifier(database), sql.Identifier(OWNER)
            made = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'")
            conn.execute(made.format(*names))
            changes.append(f"database {database}")
    with psycopg.connect(server, dbname=database, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
        conn.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    return changes


def _create_role(conn: psycopg.Connection, role: str, *, login: bool) -> list[str]:
    if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
        return []
    may = sql.SQL("LOGIN" if login else "NOLOGIN")
    conn.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role), may))
    return [f"role {role}"]
