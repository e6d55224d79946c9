from itertools import chain
from pathlib import Path

import pytest

from appliance.errors import CODES, FormatError
from appliance.install.explain import names
from appliance.install.phases import BY_NAME, PHASES
from appliance.install.telephone import (
    ROLES,
    Fault,
    candidates,
    code,
    digits,
    english,
    parse,
    sentence,
)

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
FAULT = Fault(BY_NAME["data"], "keycloak", "Wait for Keycloak")


def test_the_same_fault_has_the_same_code_for_ever() -> None:
    assert code(FAULT) == "06-08-397 598"
    assert code(Fault(PHASES[1], "", "CM-INS-11")) == "02-00-052 583"


def test_a_role_of_a_later_release_still_has_a_code() -> None:
    assert code(Fault(PHASES[4], "of_tomorrow", "Do")).startswith("05-99-")


def test_the_sentence_holds_the_code_the_phase_the_role_and_the_task() -> None:
    assert sentence(FAULT) == (
        "Code 06-08-397 598 : l’installation s’est arrêtée à la phase 6, « Base de données, "
        "identités, journal signé, site déclaré », rôle « keycloak », "
        "sur « Wait for Keycloak »."
    )
    assert "stopped in phase 6" in english(FAULT)


def test_a_dictated_code_gives_the_task_back() -> None:
    dictated = parse(" 06-08-397598 ")
    assert (dictated.phase.name, dictated.role) == ("data", "keycloak")
    assert candidates(dictated, ["Start it", "Wait for Keycloak"]) == ["Wait for Keycloak"]


@pytest.mark.parametrize(
    "text", ["", "6-8-1", "99-08-405 196", "06-08-397 59", "06-08-3975986"]
)
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse(text)


def test_numbers_of_roles_are_unique() -> None:
    assert len(set(ROLES.values())) == len(ROLES)


def test_each_role_of_the_playbooks_has_a_number() -> None:
    found = {path.name for path in (PLAYBOOKS / "roles").iterdir() if path.is_dir()}
    assert found <= ROLES.keys()


@pytest.mark.parametrize("role", sorted(ROLES))
def test_no_two_tasks_of_a_role_share_a_code(role: str) -> None:
    tasks = set(names(PLAYBOOKS, role)) | (set() if role else set(CODES))
    assert len({digits(task) for task in tasks}) == len(tasks)


def test_no_task_is_named_after_a_value_of_the_site() -> None:
    found = chain.from_iterable(names(PLAYBOOKS, role) for role in ROLES)
    assert [name for name in found if "{{" in name] == []
