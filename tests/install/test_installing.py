import json
import multiprocessing
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from appliance.bundle.refusal import DamagedError
from appliance.install import installing, seal
from appliance.install.answers import AnswersError
from appliance.install.chain import read
from appliance.install.installing import HaltedError, Wish, install
from appliance.install.phases import BY_NAME, PHASES, PhaseError, State
from appliance.install.record import HeldError, Record, held
from appliance.install.retreat import Retreat, commands
from appliance.install.screen import Language
from appliance.install.work import Work
from tests.install import driver
from tests.install.stage import GIVEN, OTHER, RELEASE, SCRIPT, Stage, task

FORK = multiprocessing.get_context("fork")
TOML = "".join(f"{name} = {json.dumps(value)}\n" for name, value in GIVEN.items())
BROKEN = {
    "events": [task("Start it", "failed", role="keycloak", message="the port is taken")],
    "status": 2,
}
DATA = "site.yml:postgresql,keycloak,recorder,site_apply"


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Stand for systemctl, which no test may call."""
    told: list[tuple[str, ...]] = []

    def note(plan: Retreat) -> list[tuple[str, ...]]:
        told.extend(commands(plan))
        return []

    monkeypatch.setattr("appliance.install.retreat.commands", note)
    return told


@pytest.fixture
def run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, systemd: list[tuple[str, ...]]
) -> Callable[..., int]:
    """Start an installation on the stage."""
    assert systemd == []

    monkeypatch.setattr(installing, "Work", partial(Work, tell=stage.hear))
    answers = stage.folder / "answers.toml"
    answers.write_text(TOML)

    def start(wish: Wish | None = None) -> int:
        wish = wish or Wish(Language.FR, answers)
        return install(stage.places, wish, stage.bundle, stage.said.append)

    return start


def state(stage: Stage) -> State:
    found = Record(stage.places.install).state()
    assert found is not None
    return found


def test_an_installation_runs_every_phase_and_ends_with_the_version(
    stage: Stage, run: Callable[..., int]
) -> None:
    assert run() == 4, "one change in each part of the site"
    assert state(stage).installed == RELEASE
    assert [line for line in stage.said if line.startswith("[")] == [
        line for line in stage.said if "Vous pouvez éteindre ici" in line
    ]
    assert stage.bundle.done == ["verify", "bring"]


def test_a_second_run_goes_through_the_playbooks_again_and_may_change_nothing(
    stage: Stage, run: Callable[..., int]
) -> None:
    run()
    stage.play({**SCRIPT, "site.yml": {"events": [task("Read")]}})
    assert run() == 0
    assert len(stage.calls()) == 14


def test_a_failure_says_one_code_and_one_sentence_and_keeps_what_is_done(
    stage: Stage, run: Callable[..., int], systemd: list[tuple[str, ...]]
) -> None:
    stage.play({**SCRIPT, DATA: BROKEN})
    with pytest.raises(HaltedError) as caught:
        run()
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "Code 06-08-612 321 : l’installation s’est arrêtée à la phase 6, « Base de données, "
        "identités, journal signé, site déclaré », rôle « keycloak », sur « Start it »."
    )
    assert "Relancez la même commande" in lines[1]
    assert "port is taken" not in str(caught.value)
    assert systemd == [("systemctl", "stop", "haproxy.service", "casemate-*.service")]
    found = state(stage)
    assert (found.failure, found.installed) == ("06-08-612 321", None)
    assert found.done[-1] == "system"


def test_after_a_failure_the_same_command_goes_on_and_ends(
    stage: Stage, run: Callable[..., int]
) -> None:
    stage.play({**SCRIPT, DATA: BROKEN})
    with pytest.raises(HaltedError):
        run()
    stage.play(SCRIPT)
    run()
    assert state(stage).installed == RELEASE
    assert state(stage).starts == 2
    assert stage.bundle.done == ["verify", "bring"], "not copied a second time"
    assert any(line.startswith("Reprise") for line in stage.said)


def test_units_that_a_failure_stopped_are_started_by_their_phases(
    stage: Stage, run: Callable[..., int]
) -> None:
    stage.play({**SCRIPT, "verify.yml": {"status": 2}})
    with pytest.raises(HaltedError, match="phase 9"):
        run()
    assert state(stage).done[-1] == "system"
    before = len(stage.calls())
    stage.play(SCRIPT)
    run()
    started = [call["argv"] for call in stage.calls()[before:]]
    tags = [words[words.index("--tags") + 1] for words in started if "--tags" in words]
    assert tags == [",".join(BY_NAME[name].roles) for name in ("data", "services", "closing")]
    assert state(stage).installed == RELEASE


def test_a_failed_run_over_an_installed_release_stops_nothing(
    stage: Stage, run: Callable[..., int], systemd: list[tuple[str, ...]]
) -> None:
    run()
    stage.places.current.parent.mkdir(parents=True, exist_ok=True)
    stage.places.link(RELEASE.release_seq)
    stage.play({**SCRIPT, DATA: BROKEN})
    with pytest.raises(HaltedError, match="Rien n’a été modifié"):
        run()
    assert systemd == []
    assert state(stage).installed == RELEASE


def test_a_failed_new_release_gives_the_name_back_to_the_earlier_one(
    stage: Stage, run: Callable[..., int], systemd: list[tuple[str, ...]]
) -> None:
    run()
    tree = stage.places.release(OTHER.release_seq) / "playbooks"
    tree.mkdir(parents=True)
    stage.places.current.parent.mkdir(parents=True, exist_ok=True)
    stage.places.link(OTHER.release_seq)
    stage.bundle.release = OTHER
    stage.play({**SCRIPT, DATA: BROKEN})
    with pytest.raises(HaltedError, match="livraison n° 7"):
        run()
    assert stage.places.linked() == RELEASE.release_seq
    assert systemd == [("systemctl", "try-restart", "haproxy.service", "casemate-*.service")]
    assert "system" not in state(stage).done, "it names the new release again"


def test_a_damaged_medium_ends_with_the_code_of_the_bundle(
    stage: Stage, run: Callable[..., int]
) -> None:
    stage.bundle.broken = DamagedError("CM-INS-11", "Support 2/3 : absent", "Medium 2/3")
    with pytest.raises(HaltedError, match="02-00-052 583") as caught:
        run()
    assert caught.value.exit_code == 3
    assert any("Support 2/3" in line for line in stage.said)


def test_another_release_is_refused_while_one_is_half_installed(
    stage: Stage, run: Callable[..., int]
) -> None:
    stage.play({**SCRIPT, DATA: BROKEN})
    with pytest.raises(HaltedError):
        run()
    stage.bundle.release = OTHER
    with pytest.raises(PhaseError):
        run()


def test_a_second_installer_is_refused(
    stage: Stage, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installing, "held", lambda folder: held(folder, 0))
    with held(stage.places.install), pytest.raises(HeldError):
        run()


def test_only_what_the_file_does_not_say_is_asked(
    stage: Stage, run: Callable[..., int]
) -> None:
    some = stage.folder / "partial.toml"
    some.write_text("".join(TOML.splitlines(keepends=True)[1:]))
    asked: list[str] = []

    def ask(french: str, english: str, default: str) -> str:
        asked.append(f"{french} {english} {default}")
        return "Atelier"

    run(Wish(Language.FR, some, ask))
    assert len(asked) == 1
    assert asked[0].startswith("Nom du site")


def test_the_next_start_asks_nothing_again(stage: Stage, run: Callable[..., int]) -> None:
    stage.play({**SCRIPT, DATA: BROKEN})
    with pytest.raises(HaltedError):
        run()
    stage.play(SCRIPT)
    run(Wish(Language.FR))
    assert state(stage).installed == RELEASE


def test_unattended_a_missing_answer_is_named(stage: Stage, run: Callable[..., int]) -> None:
    some = stage.folder / "partial.toml"
    some.write_text('profile = "cpu"\n')
    with pytest.raises(AnswersError, match="operator"):
        run(Wish(Language.FR, some))
    assert not (stage.folder / "calls.jsonl").exists()


def test_a_time_zone_that_does_not_exist_is_refused(
    stage: Stage, run: Callable[..., int]
) -> None:
    wrong = stage.folder / "wrong.toml"
    wrong.write_text(TOML.replace("Europe/Paris", "Europe/Pari"))
    with pytest.raises(AnswersError, match="Europe/Pari"):
        run(Wish(Language.FR, wrong))


def test_a_declared_site_that_is_not_there_is_refused_before_anything_is_done(
    stage: Stage, run: Callable[..., int]
) -> None:
    wrong = stage.folder / "wrong.toml"
    wrong.write_text(TOML + 'site_toml = "/no/such/site.toml"\n')
    with pytest.raises(AnswersError, match=r"/no/such/site\.toml"):
        run(Wish(Language.FR, wrong))
    assert stage.bundle.done == []


def start(folder: Path, phase: str) -> int | None:
    """Start in a process of its own; return its exit code, negative for a signal."""
    process = FORK.Process(target=driver.main, args=(folder, phase))
    process.start()
    process.join(120)
    return process.exitcode


LIVES = [(phase.name, "before") for phase in PHASES] + [
    (name, "after") for name in ("import", "data", "report", "commit")
]


@pytest.mark.parametrize(("phase", "moment"), LIVES)
def test_a_start_that_was_killed_goes_on_to_the_same_end(
    stage: Stage, phase: str, moment: str
) -> None:
    (stage.folder / "answers.toml").write_text(TOML)
    (stage.folder / "kill").write_text(moment)
    assert start(stage.folder, phase) == -signal.SIGKILL
    assert state(stage).installed is None
    assert start(stage.folder, phase) == 0
    assert state(stage).installed == RELEASE
    entries = list(read(Record(stage.places.install).journal))
    assert [entry["event"] for entry in entries].count("install.resume") == 1
    report = stage.places.reports / "report.md"
    public = seal.public_line(stage.places.key)
    seal.verify(report, report.with_name("report.md.sig"), public)
