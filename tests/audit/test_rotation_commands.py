import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.audit import volume
from appliance.audit.commands import app
from appliance.audit.key import parse_keys
from appliance.identity import operator
from appliance.settings import RecorderSettings
from tests.recording import running, settings_file


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "changées par camille"), (("--language", "en"), "changed by camille")],
)
def test_a_named_person_changes_the_keys(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(operator, "here", lambda: "camille")
    file = str(settings_file(recorder_settings))
    argv = ["rotate-key", "--settings", file, "--reason", "r"]
    done = CliRunner().invoke(app, [*argv, *words])
    assert done.exit_code == 0
    assert said in done.output
    found = json.loads(CliRunner().invoke(app, [*argv, "--json"]).output)
    path: Path = recorder_settings.directory / volume.VERIFIER_KEY
    assert parse_keys(found["keys"]) == parse_keys(path.read_text())
    assert found["size"] == 2
    with running(recorder_settings):
        pass
