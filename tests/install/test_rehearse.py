import os
import subprocess
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from appliance.install import rehearse as module
from appliance.install.answers import AnswersError, check, read_answers
from appliance.install.container import Card
from appliance.install.phases import PHASES, opened
from appliance.install.record import Record
from appliance.install.rehearsal import MARKING, Outcome
from appliance.install.rehearse import PAPERS, RESULT, RehearsedError, Wish, rehearse
from appliance.install.seal import ReportError
from tests.install.stage import RELEASE, Stage

INVENTORY = """
site_name = "Atelier d'essai"
domain = "casemate.site.internal"
time_zone = "Europe/Paris"
profile = "cpu"
operator = "C. Vasseur"
users_address = "192.0.2.10"
[zones.users]
interface = "eno1"
sources = ["192.0.2.0/24"]
"""


@dataclass
class Plan:
    """What happens in the container."""

    status: int = 0  # of what runs in it
    changed: str = ""  # task that changes something in the second run
    boxes: "list[Box]" = field(default_factory=list)


class Box:
    """Stands for the container: its installation was done on the stage."""

    def __init__(self, stage: Stage, words: tuple[Any, ...], plan: "Plan") -> None:
        self.root, self.home, self.words = stage.places.root, stage.places.install, words
        self.shown: list[tuple[str, ...]] = []
        self.status, self.changed = plan.status, plan.changed
        self.ends, self.started = 0, False
        (self.root / "srv").mkdir(exist_ok=True)

    def start(self) -> None:
        self.started = True

    def show(self, *words: str) -> int:
        assert self.started
        self.shown.append(words)
        return self.status

    def ask(self, *words: str, timeout: float) -> "subprocess.CompletedProcess[str]":
        assert timeout > 600
        record = Record(self.home)
        record.note("install.begin", {"manifest": RELEASE.manifest})
        if self.changed:
            task = {"role": "pki", "task": self.changed, "outcome": "changed"}
            record.note("task", task)
        (self.home / "report/report.pdf").unlink()  # made again, of the second run
        return subprocess.CompletedProcess(words, self.status, "", "it broke")

    def end(self) -> None:
        self.ends += 1


@pytest.fixture
def plan(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Lend a machine that rehearses, whose container is installed already."""
    work = stage.work(marking=MARKING)
    for phase in PHASES:
        work.do(phase, opened(None, RELEASE))
    made = Plan()

    def make(*words: Any) -> Box:
        made.boxes.append(Box(stage, words, made))
        return made.boxes[-1]

    monkeypatch.setattr(module, "Container", make)
    monkeypatch.setattr(module, "bare", lambda *_: False)
    monkeypatch.setattr(module, "tool", lambda name: name)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (stage.folder / "site").mkdir()
    (stage.folder / "site/inventory.toml").write_text(INVENTORY)
    return made


def wish(stage: Stage) -> Wish:
    media = (stage.folder / "first", stage.folder / "second")
    return Wish(stage.folder / "site/inventory.toml", media, "0123 4567", stage.folder / "work")


def play(stage: Stage) -> Outcome:
    (stage.folder / "work").mkdir(exist_ok=True)
    return rehearse(wish(stage), stage.said.append)


def test_the_same_inventory_and_media_are_installed_twice_and_the_papers_kept(
    stage: Stage, plan: Plan
) -> None:
    found = play(stage)
    assert found.good
    (box,) = plan.boxes
    assert box.words[2:] == (
        "repetition",
        (stage.folder / "first", stage.folder / "second"),
        (Card("eno1", ("192.0.2.10/24",)),),
    )
    (words,) = box.shown
    assert words[:4] == ("sh", "/media/1/install.sh", "--answers", "/srv/answers.toml")
    assert words[-4:] == ("--root-fingerprint", "0123 4567", "--medium", "/media/2")
    given = check(read_answers((box.root / "srv/answers.toml").read_text()))
    assert given.site_name == "Atelier d’essai"
    work = stage.folder / "work"
    assert (work / PAPERS / "report.pdf").exists()
    assert msgspec.json.decode((work / RESULT).read_bytes(), type=Outcome) == found
    assert box.ends == 2, "before, of one that was cut short; and after"


def test_a_second_run_that_changes_something_is_no_success(stage: Stage, plan: Plan) -> None:
    plan.changed = "Renew"
    found = play(stage)
    assert found.changed_again == ("pki : Renew",)
    assert not found.good


def test_an_installation_that_stops_gives_its_status_and_its_journal(
    stage: Stage, plan: Plan
) -> None:
    plan.status = 4
    with pytest.raises(RehearsedError, match="code 4") as caught:
        play(stage)
    assert caught.value.exit_code == 4
    assert (stage.folder / "work/journal.jsonl").read_bytes()
    assert not (stage.folder / "work" / RESULT).exists()
    assert plan.boxes[0].ends == 2


def test_papers_that_their_own_key_did_not_sign_are_refused(stage: Stage, plan: Plan) -> None:
    facts = stage.places.reports / "report.json"
    facts.chmod(0o644)
    facts.write_bytes(facts.read_bytes() + b" ")
    with pytest.raises(ReportError):
        play(stage)
    assert plan.boxes[0].ends == 2


def test_the_declared_site_goes_along_from_beside_the_inventory(
    stage: Stage, plan: Plan
) -> None:
    inventory = stage.folder / "site/inventory.toml"
    inventory.write_text('site_toml = "/media/usb/site.toml"\n' + INVENTORY)
    with pytest.raises(AnswersError, match="à côté de l’inventaire"):
        play(stage)
    assert not plan.boxes
    inventory.with_name("site.toml").write_text("# declared\n")
    play(stage)
    root = plan.boxes[0].root
    assert (root / "srv/site.toml").read_text() == "# declared\n"
    assert 'site_toml = "/srv/site.toml"' in (root / "srv/answers.toml").read_text()


def test_without_rights_nothing_is_begun(
    stage: Stage, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RehearsedError, match="sudo"):
        play(stage)
    assert not plan.boxes
