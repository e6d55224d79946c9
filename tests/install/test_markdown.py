import pytest
from jinja2 import UndefinedError

from appliance.install.markdown import escaped, rendered


@pytest.mark.parametrize("mark", "\\`*_[]<>#|~")
def test_each_sign_of_markup_is_escaped(mark: str) -> None:
    assert escaped(f"a{mark}b") == f"a\\{mark}b"


def test_a_value_stays_on_its_line() -> None:
    assert escaped("one\n| two |") == "one \\| two \\|"


def test_a_value_that_is_missing_is_an_error_not_a_blank() -> None:
    with pytest.raises(UndefinedError):
        rendered("report.md.j2")
