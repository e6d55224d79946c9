import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.audit import prune_commands
from appliance.audit.commands import app
from appliance.audit.pruning import PruneError
from appliance.settings import RecorderSettings
from tests.audit.test_pruning import HALF, NOW, built, settings
from tests.recording import settings_file

__all__ = ["built", "settings"]  # fixtures of these tests


@pytest.fixture
def file(settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(prune_commands, "now", lambda: NOW)
    return settings_file(settings)


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words))
    if isinstance(done.exception, PruneError):
        raise done.exception
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("language", "said"), [("fr", "0 à 511 éliminés"), ("en", "0 to 511 pruned")]
)
def test_what_is_older_than_a_day_is_pruned(file: Path, language: str, said: str) -> None:
    words = ["--settings", str(file), "--language", language]
    code, text = run("prune", *words, "--basis", "durée", "--before", "2027-01-01")
    assert (code, said in text) == (0, True)
    with pytest.raises(PruneError, match="nothing"):
        run("prune", *words, "--basis", "durée", "--before", "2027-01-01")
    assert run("prune", *words, "--basis", "", "--finish", "--json") == (0, '{"keys": 0}\n')


def test_without_a_day_the_site_says_how_long(file: Path) -> None:
    with pytest.raises(PruneError, match="nothing"):  # it keeps twelve months
        run("prune", "--settings", str(file), "--basis", "x")
    file.write_text(file.read_text().replace("log_months = 12", "log_months = 6"))
    code, text = run("prune", "--settings", str(file), "--basis", "x", "--json")
    assert (code, json.loads(text)["last"]) == (0, 511)


def test_nothing_is_pruned_below_the_floor(file: Path) -> None:
    with pytest.raises(PruneError, match="6 months"):
        run("prune", "--settings", str(file), "--basis", "x", "--before", "2027-07-01")


@pytest.mark.parametrize(("language", "alarm"), [("fr", "ALERTE"), ("en", "ALERT:")])
def test_above_the_ceiling_the_command_says_so_and_ends_with_4(
    file: Path, language: str, alarm: str
) -> None:
    words = ["retention", "--settings", str(file), "--language", language]
    code, text = run(*words)
    assert (code, alarm in text) == (0, False)
    file.write_text(file.read_text().replace("ceiling_months = 60", "ceiling_months = 7"))
    code, text = run(*words)
    assert (code, alarm in text) == (4, True)
    assert json.loads(run(*words, "--json")[1])["over"] is True
    assert HALF < NOW
