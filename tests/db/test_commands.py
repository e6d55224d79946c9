import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from appliance.db.bootstrap import OWNER, bootstrap
from appliance.db.commands import app
from appliance.db.migrate import shipped


@pytest.fixture
def empty(server: str) -> str:
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS casemate_bare WITH (FORCE)")
    bootstrap(server, "casemate_bare")
    return make_conninfo(server, dbname="casemate_bare", user=OWNER)


def test_each_migration_is_named_once_and_a_second_run_names_none(empty: str) -> None:
    first = CliRunner().invoke(app, ["migrate", "--database", empty])
    second = CliRunner().invoke(app, ["migrate", "--database", empty])

    assert first.exit_code == 0, first.output
    assert first.output.split() == list(shipped())
    assert second.exit_code == 0
    assert second.output == ""
