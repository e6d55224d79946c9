import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.epoch_commands import app
from appliance.audit.publisher import CHECKPOINT, LAST_SIGNED
from appliance.identity import operator
from appliance.settings import RecorderSettings
from tests.audit.parts import opened
from tests.recording import intent, running, settings_file


@pytest.fixture
def file(recorder_settings: RecorderSettings) -> Path:
    """Return the settings of a log that lost its last record; the checkpoint stands beside."""
    with opened(recorder_settings) as parts:
        parts.append(intent(1), intent(2))
        parts.publish()
    kept = recorder_settings.directory.parent
    (kept / "2.note").write_bytes((recorder_settings.directory / CHECKPOINT).read_bytes())
    ahead = Checkpoint(recorder_settings.origin, 5, bytes(32))
    (recorder_settings.last_signed / LAST_SIGNED).write_text(ahead.text())
    return settings_file(recorder_settings)


def run(person: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    monkeypatch.setattr(operator, "here", lambda: person)
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    ("language", "said"),
    [("fr", "Lisez ce code à une autre personne"), ("en", "Read this code to another person")],
)
def test_one_proposes_another_approves_and_the_recorder_starts(
    file: Path, recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch,
    language: str, said: str,
) -> None:  # fmt: skip
    note = recorder_settings.directory.parent / "2.note"
    words = ["--settings", str(file), "--language", language]
    shown = run(
        "camille", monkeypatch, "propose", *words, "--reason", "r", "--known", str(note)
    )
    assert said in shown
    assert "camille" in shown
    code = shown.split("--code ")[1].strip()
    shown = run("dominique", monkeypatch, "approve", *words, "--code", code)
    assert shown.count(f"{recorder_settings.origin}/e2+") == 2  # both keys
    with running(recorder_settings):
        pass


def test_programs_are_answered_in_json(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--settings", str(file), "--json"]
    stated = json.loads(run("camille", monkeypatch, "propose", *words, "--reason", "r"))
    assert (stated["kept"], stated["signed"], stated["known_from"]) == (2, 2, LAST_SIGNED)
    begun = json.loads(run("dom", monkeypatch, "approve", *words, "--code", stated["code"]))
    assert begun["origin"].endswith("/e2")
    assert (begun["by"], begun["lost"]) == ("dom", "événements 2 à 4")
