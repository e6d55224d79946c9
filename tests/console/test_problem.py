import pytest

from appliance.console.problem import explain, of_error
from appliance.errors import CODES, FormatError


def test_a_problem_is_what_the_table_of_codes_says() -> None:
    problem = explain("CM-BUD-02", record=12)
    assert (problem.status, problem.title, problem.record) == (402, "Budget épuisé", 12)
    assert (problem.kind, problem.icon, problem.again) == ("bad", "icon:wallet", False)


def test_an_unknown_code_shows_nothing_of_itself() -> None:
    problem = explain("<script>")
    assert (problem.code, problem.status) == ("CM-NET-00", 500)


@pytest.mark.parametrize("status", [429, 503])
def test_trying_again_is_offered_where_it_makes_sense(status: int) -> None:
    assert explain("CM-MOD-03", status=status, retry=7).again
    assert not explain("CM-FIL-01", status=403).again


def test_an_expected_failure_shows_its_code_and_not_its_text() -> None:
    problem = of_error(FormatError("secret detail"))
    assert problem.code == "CM-NET-01"
    assert problem.detail == ""


@pytest.mark.parametrize("code", sorted(CODES))
def test_each_code_has_an_icon_and_three_texts(code: str) -> None:
    problem = explain(code)
    assert problem.icon.startswith("icon:")
    assert all((problem.title, problem.meaning, problem.remedy))
    assert problem.kind == ("warn" if code.startswith("CM-FIL") else "bad")
