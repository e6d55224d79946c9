"""PostgreSQL of the wheel, started as the demo starts it."""

import asyncio
import os
import stat
from pathlib import Path

import psycopg
import pytest

from appliance.site import postgres, programs
from appliance.site.folder import choose_ports, prepare
from appliance.site.processes import Layout
from appliance.site.store import make_identity_database, progress, version
from appliance.site.supervisor import Supervisor

pytestmark = pytest.mark.db


@pytest.fixture
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    folder = prepare(tmp_path_factory.mktemp("s"))
    return Layout(folder, choose_ports(folder, 0), uid=0, gateways=1, model=None, vectors=False)


async def _run(layout: Layout) -> None:
    folder = layout.folder
    supervisor = Supervisor(folder.logs, {"PATH": os.environ["PATH"]})
    try:
        postgres.prepare(folder.postgres, folder.run / "pg")
        assert not postgres.exists(folder.postgres)
        await supervisor.run(programs.init_cluster(layout))
        postgres.configure(folder.postgres)
        await supervisor.start(programs.database(layout))
        await asyncio.to_thread(_look, layout)
    finally:
        await supervisor.stop()


def _look(layout: Layout) -> None:
    server = layout.database(postgres.SUPERUSER, "postgres")
    assert version(server).startswith("PostgreSQL 18")
    make_identity_database(server, "keycloak", "first")
    make_identity_database(server, "keycloak", "second")
    tcp = f"host=127.0.0.1 port={layout.ports['postgres']} connect_timeout=5"
    with psycopg.connect(f"{tcp} dbname=keycloak user=keycloak password=second") as conn:
        encrypted = conn.execute("SHOW password_encryption").fetchone()
    assert encrypted == ("scram-sha-256",)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"{tcp} dbname=keycloak user=keycloak password=first")
    with pytest.raises(psycopg.OperationalError, match="no pg_hba"):
        psycopg.connect(f"{tcp} dbname=postgres user=postgres")


def test_keycloak_comes_by_tcp_with_its_password_and_nobody_else_does(layout: Layout) -> None:
    asyncio.run(_run(layout))


def test_only_its_user_reads_the_cluster(layout: Layout) -> None:
    postgres.prepare(layout.folder.postgres, layout.folder.run / "pg")

    assert stat.S_IMODE(layout.folder.postgres.stat().st_mode) == 0o700


def test_users_may_go_through_the_folders_above(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    postgres._let_through(closed / "pg")

    assert stat.S_IMODE(closed.stat().st_mode) == 0o701


def test_documents_are_counted_by_what_is_done_with_them(
    worker_database: str,
) -> None:
    found = progress(worker_database)

    assert (found.waiting, found.searchable, found.ready, found.failed) == (0, 0, 0, 0)
