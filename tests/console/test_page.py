import pytest

from appliance.console.page import State, highest, person
from appliance.identity.principal import Principal


@pytest.mark.parametrize(
    ("name", "initials"),
    [("c.vasseur", "CV"), ("anne-marie.roux", "AM"), ("rssi", "R"), ("..", "..")],
)
def test_a_person_is_named_and_has_initials(name: str, initials: str) -> None:
    who = person(Principal("s", name, frozenset({"rssi"}), frozenset(), (), 1))
    assert (who.name, who.initials, who.roles) == (name, initials, ("RSSI",))


def test_the_marking_is_the_highest_of_what_is_displayed() -> None:
    assert highest([0, 2, 1]) == 2
    assert highest([]) == 0


@pytest.mark.parametrize(
    "state",
    [State(vectors="warming"), State(engine=False), State(stopped=True), State(recorder=False)],
    ids=["vectors", "engine", "stopped", "recorder"],
)
def test_what_is_not_as_usual_is_said(state: State) -> None:
    assert not state.usual
    assert State().usual
