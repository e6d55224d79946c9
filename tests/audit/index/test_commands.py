import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.audit.index.commands import AwayError, app
from appliance.settings import RecorderSettings
from tests.audit.index.test_indexer import edit, fill
from tests.recording import running


@pytest.fixture
def settings(
    tmp_path: Path, recorder_settings: RecorderSettings, indexer_database: str
) -> Path:
    path = tmp_path / "indexer.toml"
    path.write_text(
        f'database = "{indexer_database}"\nrecorder = "{recorder_settings.socket}"\n'
    )
    return path


def test_the_copy_is_made_compared_and_found_edited_on_the_command_line(
    settings: Path, recorder_settings: RecorderSettings, server: str
) -> None:
    run = CliRunner().invoke
    with running(recorder_settings):
        size = fill(recorder_settings, 5)
        made = run(app, ["rebuild", "--settings", str(settings), "--json"])
    compare = ["reconcile", "--settings", str(settings), "--log"]
    compare.append(str(recorder_settings.directory))
    same = run(app, [*compare, "--language", "en"])
    edit(server, "UPDATE audit.event SET actor = 'x' WHERE idx = 2")
    wrong, shown = run(app, compare), run(app, [*compare, "--json"])

    assert json.loads(made.output) == {"events": size}
    assert same.exit_code == 0
    assert f"as the log: {size} events" in same.output
    assert wrong.exit_code == 1
    assert "Première différence : événement 2 (actor)" in wrong.output
    assert json.loads(shown.output)["record"] == 2


def test_a_database_that_is_away_is_said(
    tmp_path: Path, recorder_settings: RecorderSettings
) -> None:
    path = tmp_path / "indexer.toml"
    path.write_text(f'database = "host={tmp_path}"\nrecorder = "{recorder_settings.socket}"\n')
    with running(recorder_settings):
        done = CliRunner().invoke(app, ["rebuild", "--settings", str(path)])
    assert isinstance(done.exception, AwayError)
