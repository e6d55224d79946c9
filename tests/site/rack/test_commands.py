import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.audit.event import Kind
from appliance.settings import RecorderSettings
from appliance.site.rack import commands, people, uses
from appliance.site.rack.commands import access
from appliance.site.rack.oath import STEP, code, logins
from appliance.site.rack.uses import BREAK_GLASS
from tests.trail import facts_of

ROOT = Path(__file__).parents[3]
SECRET = bytes(range(20))
NOW = 1_700_000_000.0
PASSWORD = "aube-7-pignon-vert"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uses, "PATIENCE", 0.1)


@pytest.fixture
def rack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stage a machine with one declared person, a terminal and no recorder."""
    monkeypatch.setattr(commands, "_terminal", lambda: None)
    monkeypatch.setattr(commands, "FACTORS", tmp_path / "factors")
    monkeypatch.setattr(commands, "WAITING", tmp_path)
    monkeypatch.setattr(commands, "RECORDER", tmp_path / "absent")
    monkeypatch.setattr(people, "members", lambda: ["anne"])
    monkeypatch.setattr("secrets.token_bytes", lambda _: SECRET)
    monkeypatch.setattr("time.time", lambda: NOW)

    def set_password(login: str, password: str) -> None:
        (tmp_path / f"{login}.password").write_text(password)

    def seal(waiting: Path) -> str:
        set_password(BREAK_GLASS, PASSWORD)
        assert waiting == tmp_path
        return PASSWORD

    monkeypatch.setattr(people, "set_password", set_password)
    monkeypatch.setattr(people, "seal", seal)
    return tmp_path


def enrol(words: Sequence[str], *options: str, login: str = "anne") -> "tuple[int, str]":
    result = CliRunner().invoke(
        access, ["enrol", login, *options], input="".join(f"{word}\n" for word in words)
    )
    return result.exit_code, result.output


def told(folder: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def test_a_person_who_types_the_code_of_the_moment_is_enrolled_and_it_is_recorded(
    rack: Path,
) -> None:
    status, output = enrol([PASSWORD, PASSWORD, code(SECRET, int(NOW) // STEP)])
    assert status == 0
    assert "otpauth://totp/Casemate:anne?secret=" in output
    assert PASSWORD not in output
    assert logins((rack / "factors").read_text()) == ["anne"]
    assert (rack / "anne.password").read_text() == PASSWORD
    (event,) = told(rack)
    assert event["data"] == {"user": "anne", "action": "enrol"}
    assert SECRET.hex() not in json.dumps(event)


def test_who_cannot_show_a_code_changes_nothing(rack: Path) -> None:
    status, _ = enrol([PASSWORD, PASSWORD, "000000"])
    assert status == 1
    assert not (rack / "factors").exists()
    assert not (rack / "anne.password").exists()
    assert told(rack) == []


def test_a_list_on_paper_serves_where_telephones_are_banned(rack: Path) -> None:
    status, output = enrol([PASSWORD, PASSWORD, code(SECRET, 0)], "--paper")
    assert status == 0
    assert all(code(SECRET, counter) in output for counter in range(60))
    assert (rack / "factors").read_text().startswith("HOTP/E/6 anne - ")
    assert enrol([PASSWORD, PASSWORD, code(SECRET, int(NOW) // STEP)], "--paper")[0] == 1


@pytest.mark.usefixtures("rack")
def test_nobody_else_is_enrolled() -> None:
    assert enrol([PASSWORD, PASSWORD, "1"], login="boris")[0] == 1


def test_the_seal_is_shown_once_and_recorded_without_it(rack: Path) -> None:
    result = CliRunner().invoke(access, ["seal"])
    assert result.exit_code == 0
    assert result.output.count(PASSWORD) == 1
    (event,) = told(rack)
    assert event["data"] == {"user": BREAK_GLASS, "action": "seal"}
    assert PASSWORD not in json.dumps(event)


def test_secrets_want_a_terminal() -> None:
    for words in (["enrol", "anne"], ["seal"]):
        argv = [sys.executable, "-m", "appliance.cli", "access", *words]
        done = subprocess.run(
            argv, cwd=ROOT, input="", capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert "terminal" in done.stderr


def use(folder: Path, **session: str) -> tuple[int, str]:
    words = ["record", "--recorder", str(folder / "absent"), "--waiting", str(folder)]
    result = CliRunner().invoke(access, words, env={"PAM_TYPE": "open_session", **session})
    return result.exit_code, result.stdout


def test_pam_hears_yes_when_the_use_is_kept_and_nobody_says_a_word(tmp_path: Path) -> None:
    assert use(tmp_path, PAM_USER="anne", PAM_SERVICE="login") == (0, "")
    assert [event["actor"] for event in told(tmp_path)] == ["local:anne"]
    assert use(tmp_path, PAM_USER="anne", PAM_TYPE="close_session")[0] == 0
    assert len(told(tmp_path)) == 1


def test_a_login_that_cannot_be_recorded_is_refused_the_last_resort_is_not(
    tmp_path: Path,
) -> None:
    absent = tmp_path / "no-folder"
    assert use(absent, PAM_USER="anne", PAM_SERVICE="login")[0] == 1
    assert use(absent, PAM_USER=BREAK_GLASS, PAM_SERVICE="login")[0] == 0


def test_what_still_waits_is_said_by_the_status_of_the_timer(tmp_path: Path) -> None:
    def flush() -> int:
        words = ["flush", "--recorder", str(tmp_path / "absent"), "--waiting", str(tmp_path)]
        return CliRunner().invoke(access, words).exit_code

    assert flush() == 0
    use(tmp_path, PAM_USER="anne", PAM_SERVICE="login")
    assert flush() == 1


def test_the_state_of_the_rack_is_said_in_words_and_in_json(
    rack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol([PASSWORD, PASSWORD, code(SECRET, int(NOW) // STEP)])
    shadow = rack / "shadow"
    shadow.write_text(f"anne:$y$x:1:\n{BREAK_GLASS}:$y$x:1:\n")
    monkeypatch.setattr(commands, "SHADOW", shadow)
    words = ["status", "--waiting", str(rack)]
    text = CliRunner().invoke(access, words).output
    assert "anne : prêt / ready" in text
    assert f"{BREAK_GLASS} : scellé / sealed" in text
    found = json.loads(CliRunner().invoke(access, [*words, "--json"]).output)
    assert found["people"] == [{"login": "anne", "password": True, "factor": True}]
    assert (found["sealed"], found["used"], found["waiting"]) == (True, False, 1)
    (rack / "used").touch()
    assert "à resceller" in CliRunner().invoke(access, words).output


def test_what_the_playbooks_remove_is_said_once(rack: Path) -> None:
    enrol([PASSWORD, PASSWORD, code(SECRET, int(NOW) // STEP)])
    words = ["forget", "anne", "boris", "--factors", str(rack / "factors")]
    assert CliRunner().invoke(access, words).output == "changed\n"
    assert CliRunner().invoke(access, words).output == ""


@pytest.mark.usefixtures("recorder")
def test_what_the_units_and_the_playbooks_tell_is_in_the_log(
    tmp_path: Path, recorder_settings: RecorderSettings
) -> None:
    places = ["--recorder", str(recorder_settings.socket), "--waiting", str(tmp_path)]
    totals = "ok=4,changed=2,failures=0,unreachable=0"
    for words in (["boot", "0123456789abcdef" * 2], ["changed", "site.yml", totals]):
        assert CliRunner().invoke(access, [*words, *places]).exit_code == 0
    boot, change = facts_of(recorder_settings.socket, Kind.SERVICE_BOOT, Kind.CONFIG_CHANGE)
    assert boot.id == f"boot-{'0123456789abcdef' * 2}"
    assert change.data["changed"] == 2


@pytest.mark.usefixtures("recorder")
def test_an_enrolment_and_a_seal_are_in_the_log(
    rack: Path, recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uses, "PATIENCE", 5)
    monkeypatch.setattr(commands, "RECORDER", recorder_settings.socket)
    assert enrol([PASSWORD, PASSWORD, code(SECRET, int(NOW) // STEP)])[0] == 0
    assert CliRunner().invoke(access, ["seal"]).exit_code == 0
    said = [one.data["action"] for one in facts_of(recorder_settings.socket, Kind.ADMIN_USER)]
    assert said == ["enrol", "seal"]
    assert told(rack) == []
