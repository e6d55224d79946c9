"""One code and one sentence to dictate when an installation stops. Pure.

`06-08-412 733` is phase, role and six digits of the SHA-256 of what failed: the name of a task
of the role, or a code of the table of errors. Digits alone, since letters are misheard. The
same failure gives the same code on every site; who answers finds the task back from the
playbooks (`casemate install --explain CODE`). Numbers are for ever: docs/installation.fr.md.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.errors import FormatError
from appliance.install.phases import PHASES, Phase

ROLES = {
    "": 0, "release": 1, "base_system": 2, "hosts_dns": 3, "time_sync": 4, "apt_repository": 5,
    "pki": 6, "postgresql": 7, "keycloak": 8, "recorder": 9, "gateway": 10, "console": 11,
    "worker": 12, "engine": 13, "vllm": 14, "haproxy": 15, "site_apply": 16, "nftables": 17,
    "hardening": 18, "monitoring": 19, "local_access": 20, "logs": 21,
    "preflight": 22, "egress_proof": 23, "gpu": 24, "reader": 25, "indexer": 26,
    "identity_events": 27, "heartbeat": 28, "forwarder": 29, "feeder": 30, "witness": 31,
}  # fmt: skip
OTHER_ROLE = 99  # of a playbook that is newer than this table
_DIGITS = 10**6
_CODE = re.compile(r"(\d{2})-(\d{2})-(\d{3}) ?(\d{3})\Z")


@dataclass(frozen=True, slots=True)
class Fault:
    """What stopped an installation."""

    phase: Phase
    role: str  # empty: not inside a role
    task: str  # its name, or a code such as CM-INS-03


@dataclass(frozen=True, slots=True)
class Dictated:
    """A code, taken apart."""

    phase: Phase
    role: str | None  # None: of another release
    digits: int


def digits(task: str) -> int:
    """Return the six digits that stand for a task."""
    return int.from_bytes(hashlib.sha256(task.encode()).digest()[:8]) % _DIGITS


def code(fault: Fault) -> str:
    """Return the code of a fault, such as `06-08-412 733`."""
    role = ROLES.get(fault.role, OTHER_ROLE)
    thousands, rest = divmod(digits(fault.task), 1000)
    return f"{fault.phase.number:02d}-{role:02d}-{thousands:03d} {rest:03d}"


def sentence(fault: Fault) -> str:
    """Return the sentence to dictate, in French: no value of the site, no output of a task."""
    where = f", rôle « {fault.role} »" if fault.role else ""
    return (
        f"Code {code(fault)} : l’installation s’est arrêtée à la phase {fault.phase.number}, "
        f"« {fault.phase.french} »{where}, sur « {fault.task} »."
    )


def english(fault: Fault) -> str:
    """Return the sentence in English."""
    where = f", role “{fault.role}”" if fault.role else ""
    return (
        f"Code {code(fault)}: the installation stopped in phase {fault.phase.number}, "
        f"“{fault.phase.english}”{where}, on “{fault.task}”."
    )


def parse(text: str) -> Dictated:
    """Take a dictated code apart.

    Raises:
        FormatError: Not a code, or of no phase.
    """
    match = _CODE.match(text.strip())
    phases = {phase.number: phase for phase in PHASES}
    if match is None or int(match[1]) not in phases:
        raise FormatError("Le code s’écrit 06-08-412 733. / The code is written 06-08-412 733.")
    names = {number: role for role, number in ROLES.items()}
    return Dictated(phases[int(match[1])], names.get(int(match[2])), int(match[3] + match[4]))


def candidates(dictated: Dictated, tasks: Iterable[str]) -> list[str]:
    """Return the tasks that a code may stand for, of those of its role (normally one)."""
    return [task for task in tasks if digits(task) == dictated.digits]
