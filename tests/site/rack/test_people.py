import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from appliance.site.rack import people
from appliance.site.rack.oath import MOMENT, logins
from appliance.site.rack.people import (
    PASSWORD_CHARS_MIN,
    RackError,
    check_password,
    check_person,
    give_factor,
    members,
    read,
    run,
    seal,
    set_password,
    standing,
    take_factors,
    with_password,
    words,
)
from appliance.site.rack.uses import BREAK_GLASS, USED

SECRET = bytes(range(20))
SHADOW = f"""\
root:!:20000::::::
anne:$y$j9T$salt$hash:20000::::::
boris:*:20000::::::
{BREAK_GLASS}:!$y$j9T$salt$hash:20000::::::
"""


def test_a_locked_account_has_no_password() -> None:
    assert with_password(SHADOW) == {"anne"}


def test_who_lacks_a_password_or_a_second_factor_cannot_log_in(tmp_path: Path) -> None:
    factors = tmp_path / "factors"
    give_factor(factors, "anne", MOMENT, SECRET)
    found = standing(["anne", "boris"], SHADOW, read(factors), tmp_path)
    assert [(one.login, one.complete) for one in found.people] == [
        ("anne", True), ("boris", False),
    ]  # fmt: skip
    assert not standing(["anne"], SHADOW, "", tmp_path).people[0].complete
    assert (found.sealed, found.used, found.waiting) == (False, False, 0)


def test_second_factors_are_for_the_eyes_of_root(tmp_path: Path) -> None:
    factors = tmp_path / "factors"
    give_factor(factors, "anne", MOMENT, SECRET)
    assert factors.stat().st_mode & 0o777 == 0o600
    give_factor(factors, "boris", MOMENT, SECRET)
    assert logins(read(factors)) == ["anne", "boris"]


def test_who_leaves_has_no_second_factor_any_more_and_a_second_call_changes_nothing(
    tmp_path: Path,
) -> None:
    factors = tmp_path / "factors"
    give_factor(factors, "anne", MOMENT, SECRET)
    give_factor(factors, "boris", MOMENT, SECRET)
    assert take_factors(factors, ["boris", "carole"])
    assert logins(read(factors)) == ["anne"]
    assert not take_factors(factors, ["boris"])


def test_the_lock_of_pam_is_waited_for_and_ours_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors, lock = tmp_path / "factors", tmp_path / "factors.lock"
    give_factor(factors, "anne", MOMENT, SECRET)
    assert not lock.exists()  # pam_oath would wait for ever
    monkeypatch.setattr(people, "LOCKED", 0.1)
    lock.touch()
    with pytest.raises(RackError, match=r"factors\.lock"):
        give_factor(factors, "boris", MOMENT, SECRET)
    assert lock.exists()
    assert logins(read(factors)) == ["anne"]


def test_nobody_is_enrolled_who_is_not_declared() -> None:
    check_person("anne", ["anne"])
    with pytest.raises(RackError, match="boris"):
        check_person("boris", ["anne"])


@pytest.mark.parametrize(
    ("password", "again"),
    [
        pytest.param("aube-7-pignon-vert", "aube-7-pignon-ver", id="the two differ"),
        pytest.param("Court-7-abcd"[: PASSWORD_CHARS_MIN - 1], "Court-7-abc", id="short"),
        pytest.param("aaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaab", id="the same letter"),
        pytest.param("xx-Anne-7-pignon", "xx-Anne-7-pignon", id="the login"),
    ],
)
def test_a_weak_password_is_refused(password: str, again: str) -> None:
    with pytest.raises(RackError):
        check_password("anne", password, again)


def test_a_password_goes_to_the_system_by_its_standard_input_alone() -> None:
    seen: list[tuple[Sequence[str], str]] = []

    def runs(argv: Sequence[str], typed: str) -> int:
        seen.append((argv, typed))
        return 0

    check_password("anne", "aube-7-pignon-vert", "aube-7-pignon-vert")
    set_password("anne", "aube-7-pignon-vert", runs)
    assert seen == [(["/usr/sbin/chpasswd"], "anne:aube-7-pignon-vert\n")]


@pytest.mark.parametrize("password", ["un mot\nroot:autre", "refusé par le système"])
def test_no_second_line_and_no_refusal_pass_for_a_change(password: str) -> None:
    with pytest.raises(RackError):
        set_password("anne", password, lambda _, __: 1)
    with pytest.raises(RackError):
        set_password("anne", "a\nroot:x", lambda _, __: 0)


def test_a_seal_is_new_each_time_long_and_mends_the_broken_one(tmp_path: Path) -> None:
    (tmp_path / USED).touch()
    typed: list[str] = []

    def runs(_: Sequence[str], text: str) -> int:
        typed.append(text)
        return 0

    password = seal(tmp_path, runs)
    assert typed == [f"{BREAK_GLASS}:{password}\n"]
    assert len(password) >= 30
    assert not (tmp_path / USED).exists()
    assert len({words() for _ in range(50)}) == 50


def test_a_seal_that_the_system_refuses_stays_broken(tmp_path: Path) -> None:
    (tmp_path / USED).touch()
    with pytest.raises(RackError):
        seal(tmp_path, lambda _, __: 1)
    assert (tmp_path / USED).exists()


def test_programs_of_the_system_get_what_is_typed() -> None:
    assert run(["/usr/bin/test", "-t", "9"], "") == 1
    assert run(["/bin/sh", "-c", "read word && test $word = mot"], "mot\n") == 0


def test_a_machine_without_the_group_has_no_named_people(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert members("no-such-group") == []
    monkeypatch.setattr(people, "GROUP", "root")
    assert os.getuid() >= 0
    assert "nobody-at-all" not in members("root")
