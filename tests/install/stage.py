"""A stage for installations: a fake bundle, a fake ansible-playbook, places below a folder."""

import json
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.install.answers import Answers, check
from appliance.install.phases import PHASES, Release
from appliance.install.places import Places
from appliance.install.record import Record
from appliance.install.report import Mark
from appliance.install.screen import Language
from appliance.install.work import Work

RELEASE = Release(version="1.0.0", release_seq=7, manifest="ab" * 32)
OTHER = Release(version="1.1.0", release_seq=8, manifest="cd" * 32)
GIVEN: dict[str, object] = {
    "site_name": "Atelier d'essai", "domain": "casemate.site.internal",
    "time_zone": "Europe/Paris", "profile": "cpu", "operator": "C. Vasseur",
}  # fmt: skip
PLAYBOOKS = [phase for phase in PHASES if phase.playbook]
# The play of the fake: what it is told in script.json, for the playbook and tags it is given.
FAKE = """#!{python} -IS
import json, os, pathlib, sys
arguments = sys.argv[1:]
tags = arguments[arguments.index("--tags") + 1] if "--tags" in arguments else ""
playbook = os.path.basename(arguments[-1])
here = pathlib.Path({folder!r})
with (here / "calls.jsonl").open("a") as calls:
    call = {{"argv": arguments, "env": dict(os.environ), "cwd": os.getcwd(),
            "umask": os.umask(0o022)}}
    calls.write(json.dumps(call) + "\\n")
script = json.loads((here / "script.json").read_text())
told = script.get(playbook + ":" + tags) or script.get(playbook) or {{}}
print(told.get("output", ""))
with open(os.environ["CASEMATE_REPORT"], "w") as report:
    for event in told.get("events", []):
        report.write(json.dumps(event) + "\\n")
        report.flush()
sys.exit(told.get("status", 0))
"""


def task(name: str, outcome: str = "ok", role: str = "pki", **more: Any) -> dict[str, Any]:
    """Return an event as the callback plugin writes it."""
    return {"kind": "task", "role": role, "task": name, "host": "casemate",
            "outcome": outcome, "milliseconds": 12, **more}  # fmt: skip


CANARY = {"phase": "repos", "attempts": 0, "positive_control": True, "found": []}
SCRIPT: dict[str, Any] = {
    "site.yml": {"events": [task("Write the names", "changed"), task("Read the names")]},
    "egress_proof.yml": {"events": [task("Count", casemate_egress=CANARY)]},
}


@dataclass
class FakeBundle:
    """A release that is always there."""

    release: Release = RELEASE
    created: int = 1_700_000_000
    size: int = 0
    done: list[str] = field(default_factory=list)
    broken: Exception | None = None

    def verify(self) -> None:
        self.done.append("verify")
        if self.broken:
            raise self.broken

    def bring(self) -> None:
        self.done.append("bring")

    def media(self) -> Sequence[str]:
        return ["1/1"]

    def marks(self) -> Sequence[Mark]:
        return [Mark(name="racine de confiance", value="0123 4567")]


class Stage:
    """Everything an installation needs, below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places = Places(folder / "root")
        self.bundle = FakeBundle()
        self.said: list[str] = []
        self.told: list[Any] = []
        (self.places.controller / "bin").mkdir(parents=True)
        tree = self.places.release(RELEASE.release_seq) / "playbooks"
        (tree / "inventories/single").mkdir(parents=True)
        program = self.places.controller / "bin/ansible-playbook"
        program.write_text(FAKE.format(python=sys.executable, folder=str(folder)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.play(SCRIPT)

    def play(self, script: Mapping[str, Any]) -> None:
        """Tell the fake what happens."""
        (self.folder / "script.json").write_text(json.dumps(script))

    def calls(self) -> list[dict[str, Any]]:
        """Return how the fake was called."""
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def record(self) -> Record:
        """Open the record."""
        self.places.install.mkdir(parents=True, exist_ok=True)
        return Record(self.places.install)

    def answers(self, **more: object) -> Answers:
        """Return checked answers."""
        return check({**GIVEN, **more})

    def work(self, **more: object) -> Work:
        """Return the work of one start, on a machine that is ready."""
        return Work(
            self.places, self.record(), self.answers(**more), self.bundle, self.said.append,
            Language.FR, os.open(os.devnull, os.O_RDONLY), tell=self.hear,
        )  # fmt: skip

    def hear(self, _: Path, told: Sequence[Any]) -> None:
        """Stand for the recorder."""
        self.told += told

    def everything(self) -> dict[str, bytes]:
        """Return each file below the root, for a search."""
        files = [path for path in self.places.root.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.places.root)): path.read_bytes() for path in files}


Make = Callable[[], Stage]
