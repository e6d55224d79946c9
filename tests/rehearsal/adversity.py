"""Adversity: the real installer on a real machine, when things go wrong around it.

`make rehearsal-adversity`, as root. A wrong clock, full disks, no resolver, a French locale, a
strict umask, a kill in each phase, a failure and the way back; then damaged sticks. Short
stand-in playbooks keep it cheap; `build/adversity.json` holds each message that was shown.
"""

import datetime as dt
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.install.container import bare
from appliance.install.phases import PHASES, Phase
from tests.rehearsal import sticks
from tests.rehearsal.machine import Machine, RehearsalError, call
from tests.rehearsal.run import CACHE, ROOT
from tests.rehearsal.small import Small

RESULT = ROOT / "build" / "adversity.json"
DAY = 86_400  # seconds
FRENCH = {"LANG": "fr_FR.UTF-8", "LC_ALL": "fr_FR.UTF-8", "LANGUAGE": "fr"}
ANSWERS = """\
site_name = "Adversité"
domain = "casemate.site.internal"
time_zone = "Europe/Paris"
profile = "cpu"
operator = "Répétition"
"""
OVERRIDE = '[[overrides]]\ncheck = "room"\nreason = "essai de disque plein"\n'
NORMAL, NEXT, FUTURE = 1, 2, 3  # media
PATIENCE = 300.0  # seconds for one start


def expect(*, seen: object, wanted: object, what: str) -> None:
    if seen != wanted:
        raise RehearsalError(f"{what}: {seen!r}, not {wanted!r}")


