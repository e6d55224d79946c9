import pytest

from appliance.install.phases import BY_NAME, PHASES, State
from appliance.install.retreat import OWN_UNITS, Retreat, commands, plan
from tests.install.stage import OTHER, RELEASE

FIRST = State(target=RELEASE)
JUDGED = ("verify", "egress", "report", "commit")
SECOND = State(target=OTHER, installed=RELEASE)


@pytest.mark.parametrize("phase", [p.name for p in PHASES[:5]])
def test_before_units_run_nothing_is_stopped(phase: str) -> None:
    assert plan(FIRST, phase, None) == Retreat()


@pytest.mark.parametrize("phase", [p.name for p in PHASES[5:]])
def test_a_first_installation_that_stops_answers_nobody(phase: str) -> None:
    found = plan(FIRST, phase, RELEASE.release_seq)
    assert commands(found) == [("systemctl", "stop", *OWN_UNITS)]
    assert "gardé" in found.words[0]
    assert found.again == ("data", "services", "closing", *JUDGED)


@pytest.mark.parametrize("phase", BY_NAME)
def test_a_running_release_is_never_stopped(phase: str) -> None:
    for linked in (None, RELEASE.release_seq, OTHER.release_seq):
        assert plan(SECOND, phase, linked).stop == ()


def test_an_earlier_release_gets_its_name_back() -> None:
    found = plan(SECOND, "services", OTHER.release_seq)
    assert found.current == RELEASE.release_seq
    assert commands(found) == [("systemctl", "try-restart", *OWN_UNITS)]
    assert "n° 7" in found.words[0]
    assert found.again == ("system", "data", "services", "closing", *JUDGED)


def test_when_the_earlier_release_still_has_the_name_nothing_is_done() -> None:
    assert commands(plan(SECOND, "system", RELEASE.release_seq)) == []
    assert plan(SECOND, "system", 7).words == ("Rien n’a été modifié.", "Nothing was changed.")
