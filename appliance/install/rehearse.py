"""Plays an installation in a local container: the same bundle, the same inventory.

The container is thrown away; its papers, marked as worth nothing, and what was found are kept.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.errors import ApplianceError
from appliance.install import answers as asked
from appliance.install import chain, seal
from appliance.install.answers import Answers
from appliance.install.container import TOOLS, Container, bare, tool
from appliance.install.installing import text_of
from appliance.install.record import replace_file
from appliance.install.rehearsal import (
    DECLARED,
    Outcome,
    cards,
    changed_last,
    outcome,
    played,
    toml,
)
from appliance.install.report import Facts
from appliance.install.screen import Language, spoken

ANSWERS = "/srv/answers.toml"
NAME = "repetition"
PAPERS = "rapport"
RESULT = "rehearsal.json"
_AGAIN = ("/opt/casemate/controller/bin/python", "-I", "-m", "appliance.cli", "install",
          "--answers", ANSWERS, "--json")  # fmt: skip
_HOUR = 3600.0  # seconds


class RehearsedError(ApplianceError):
    """The installation failed in the container."""

    code = "CM-INS-73"

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Wish:
    """What is rehearsed, and where."""

    inventory: Path  # answers of the site, TOML
    media: tuple[Path, ...]  # folders of the bundle
    fingerprint: str  # of the root of trust
    folder: Path  # for the bare system, the container, the papers: about 15 GB
    source: str = ""  # of Debian's packages, for debootstrap; empty: as this machine has it
    language: Language = Language.FR


def rehearse(wish: Wish, say: Callable[[str], None]) -> Outcome:
    """Install in a container, install again, and keep what was found.

    Raises:
        ContainerError: There is no container: a tool is missing, or it does not start.
        UnplayableError: No container can play this inventory.
        RehearsedError: It did not install.
        AnswersError: The inventory cannot be taken, or its declared site is not here.
    """
    answers = asked.check(asked.read_answers(text_of(wish.inventory)))
    declared = _declared(answers, wish.inventory)
    given = toml(played(answers, declared=declared is not None))
    _ready()
    say(spoken("Debian 13 nu…", "Bare Debian 13…", wish.language))
    bare(wish.folder / "trixie", wish.source)
    box = Container(
        wish.folder / "trixie", wish.folder / "machine", NAME,
        tuple(path.resolve() for path in wish.media), cards(answers),
    )  # fmt: skip
    box.end()  # of a rehearsal that was cut short
    try:
        say(spoken("Démarrage du conteneur…", "Starting the container…", wish.language))
        box.start()
        _put(box, given, declared)
        _install(box, wish)
        facts = _papers(box, wish.folder / PAPERS)
        say(spoken("Second passage : rien ne doit changer…", "Second run: nothing may change…",
                   wish.language))  # fmt: skip
        found = outcome(facts, _again(box))
    finally:
        box.end()
    replace_file(wish.folder / RESULT, found.text(), 0o644)
    return found


def _declared(answers: Answers, inventory: Path) -> Path | None:
    """Return where the declared site is on this machine: at its place, or by the inventory."""
    if answers.site_toml is None:
        return None
    named = Path(answers.site_toml)
    for path in (named, inventory.parent / named.name):
        if path.is_file():
            return path
    raise asked.AnswersError(
        f"site_toml : {named} n’est ni ici, ni à côté de l’inventaire. / "
        "is neither here nor beside the inventory."
    )


def _ready() -> None:
    if os.geteuid() != 0:
        raise RehearsedError("Relancez-la par « sudo ». / Run it with “sudo”.")
    for name in TOOLS:
        tool(name)


def _put(box: Container, given: str, declared: Path | None) -> None:
    (box.root / ANSWERS[1:]).write_text(given, "utf-8")
    if declared is not None:
        shutil.copyfile(declared, box.root / DECLARED[1:])


def _install(box: Container, wish: Wish) -> None:
    words = ["sh", "/media/1/install.sh", "--answers", ANSWERS, "--language", wish.language]
    words += ["--root-fingerprint", wish.fingerprint]
    for number in range(2, len(wish.media) + 1):
        words += ["--medium", f"/media/{number}"]
    if status := box.show(*words):
        _keep_journal(box, wish.folder)
        raise RehearsedError(
            f"L’installation s’est arrêtée dans le conteneur (code {status}). / "
            f"The installation stopped in the container (status {status}).",
            status,
        )


def _keep_journal(box: Container, folder: Path) -> None:
    for name in ("journal.jsonl", "scratch/ansible.log"):
        path = box.root / "var/lib/casemate/install" / name
        if path.exists():
            shutil.copyfile(path, folder / path.name)


def _again(box: Container) -> tuple[str, ...]:
    """Install again; return the tasks that changed something."""
    done = box.ask(*_AGAIN, timeout=_HOUR)
    if done.returncode:
        raise RehearsedError(
            f"Le second passage s’est arrêté. / The second run stopped. {done.stderr[-1000:]}",
            done.returncode,
        )
    journal = box.root / "var/lib/casemate/install/journal.jsonl"
    return changed_last(chain.read(journal.read_bytes()))


def _papers(box: Container, folder: Path) -> Facts:
    """Copy the papers out; return the facts, once their signature is checked."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(box.root / "var/lib/casemate/install/report", folder)
    facts = folder / "report.json"
    public = " ".join((folder / "site.pub").read_text("ascii").split()[:2])
    seal.verify(facts, folder / "report.json.sig", public)
    return Facts.parse(facts.read_bytes())
