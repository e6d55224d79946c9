"""Phases of an installation, and where one stands. Pure.

The numbers are for ever: they begin the codes that are dictated on the telephone. What is done
is written after it is done, the version last: a power cut at any point leaves a state from
which the next start goes on, and no state says « installed » of what is not.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Self

import msgspec

from appliance.errors import ApplianceError, FormatError

SCHEMA = "casemate.install/v1"


class PhaseError(ApplianceError):
    """The state does not allow this step: another release is half installed."""

    code = "CM-INS-61"


@dataclass(frozen=True, slots=True)
class Phase:
    """One step that is shown, timed, recorded, and resumed as a whole."""

    number: int
    name: str
    french: str
    english: str
    expected: int  # seconds, on four cores and the cpu profile
    power_off: bool  # whether the machine may be switched off while it runs
    playbook: str = ""
    roles: tuple[str, ...] = ()  # tags of the playbook; none: the whole of it
    each_start: bool = False  # done again whenever the command is started


PHASES = (
    Phase(1, "checks", "Contrôles de la machine", "Checks of the machine",
          5, power_off=True, each_start=True),
    Phase(2, "media", "Vérification du support", "Verification of the medium",
          120, power_off=True),
    Phase(3, "import", "Copie dans le magasin local", "Copy into the local store",
          180, power_off=True),
    Phase(4, "preflight", "Contrôles du système", "Checks of the system",
          30, power_off=True, playbook="preflight.yml", each_start=True),
    Phase(5, "system", "Système, temps, paquets, certificats",
          "System, time, packages, certificates", 420, power_off=False, playbook="site.yml",
          roles=("release", "base_system", "apt_repository", "gpu", "hosts_dns", "time_sync",
                 "pki")),
    Phase(6, "data", "Base de données, identités, journal signé, site déclaré",
          "Database, identities, signed log, declared site", 240, power_off=False,
          playbook="site.yml", roles=("postgresql", "keycloak", "recorder", "site_apply")),
    Phase(7, "services", "Moteurs, passerelle, façade, console",
          "Engines, gateway, front, console", 180, power_off=False, playbook="site.yml",
          roles=("reader", "indexer", "engine", "vllm", "gateway", "haproxy", "console",
                 "worker", "identity_events", "heartbeat")),
    Phase(8, "closing", "Cloisonnement et durcissement", "Segmentation and hardening",
          60, power_off=False, playbook="site.yml",
          roles=("monitoring", "local_access", "logs", "forwarder", "feeder", "nftables",
                 "hardening")),
    Phase(9, "verify", "Vérification de ce qui tourne", "Verification of what runs",
          60, power_off=True, playbook="verify.yml"),
    Phase(10, "egress", "Preuve d’absence de sortie", "Proof that nothing leaves",
          60, power_off=True, playbook="egress_proof.yml"),
    Phase(11, "report", "Procès-verbal signé", "Signed report", 5, power_off=True),
    Phase(12, "commit", "Inscription de la version", "Entry of the version",
          1, power_off=True),
)  # fmt: skip
BY_NAME = {phase.name: phase for phase in PHASES}
LAST = PHASES[-1]


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is installed or being installed."""

    version: str
    release_seq: int
    manifest: str  # SHA-256, hex


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where an installation stands: the content of `state.json`."""

    schema: str = SCHEMA
    target: Release  # of this installation
    installed: Release | None = None  # committed last; survives a new installation
    done: tuple[str, ...] = ()  # phases, in order
    running: str = ""
    starts: int = 0  # of the command, for this target
    failure: str = ""  # code of the last failure

    def text(self) -> bytes:
        """Return the bytes that are stored."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=1) + b"\n"

    @classmethod
    def parse(cls, stored: bytes) -> Self:
        """Read a state back.

        Raises:
            FormatError: Not a state, or of another schema.
        """
        try:
            state = msgspec.json.decode(stored, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise FormatError(f"not the state of an installation: {exc}") from exc
        if state.schema != SCHEMA or not {*state.done, state.running} <= {*BY_NAME, ""}:
            raise FormatError(f"not the state of an installation: {state.schema}")
        return state


def opened(found: State | None, target: Release) -> State:
    """Return the state with which a start of the command begins.

    The same target goes on where it stood, or begins again when it was finished. Another
    target is refused while one is half installed: its own medium must finish it.

    Raises:
        PhaseError: Another release is half installed.
    """
    if found is None:
        return State(target=target, starts=1)
    if found.target != target and applied(found) and found.installed != found.target:
        raise PhaseError(
            f"La version {found.target.version} est à moitié installée : terminez-la avec son "
            f"support. / {found.target.version} is half installed: finish it with its medium."
        )
    if found.target != target or LAST.name in found.done:
        return State(target=target, installed=found.installed, starts=1)
    kept = tuple(name for name in found.done if not BY_NAME[name].each_start)
    return msgspec.structs.replace(found, done=kept, running="", starts=found.starts + 1)


def applied(state: State) -> bool:
    """Tell whether a phase that changes the system was begun."""
    touched = {*state.done, state.running}
    return any(phase.name in touched for phase in PHASES if phase.playbook == "site.yml")


def upcoming(state: State) -> tuple[Phase, ...]:
    """Return what is left to do, in order."""
    return tuple(phase for phase in PHASES if phase.name not in state.done)


def started(state: State, phase: Phase) -> State:
    """Return the state while a phase runs."""
    assert upcoming(state)[0] == phase, "phases run in order"
    return msgspec.structs.replace(state, running=phase.name, failure="")


def finished(state: State, phase: Phase) -> State:
    """Return the state once a phase is done. The last one makes the target installed."""
    assert state.running == phase.name, "only what runs can end"
    installed = state.target if phase == LAST else state.installed
    done = tuple(p.name for p in PHASES if p.name in {*state.done, phase.name})
    return msgspec.structs.replace(state, done=done, running="", installed=installed)


def failed(state: State, code: str, again: Collection[str] = ()) -> State:
    """Return the state after a failure: what runs is no longer running, nor is it done.

    Args:
        state: When it failed.
        code: To dictate.
        again: Phases of which something is undone now: only doing them again makes it.
    """
    done = tuple(name for name in state.done if name not in again)
    return msgspec.structs.replace(state, done=done, running="", failure=code)


def advance(
    state: State, do: Callable[[Phase, State], None], save: Callable[[State], None]
) -> State:
    """Run every phase that is left, each saved before it begins and after it ended.

    Args:
        state: As `opened` gave it.
        do: Runs a phase, whole; raises when it fails. It may run again after a power cut.
        save: Makes a state durable.
    """
    save(state)
    for phase in upcoming(state):
        state = started(state, phase)
        save(state)
        do(phase, state)
        state = finished(state, phase)
        save(state)
    return state
