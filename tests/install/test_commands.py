import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from appliance.cli import app
from appliance.errors import ApplianceError
from appliance.install import commands, installing, rehearse, seal
from appliance.install.phases import PHASES
from appliance.install.rehearsal import Outcome
from appliance.install.rehearse import Wish
from appliance.install.telephone import Fault, code
from appliance.install.work import Work
from tests.bundle.bundles import build
from tests.install.conftest import READY
from tests.install.stage import CANARY, GIVEN, RELEASE, SCRIPT, Stage, task
from tests.install.test_installing import BROKEN, DATA, TOML
from tests.install.test_rehearsal import GOOD

Cli = Callable[..., Result]
# What offline-wheels/site/controller.in brings, by import name; the rest is not on the site's
# controller, whose environment is made before anything else is installed.
CONTROLLER = {
    "annotated_doc", "annotated_types", "cffi", "_cffi_backend", "cryptography", "jinja2",
    "markdown_it", "markupsafe", "mdurl", "msgspec", "packaging", "pydantic", "pydantic_core",
    "pygments", "rich", "shellingham", "typer", "typing_extensions", "typing_inspection",
    "yaml", "_yaml", "click",
}  # fmt: skip


@pytest.fixture
def cli(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run commands on the stage, whose recorder hears all."""
    monkeypatch.setattr(commands, "open_bundle", lambda *_: stage.bundle)
    monkeypatch.setattr(commands, "observe", lambda *_: READY)
    monkeypatch.setattr(installing, "Work", partial(Work, tell=stage.hear))
    (stage.folder / "answers.toml").write_text(TOML)

    def run(*words: str, text: str = "") -> Result:
        rootless = words[0] in {"report", "checklist", "rehearse"}
        here = [] if rootless else ["--root", str(stage.places.root)]
        return CliRunner().invoke(app, [*words, *here], input=text)

    return run


def unattended(stage: Stage) -> tuple[str, ...]:
    return "install", "--medium", "m", "--answers", str(stage.folder / "answers.toml")


def test_install_unattended_asks_nothing_and_says_where_the_report_is(
    stage: Stage, cli: Cli
) -> None:
    done = cli(*unattended(stage), "--json")
    assert done.exit_code == 0
    answer = json.loads(done.stdout)
    assert answer["release"]["release_seq"] == RELEASE.release_seq
    assert answer["changed"] == 4
    assert (Path(answer["report"]) / "report.md.sig").exists()
    assert done.stderr.count("Vous pouvez éteindre ici") == len(PHASES)


def test_a_strict_umask_closes_no_folder_that_services_pass_through(
    stage: Stage, cli: Cli
) -> None:
    before = os.umask(0o077)
    try:
        cli(*unattended(stage))
    finally:
        os.umask(before)
    assert stage.places.settings.stat().st_mode & 0o777 == 0o755
    assert stage.places.reports.parent.stat().st_mode & 0o777 == 0o700


def test_install_speaks_english_when_it_is_told_to(stage: Stage, cli: Cli) -> None:
    done = cli(*unattended(stage), "--language", "en")
    assert done.stderr.count("You may switch off here") == len(PHASES)
    assert "Installation finished" in done.stdout


def test_install_asks_what_only_the_engineer_knows(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "is_pinned", lambda _: False)
    replies = ["0123", *map(str, (GIVEN[name] for name in (
        "site_name", "domain", "time_zone", "profile", "operator")))]  # fmt: skip
    done = cli("install", "--medium", "m", text="\n".join(replies) + "\n")
    assert done.exit_code == 0
    asked = ("Empreinte", "Nom du site", "Nom public", "Fuseau", "Profil", "Votre nom")
    assert all(one in done.stderr for one in asked)


def test_a_failure_ends_with_one_and_the_sentence_to_dictate(stage: Stage, cli: Cli) -> None:
    stage.play({**SCRIPT, DATA: BROKEN})
    monkey = cli(*unattended(stage))
    assert monkey.exit_code == 1
    assert "casemate: Code 06-08-612 321 : l’installation s’est arrêtée" in monkey.stderr


def test_the_exit_code_of_the_bundle_is_that_of_the_command(
    stage: Stage, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    class UntrustedError(ApplianceError):
        exit_code = 4

    def refuse(*_: object) -> None:
        raise UntrustedError("no")

    monkeypatch.setattr(commands, "open_bundle", refuse)
    assert cli(*unattended(stage)).exit_code == 4


def test_the_checklist_is_printed_without_touching_the_machine(stage: Stage, cli: Cli) -> None:
    answers = str(stage.folder / "answers.toml")
    done = cli("checklist", "--inventory", answers)
    assert done.stdout.startswith("# Liste de contrôle de l’installation — Atelier d’essai")
    assert not stage.places.install.exists()
    english = cli("checklist", "--answers", answers, "--language", "en", "--json")
    assert json.loads(english.stdout)["title"] == "Checklist of the installation"


@pytest.mark.parametrize(("name", "first"), [("c.pdf", b"%PDF-"), ("c.md", b"# Liste")])
def test_the_checklist_is_written_as_its_file_is_named(
    stage: Stage, cli: Cli, name: str, first: bytes
) -> None:
    words = ["--inventory", str(stage.folder / "answers.toml"), "--as-of", "2026-11-23"]
    made = []
    for _ in range(2):
        assert cli("checklist", *words, "--out", str(stage.folder / name)).exit_code == 0
        made.append((stage.folder / name).read_bytes())
    assert made[0].startswith(first)
    assert made[0] == made[1]


def test_the_checklist_says_what_the_media_hold(stage: Stage, cli: Cli, tmp_path: Path) -> None:
    medium = tmp_path / "casemate-1.4.0"
    medium.mkdir()
    build(medium)
    answers = str(stage.folder / "answers.toml")
    done = cli("checklist", "--inventory", answers, "--medium", str(medium))
    assert "| Lot | Casemate 1.4.0, livraison n° 7, fabriqué le" in done.stdout
    (medium / "manifest.json").write_text("{}")
    refused = cli("checklist", "--inventory", answers, "--medium", str(medium))
    assert isinstance(refused.exception, ApplianceError)


@pytest.mark.parametrize(("changed", "code"), [((), 0), (("pki : Renew",), 1)])
def test_a_rehearsal_is_0_only_when_one_may_travel(
    stage: Stage, cli: Cli, monkeypatch: pytest.MonkeyPatch, changed: tuple[str, ...], code: int
) -> None:
    found = msgspec.structs.replace(GOOD, changed_again=changed)
    asked = list[Wish]()

    def play(wish: Wish, _: object) -> Outcome:
        asked.append(wish)
        return found

    monkeypatch.setattr(rehearse, "rehearse", play)
    words = ["--inventory", "i.toml", "--medium", "m", "--medium", "n", "--root-fingerprint"]
    done = cli("rehearse", *words, "0123", "--folder", str(stage.folder), "--json")
    assert done.exit_code == code
    assert json.loads(done.stdout)["changed_again"] == [*changed]
    assert (asked[0].media, asked[0].fingerprint) == ((Path("m"), Path("n")), "0123")
    said = cli("rehearse", *words, "0123", "--folder", str(stage.folder), "--language", "en")
    assert ("may travel" in said.stdout) == (code == 0)


def test_a_rehearsal_that_stops_gives_the_status_of_the_installation(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise rehearse.RehearsedError("stopped", 4)

    monkeypatch.setattr(rehearse, "rehearse", stop)
    done = cli("rehearse", "--inventory", "i", "--medium", "m", "--root-fingerprint", "0123")
    assert done.exit_code == 4
    assert "casemate: stopped" in done.stderr


def test_a_dictated_code_is_explained(stage: Stage, cli: Cli) -> None:
    said = code(Fault(PHASES[0], "", "CM-INS-65"))
    done = cli("install", "--explain", said, "--playbooks", str(stage.folder))
    assert done.stdout == "CM-INS-65\n"


def test_preflight_of_a_ready_machine_is_0(cli: Cli) -> None:
    done = cli("preflight", "--json")
    assert done.exit_code == 0
    assert {check["level"] for check in json.loads(done.stdout)} == {"pass"}


def test_preflight_runs_the_playbook_of_the_installed_release(stage: Stage, cli: Cli) -> None:
    luks = {"id": "luks", "level": "fail", "title": "Chiffrement", "message": "en clair"}
    stage.play({"preflight.yml": {"events": [task("Look", casemate_check=luks)]}})
    stage.places.link(RELEASE.release_seq)
    done = cli("preflight")
    assert done.exit_code == 1
    assert "✗ Chiffrement : en clair" in done.stdout
    assert cli("preflight", "--machine-only").exit_code == 0


@pytest.mark.parametrize(
    ("canary", "status", "exit_code"),
    [
        pytest.param(CANARY, 0, 0, id="nothing left, the planted one caught"),
        pytest.param({**CANARY, "attempts": 1}, 0, 1, id="an attempt"),
        pytest.param({**CANARY, "positive_control": False}, 0, 1, id="not caught"),
        pytest.param(CANARY, 2, 1, id="the playbook failed"),
    ],
)
def test_the_egress_proof_is_0_only_when_it_proves(
    stage: Stage, cli: Cli, canary: dict[str, object], status: int, exit_code: int
) -> None:
    events = [task("Count", casemate_egress=canary)]
    stage.play({"egress_proof.yml": {"events": events, "status": status}})
    stage.places.link(RELEASE.release_seq)
    done = cli("egress-proof", "--json")
    assert done.exit_code == exit_code
    assert json.loads(done.stdout)["attempts"] == canary["attempts"]


def test_an_egress_proof_that_measured_nothing_proves_nothing(stage: Stage, cli: Cli) -> None:
    stage.play({})
    stage.places.link(RELEASE.release_seq)
    done = cli("egress-proof")
    assert done.exit_code == 1
    assert "la preuve ne vaut rien" in done.stdout


def test_a_report_is_verified_against_the_key_that_was_kept(stage: Stage, cli: Cli) -> None:
    cli(*unattended(stage))
    kept = str(seal.public(stage.places.key))
    for name in ("report.pdf", "report.md", "report.json"):
        done = cli("report", "verify", str(stage.places.reports / name), "--key", kept)
        assert done.exit_code == 0
        assert "authentique, signé par la clé SHA256:" in done.stdout
    report = stage.places.reports / "report.md"
    report.chmod(0o644)
    report.write_text(report.read_text().replace("C. Vasseur", "A. Martin"))
    paper = stage.places.reports / "report.pdf"
    paper.chmod(0o644)
    paper.write_bytes(paper.read_bytes() + b"\n")
    for changed in (report, paper):
        done = cli("report", "verify", str(changed), "--key", kept)
        assert isinstance(done.exception, seal.ReportError)


def test_the_commands_need_only_what_the_controller_has() -> None:
    listed = "import sys, appliance.cli, appliance.install.commands; print(*sys.modules)"
    words = [sys.executable, "-c", listed]
    printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = {name.split(".")[0] for name in printed.split()} - set(sys.stdlib_module_names)
    own = {"appliance", "__main__", "_openssl"}
    known = own | CONTROLLER
    foreign = {name for name in found - known if not name.startswith("_")}
    assert foreign == set()
