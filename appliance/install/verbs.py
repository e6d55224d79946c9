"""Playbooks that measure an installed site without changing it: preflight, egress proof."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from appliance.errors import ApplianceError
from appliance.install import playbook
from appliance.install.places import Places
from appliance.install.playbook import Controller, Event
from appliance.install.preflight import Check, Level
from appliance.install.record import held
from appliance.install.report import Canary


class NoReleaseError(ApplianceError):
    """No release was brought to this machine yet."""

    code = "CM-INS-69"


@dataclass(slots=True)
class Measured:
    """What a playbook found."""

    status: int = 0  # of Ansible
    checks: list[Check] = field(default_factory=list)
    egress: list[Canary] = field(default_factory=list)
    tasks: int = 0
    changed: int = 0
    failed: Event = field(default_factory=dict)  # the last task that failed

    def take(self, event: Event) -> None:
        """Take in an event of the callback plugin."""
        if event["kind"] != "task":
            return
        self.tasks += 1
        self.changed += event["outcome"] == "changed"
        if event["outcome"] in {"failed", "unreachable"}:
            self.failed = event
        found = [*event.get("casemate_checks", []), event.get("casemate_check")]
        self.checks += [_check(one) for one in found if one]
        if canary := event.get("casemate_egress"):
            known = {name: canary.get(name) for name in Canary.__struct_fields__}
            self.egress.append(msgspec.convert(known, Canary, strict=False))


def _check(told: Event) -> Check:
    """Return a check. One that the playbook lets pass since someone answers for it failed."""
    check = msgspec.convert(told, Check)
    if told.get("overridden"):
        return msgspec.structs.replace(check, level=Level.FAIL)
    return check


def controller_of(places: Places, release: int, lock: int) -> Controller:
    """Return from where the playbooks of a release run."""
    tree = places.release(release) / "playbooks"
    return Controller(
        ansible=places.controller / "bin/ansible-playbook",
        playbooks=tree,
        inventories=(tree / "inventories/single/hosts.yml", places.inventory),
        scratch=places.install / "scratch",
        inherited=(lock,),
    )


def measure(
    places: Places, name: str, heard: Callable[[Event], None] | None = None
) -> Measured:
    """Run a playbook of the release that `current` names.

    Raises:
        NoReleaseError: There is none.
        HeldError: An installation runs.
    """
    release = places.linked()
    if release is None:
        raise NoReleaseError(
            "Aucune livraison n’est installée ici. / No release is installed here."
        )
    measured = Measured()

    def take(event: Event) -> None:
        measured.take(event)
        if heard is not None:
            heard(event)

    with held(places.install) as lock:
        measured.status = playbook.run(controller_of(places, release, lock), name, (), take)
    return measured
