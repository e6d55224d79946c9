"""Programs of the rehearsal inside its machine: the probe, and playbooks run again."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rehearsal.machine import Machine, RehearsalError

PROBE = Path(__file__).with_name("probe.py")
PLAYBOOKS = "/var/lib/casemate/releases/1/playbooks"
PLAY = (
    "cd {folder} && ANSIBLE_HOME=/run/ansible PIP_CONFIG_FILE=/dev/null LANG=C.UTF-8 "
    "exec /opt/casemate/controller/bin/ansible-playbook -i inventories/single/hosts.yml "
    '-i /etc/casemate/inventory.json "$@"'
)


@dataclass(frozen=True, slots=True)
class User:
    """A user of the machine, with the groups of its unit and of its account."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    def job(self, attempts: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return a job of the probe."""
        who = {"uid": self.uid, "gid": self.gid, "groups": list(self.groups)}
        return {**who, "attempts": list(attempts)}


def users(box: Machine) -> dict[str, User]:
    """Return every account of the machine, with the groups that name it."""
    lines = [line.split(":") for line in box.run("getent", "passwd").stdout.splitlines()]
    groups = box.run("getent", "group").stdout.splitlines()
    held = [(line.split(":")[3].split(","), int(line.split(":")[2])) for line in groups]
    return {
        name: User(name, int(uid), int(gid), tuple(g for members, g in held if name in members))
        for name, _, uid, gid, *_ in lines
    }


def entered(box: Machine) -> list[str]:
    """Return the words that run a command in the machine."""
    return box.inside()


def outside(space: str) -> list[str]:
    """Return the words that run a command in a network namespace of the host."""
    return ["ip", "netns", "exec", space]


def probe(where: Sequence[str], jobs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Run the probe there; return a word for each attempt of each job.

    Raises:
        RehearsalError: It could not run.
    """
    words = [*where, "python3", "-c", PROBE.read_text("utf-8")]
    done = subprocess.run(
        words, input=json.dumps(jobs), capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise RehearsalError(f"the probe: {done.stderr[-2000:]}")
    found: list[list[str]] = json.loads(done.stdout)
    return found


@contextmanager
def listening(where: Sequence[str], places: Sequence[tuple[str, str, int]]) -> Iterator[None]:
    """Listen there on (protocol, address, port), as root, while the block runs.

    Raises:
        RehearsalError: A port could not be had.
    """
    words = [*where, "python3", "-c", PROBE.read_text("utf-8"), "listen"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{json.dumps(list(places))}\n")
        process.stdin.flush()
        try:
            if process.stdout.readline() != "ready\n":
                process.stdin.close()
                assert process.stderr is not None
                raise RehearsalError(f"cannot listen: {process.stderr.read()[-1000:]}")
            yield
        finally:
            process.stdin.close()
            process.wait(timeout=10)


def play(box: Machine, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """Run a playbook of the release in the machine, with the inventory of the site.

    Raises:
        RehearsalError: It failed, and `check` was asked for.
    """
    script = PLAY.format(folder=PLAYBOOKS)
    return box.run("sh", "-c", script, "sh", *words, timeout=900, check=check)
