"""The command line of the site, without a stack: what is refused, and how that is said."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from appliance.site import account, commands, keycloak
from appliance.site.account import Account
from appliance.site.commands import site
from appliance.site.folder import Folder
from appliance.site.machine import held

ROOT = Path(__file__).parents[2]


def casemate(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "appliance.cli", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[Path]:
    with held(tmp_path) as holder:
        assert holder is None
        yield tmp_path


def test_a_second_demo_in_the_same_folder_is_refused_in_one_clear_sentence(
    taken: Path,
) -> None:
    refused = casemate("demo", "run", "--dir", str(taken), "--no-vectors")

    assert refused.returncode == 1
    assert "déjà" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert {path.name for path in taken.iterdir()} <= {"lock", ".lock", "demo.lock"}


def test_the_code_of_an_account_is_six_digits(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    people = [Account("rssi", "sacha", "casemate", "secret", "JBSWY3DPEHPK3PXP")]
    folder.accounts.parent.mkdir(parents=True, exist_ok=True)
    folder.accounts.write_bytes(account.write(people))

    told = casemate("demo", "code", "rssi", "--dir", str(tmp_path))
    unknown = casemate("demo", "code", "personne", "--dir", str(tmp_path))

    assert told.returncode == 0, told.stderr
    code, name, *_ = told.stdout.split()
    assert code.isdigit()
    assert len(code) == 6
    assert name.startswith("sacha")
    assert unknown.returncode == 1
    assert "Traceback" not in unknown.stderr


def test_a_site_that_is_not_declared_right_is_refused(tmp_path: Path) -> None:
    (declared := tmp_path / "site.toml").write_text("labels = 3\n")
    (settings := tmp_path / "apply.toml").write_text("nonsense = 1\n")

    refused = casemate("site", "apply", str(declared), "--settings", str(settings))

    assert refused.returncode == 1
    assert refused.stderr.startswith("casemate: ")


def test_secrets_are_named_when_they_are_made_and_never_shown(tmp_path: Path) -> None:
    made = CliRunner().invoke(site, ["secrets", str(tmp_path), "database", "history-key"])
    assert made.stdout == "database\nhistory-key\n"
    assert (tmp_path / "database").read_text() not in made.stdout
    again = CliRunner().invoke(site, ["secrets", str(tmp_path), "database", "--json"])
    assert json.loads(again.stdout) == {"changes": []}
    assert CliRunner().invoke(site, ["secrets", str(tmp_path), "database"]).stdout == ""


def test_databases_are_made_once_and_the_password_is_on_no_line(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keycloak, "DATABASE", "keycloak_of_a_command")
    monkeypatch.setattr(commands, "bootstrap", lambda *_: [])
    (secret := tmp_path / "database").write_text("a-password-of-thirty-two-characters")
    words = ["database", "--server", server, "--password", str(secret)]
    first = CliRunner().invoke(site, words)
    assert first.stdout.splitlines() == [
        "role keycloak_of_a_command",
        "password of keycloak_of_a_command",
        "database keycloak_of_a_command",
    ]
    assert CliRunner().invoke(site, words).stdout == ""
    secret.write_text("another-password-of-32-characters-")
    assert CliRunner().invoke(site, words).stdout == "password of keycloak_of_a_command\n"
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute("DROP DATABASE keycloak_of_a_command")
        conn.execute("DROP ROLE keycloak_of_a_command")