@dataclass
class Adversity:
    """One machine, and what was shown on it."""

    box: Machine
    fingerprint: str
    shown: dict[str, Any] = field(default_factory=dict)

    @property
    def record(self) -> Path:
        return self.box.root / "var/lib/casemate/install"

    def begin(self) -> None:
        """Boot a machine on which nothing was ever installed."""
        self.box.end()
        self.box.start()
        (self.box.root / "srv/answers.toml").write_text(ANSWERS)
        (self.box.root / "srv/override.toml").write_text(ANSWERS + OVERRIDE)

    def command(self, medium: int, answers: str = "answers", umask: str = "022") -> list[str]:
        words = f"umask {umask}; exec sh /media/{medium}/install.sh --answers"
        words += f" /srv/{answers}.toml --root-fingerprint {self.fingerprint}"
        return ["env", *(f"{k}={v}" for k, v in FRENCH.items()), "sh", "-c", words]

    def install(self, medium: int, answers: str = "answers", umask: str = "022") -> str:
        """Install, and return what was shown."""
        return self.starts(medium, 0, [], answers, umask)

    def starts(
        self, medium: int, code: int, words: list[str], answers: str = "answers",
        umask: str = "022",
    ) -> str:  # fmt: skip
        """Start the installer: it must end so, and show these words."""
        done = self.box.run(
            *self.command(medium, answers, umask), check=False, timeout=PATIENCE
        )
        said = done.stdout + done.stderr
        expect(seen=done.returncode, wanted=code, what=said[-3000:])
        lacking = [word for word in words if word not in said]
        expect(seen=lacking, wanted=[], what=said[-3000:])
        return said

    def note(self, name: str, said: str, lines: int = 6) -> None:
        """Keep the first line of what was shown, and the last ones."""
        found = [line for line in said.strip().splitlines() if line.strip()]
        kept = [*found[:1], *found[1:][-lines:]]
        self.shown[name] = kept
        print(f"▸ {name}", *(f"    {line}" for line in kept), sep="\n", flush=True)

    @contextmanager
    def small_disk(self, place: str, megabytes: int) -> Iterator[None]:
        """Put a small disk at a place of the machine."""
        self.box.run("mkdir", "-p", place)
        self.box.run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place)
        try:
            yield
        finally:
            self.box.run("umount", place)

    def current(self) -> str:
        return self.box.run("readlink", "/opt/casemate/current").stdout.strip()

    def is_active(self) -> bool:
        unit = "casemate-adversity.service"
        done = self.box.run("systemctl", "is-active", unit, check=False)
        return done.stdout.strip() == "active"

    # scenarios

    def clock_behind(self) -> None:
        """Start with a bundle made three days after what the clock says."""
        said = self.starts(FUTURE, 1, ["l’horloge de cette machine retarde"])
        self.note("clock three days behind", said)

    def full_disks(self) -> None:
        """Start with too little room for the installer, then for the store."""
        with self.small_disk("/opt", 8):
            said = self.starts(NORMAL, 1, ["CM-INS-09 Place insuffisante sur /opt/casemate"])
            self.note("full disk under the installer", said, 3)
        with self.small_disk("/var/lib/casemate", 64):
            said = self.starts(NORMAL, 1, ["[room] Place sur le disque", "Code 01-00-"])
            self.note("small disk, seen by the checks", said)
            said = self.starts(NORMAL, 1, ["Place insuffisante", "Code 03-00-"], "override")
            self.note("small disk, taken upon oneself", said)

    def strange_house(self) -> None:
        """Install five years late, French, under a strict umask, without a resolver; fail."""
        (self.box.root / "etc/resolv.conf").unlink()
        (self.box.root / "run/adversity").touch()
        self.box.run("touch", "/run/adversity")
        words = ["Code 07-10-", "rôle « gateway »", "Rien ne répond aux usagers", "5 ans après"]
        said = self.starts(NORMAL, 1, words, umask="077")
        late = [line for line in said.splitlines() if "5 ans" in line]
        self.note("clock five years late", "\n".join(late))
        self.note("forced failure of a first installation", said)
        expect(seen=self.is_active(), wanted=False, what="the service runs after a failure")
        self.box.run("rm", "/run/adversity")
        said = self.starts(NORMAL, 0, ["Reprise"], umask="077")
        self.note("again: no resolver, umask 077, French, five years late", said)
        expect(seen=(self.is_active(), self.current()), wanted=(True, "releases/1"),
               what="after the second start")  # fmt: skip
        release = "/var/lib/casemate/releases/1/playbooks/site.yml"
        self.box.run(
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", release
        )

    def way_back(self) -> None:
        """Fail in the middle of a second release: the first one runs again."""
        self.box.run("touch", "/run/adversity")
        said = self.starts(NEXT, 1, ["Code 07-10-", "Retour à la livraison n° 1"])
        self.note("forced failure of a second release", said)
        expect(seen=(self.is_active(), self.current()), wanted=(True, "releases/1"),
               what="after the way back")  # fmt: skip
        self.box.run("rm", "/run/adversity")
        self.note("the second release, started again", self.install(NEXT))
        expect(seen=self.current(), wanted="releases/2", what="the release that runs")

    def killed_everywhere(self) -> None:
        """Kill the installer without warning in each phase; each start goes on."""
        self.begin()
        cut = [phase.name for phase in PHASES if self.killed_in(phase)]
        self.note("after a kill in each phase", self.starts(NORMAL, 0, ["Reprise"]))
        self.shown["killed in"] = cut
        entries = [
            json.loads(line)
            for line in (self.record / "journal.jsonl").read_text("utf-8").splitlines()
        ]
        state = json.loads((self.record / "state.json").read_bytes())
        expect(seen=state["installed"]["release_seq"], wanted=1, what="installed")
        done = [e["phase"] for e in entries if e["event"] == "phase.done"]
        once = {p.name: done.count(p.name) for p in PHASES if not p.each_start}
        expect(seen=once, wanted=dict.fromkeys(once, 1), what="phases done again")
        expect(seen=len(cut) >= len(PHASES) - 2, wanted=True, what=f"kills that hit: {cut}")

    def killed_in(self, phase: Phase) -> bool:
        """Start the installer and kill it in a phase; tell whether it was hit."""
        journal = self.record / "journal.jsonl"
        known = journal.stat().st_size if journal.exists() else 0
        with tempfile.TemporaryFile() as shown:
            started = subprocess.Popen(
                [*self.box.entered(), *self.command(NORMAL)], stdout=shown, stderr=shown
            )
            pid, deadline = 0, time.monotonic() + PATIENCE
            wanted = when(phase)
            while started.poll() is None and time.monotonic() < deadline:
                pid = pid or self.installer()
                if pid and wanted.search(tail(journal, known)):
                    os.kill(pid, signal.SIGKILL)
                    break
            started.wait()
            shown.seek(0)
            said = shown.read().decode()
        if started.returncode in {-9, 137}:
            return True
        expect(seen=started.returncode, wanted=0, what=f"{phase.name}: {said[-2000:]}")
        return False

    def installer(self) -> int:
        """Return the process of the installer, 0 when it does not run."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                argv = path.read_bytes().decode(errors="replace").split("\0")
            except OSError:  # it has just ended
                continue
            if "appliance.cli" in argv and self.fingerprint in argv:
                return int(path.parent.name)
        return 0


def when(phase: Phase) -> re.Pattern[bytes]:
    """Return what the journal says when it is time to kill: among tasks that change some."""
    among = '.*"event":"task"' if phase.playbook == "site.yml" else ""
    words = rf'"phase\.start","n":\d+,"phase":"{phase.name}"{among}'
    return re.compile(words.encode(), re.DOTALL)


def tail(path: Path, known: int) -> bytes:
    """Return what was added to a file."""
    try:
        with path.open("rb") as file:
            file.seek(known)
            return file.read()
    except OSError:
        return b""


def play(folder: Path, shown: dict[str, Any], asked: list[str]) -> None:
    """Do all of it, or the scenarios that are asked for by name."""
    bare(CACHE / "trixie")
    small, now = Small(folder), int(time.time())
    fingerprint = small.prepare()
    ages = {NORMAL: -5 * 365 * DAY - DAY, NEXT: -DAY, FUTURE: 3 * DAY + 3600}
    media = [small.make(f"medium{n}", n, now + age) for n, age in ages.items()]
    box = Machine(CACHE / "trixie", folder / "machine", "adversity", tuple(media))
    adversity = Adversity(box, fingerprint, shown)
    scenarios: list[Callable[[], None]] = [
        adversity.clock_behind, adversity.full_disks, adversity.strange_house,
        adversity.way_back, adversity.killed_everywhere,
    ]  # fmt: skip
    try:
        adversity.begin()
        for scenario in [one for one in scenarios if not asked or one.__name__ in asked]:
            began = time.monotonic()
            scenario()
            shown[f"seconds of {scenario.__name__}"] = round(time.monotonic() - began, 1)
    finally:
        box.off()
    if not asked or "sticks" in asked:
        shown["sticks"] = sticks.prove(folder / "sticks")


def main() -> int:
    if os.geteuid():
        print(
            "casemate : lancez « make rehearsal-adversity » en superutilisateur.",
            file=sys.stderr,
        )
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    commit = call("git", "-C", ROOT, "rev-parse", "--short", "HEAD").strip()
    shown: dict[str, Any] = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.release()}",
        "commit": commit, "ok": False,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(dir=CACHE.parent, prefix="adversity-") as folder:
        try:
            play(Path(folder), shown, sys.argv[1:])
            shown["ok"] = True
        except Exception:  # noqa: BLE001 - the edge: written, then told
            traceback.print_exc()
    RESULT.write_text(json.dumps(shown, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return 0 if shown["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
