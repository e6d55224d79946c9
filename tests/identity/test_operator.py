import os
import pwd
from pathlib import Path

import pytest

from appliance.identity import operator
from appliance.identity.operator import UNSET, acting, here

NAMES = {0: "root", 1001: "anne", 1002: "boris"}
NOBODY = f"{UNSET}\n"


def who(login: str, environment: dict[str, str], own: int = 0) -> str:
    return acting(login, environment, own, NAMES.__getitem__)


def test_two_people_behind_sudo_are_two_people() -> None:
    assert who("1001\n", {"SUDO_USER": "anne"}) == "anne"
    assert who("1002\n", {"SUDO_USER": "boris"}) == "boris"


def test_root_lends_nobody_a_name_where_the_kernel_knows_the_login() -> None:
    assert who("1001\n", {"SUDO_USER": "boris"}) == "anne"


@pytest.mark.parametrize("login", ["", NOBODY, "garbage"])
def test_without_a_login_sudo_says_who_it_was(login: str) -> None:
    assert who(login, {"SUDO_USER": "boris"}) == "boris"


def test_a_person_without_sudo_takes_no_other_name() -> None:
    assert who(NOBODY, {"SUDO_USER": "boris"}, own=1001) == "anne"


def test_without_login_and_sudo_it_is_who_runs_the_process() -> None:
    assert who(NOBODY, {}) == "root"
    assert who("", {"SUDO_USER": ""}, own=1002) == "boris"


def test_this_process_has_an_operator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(operator, "LOGIN", tmp_path / "absent")
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert here() == pwd.getpwuid(os.getuid()).pw_name


def test_a_login_whose_account_is_gone_keeps_its_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "loginuid").write_text("3999999999")
    monkeypatch.setattr(operator, "LOGIN", tmp_path / "loginuid")
    assert here() == "uid-3999999999"
