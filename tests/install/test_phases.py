from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import FormatError
from appliance.install.phases import (
    BY_NAME,
    LAST,
    PHASES,
    Phase,
    PhaseError,
    State,
    advance,
    applied,
    failed,
    finished,
    opened,
    started,
    upcoming,
)
from tests.install.stage import OTHER, RELEASE

ROOT = Path(__file__).parents[2]


class CutError(Exception):
    """The power is gone."""


@dataclass
class Machine:
    """What survives a power cut: the last saved state, and what the phases did."""

    cuts: list[int]  # steps (a save, or half a phase) after which each start is cut
    stored: State | None = None
    effects: dict[str, int] = field(default_factory=dict)  # phase -> how often it was whole
    left: int = 0

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise CutError

    def save(self, state: State) -> None:
        self.step()
        self.stored = state
        self.step()

    def do(self, phase: Phase, state: State) -> None:
        self.step()
        before = PHASES[: PHASES.index(phase)]
        assert all(self.effects.get(one.name) for one in before), "a phase was left out"
        assert self.stored == state, "saved before it begins"
        assert state.running == phase.name
        self.effects[phase.name] = self.effects.get(phase.name, 0) + 1
        self.step()

    def start(self, cut: int) -> None:
        self.left = cut
        advance(opened(self.stored, RELEASE), self.do, self.save)


@given(cuts=st.lists(st.integers(0, 6 * len(PHASES)), max_size=12))
def test_whenever_the_power_is_cut_the_next_starts_reach_the_same_end(cuts: list[int]) -> None:
    machine = Machine(cuts)
    for cut in cuts:
        try:
            machine.start(cut)
        except CutError:
            stored = machine.stored
            assert stored is None or stored.installed is None or LAST.name in machine.effects
    machine.start(10**6)
    assert machine.stored is not None
    assert machine.stored.installed == RELEASE
    assert machine.stored.done == tuple(phase.name for phase in PHASES)
    assert machine.stored.running == machine.stored.failure == ""


def test_every_role_of_the_site_is_in_one_phase_in_the_order_of_the_playbook() -> None:
    played = yaml.safe_load((ROOT / "playbooks" / "site.yml").read_text("utf-8"))[0]["roles"]
    in_phases = [role for p in PHASES if p.playbook == "site.yml" for role in p.roles]
    assert in_phases == [entry["role"] for entry in played]


@pytest.mark.parametrize("cut", range(4 * len(PHASES)))
def test_the_version_is_written_last(cut: int) -> None:
    machine = Machine([cut])
    with pytest.raises(CutError):
        machine.start(cut)
    if machine.stored is not None and machine.stored.installed is not None:
        assert set(machine.effects) == set(BY_NAME)


def test_a_resumed_start_does_again_only_the_cut_phase_and_the_checks() -> None:
    machine = Machine([])
    with pytest.raises(CutError):
        machine.start(4 * PHASES.index(BY_NAME["data"]) + 3)  # inside of it
    machine.start(10**6)
    again = {name for name, times in machine.effects.items() if times > 1}
    assert again <= {"checks", "preflight", "data"}
    assert {"checks", "preflight"} <= again


def test_a_finished_installation_begins_again_and_stays_installed_meanwhile() -> None:
    machine = Machine([])
    machine.start(10**6)
    again = opened(machine.stored, RELEASE)
    assert (again.done, again.starts, again.installed) == ((), 1, RELEASE)


def test_another_release_waits_for_the_half_installed_one() -> None:
    half = started(opened(None, RELEASE), PHASES[0])
    assert opened(half, OTHER).target == OTHER, "nothing was changed yet"
    half = State(target=RELEASE, done=("checks", "media", "import", "preflight", "system"))
    assert applied(half)
    with pytest.raises(PhaseError, match=r"1\.0\.0 est à moitié installée"):
        opened(half, OTHER)


def test_a_new_release_begins_after_a_finished_one_which_stays_installed() -> None:
    machine = Machine([])
    machine.start(10**6)
    fresh = opened(machine.stored, OTHER)
    assert (fresh.target, fresh.installed, fresh.done) == (OTHER, RELEASE, ())


def test_a_failed_phase_is_neither_running_nor_done() -> None:
    state = failed(started(opened(None, RELEASE), PHASES[0]), "01-00-000 000")
    assert (state.running, state.done, state.failure) == ("", (), "01-00-000 000")
    assert upcoming(state)[0] == PHASES[0]


def test_what_is_undone_after_a_failure_is_done_again() -> None:
    done = opened(None, RELEASE)
    for phase in PHASES[:4]:
        done = finished(started(done, phase), phase)
    again = failed(started(done, PHASES[4]), "05-00-000 000", [PHASES[2].name, PHASES[3].name])
    assert upcoming(again)[0] == PHASES[2]
    assert again.done == (PHASES[0].name, PHASES[1].name)


def test_phases_run_in_order_and_end_once() -> None:
    state = opened(None, RELEASE)
    with pytest.raises(AssertionError):
        started(state, PHASES[1])
    with pytest.raises(AssertionError):
        finished(state, PHASES[0])


def test_the_numbers_are_for_ever() -> None:
    assert [(phase.number, phase.name) for phase in PHASES] == [
        (1, "checks"), (2, "media"), (3, "import"), (4, "preflight"), (5, "system"),
        (6, "data"), (7, "services"), (8, "closing"), (9, "verify"), (10, "egress"),
        (11, "report"), (12, "commit"),
    ]  # fmt: skip


def test_where_packages_or_data_are_written_the_machine_must_stay_on() -> None:
    assert [phase.name for phase in PHASES if not phase.power_off] == [
        "system", "data", "services", "closing",
    ]  # fmt: skip


def test_a_state_reads_back_as_it_was_written() -> None:
    state = started(opened(None, RELEASE), PHASES[0])
    assert State.parse(state.text()) == state
    assert msgspec.json.decode(state.text())["schema"] == "casemate.install/v1"


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="no target"),
        pytest.param(State(target=RELEASE, schema="v0").text(), id="another schema"),
        pytest.param(State(target=RELEASE, done=("later",)).text(), id="unknown phase"),
        pytest.param(State(target=RELEASE).text().replace(b"done", b"dune"), id="unknown key"),
    ],
)
def test_a_damaged_state_is_refused_and_nothing_is_guessed(stored: bytes) -> None:
    with pytest.raises(FormatError):
        State.parse(stored)
