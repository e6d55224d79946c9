import re
import tomllib
from pathlib import Path

import pytest

from appliance.install.answers import Answers, check
from appliance.install.phases import PHASES
from appliance.install.telephone import ROLES, Fault, code

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "installation.fr.md").read_text("utf-8")
ENGLISH = (DOCS / "installation.en.md").read_text("utf-8")


@pytest.mark.parametrize("role", ROLES)
def test_each_number_of_a_role_is_in_the_guide(role: str) -> None:
    assert f"| {ROLES[role]:02d} | {role or 'hors d’un rôle'} |" in GUIDE


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_each_phase_is_in_the_guide(phase: object) -> None:
    assert isinstance(phase, type(PHASES[0]))
    may = "oui" if phase.power_off else "non"
    assert f"| {phase.number} | {phase.french} | {may} |" in GUIDE
    may = "yes" if phase.power_off else "no"
    assert f"| {phase.number} | {phase.english} | {may} |" in ENGLISH


def test_the_answers_of_the_guide_are_taken_and_name_every_key() -> None:
    block = re.search(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    assert block is not None
    given = tomllib.loads(block[1])
    assert check(given).operator == "C. Vasseur"
    assert given.keys() == Answers.model_fields.keys()


def test_the_code_of_the_guide_is_that_of_its_task() -> None:
    phase = next(phase for phase in PHASES if phase.number == 6)
    assert code(Fault(phase, "keycloak", "Wait for Keycloak")) in GUIDE
