"""What pages are made with: the policy of the moment, language and theme."""

import os
from pathlib import Path

import pytest

from appliance.console.context import Policies, theme_of
from appliance.errors import FormatError
from appliance.identity.policy import Guards, Policy
from appliance.identity.principal import Scope


def write(path: Path, site: str, at: int) -> None:
    policy = Policy(site, ["a"], {"utilisateur": [Scope.CHAT]}, {}, Guards({}, {}))
    path.write_bytes(policy.text())
    os.utime(path, ns=(at, at))


def test_the_policy_is_read_again_when_it_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    write(path, "un", 1)
    policies = Policies(path)
    assert policies.current is policies.current
    write(path, "deux", 2)
    assert policies.current.site == "deux"
    assert policies.scopes(frozenset({"utilisateur"})) == {Scope.CHAT}


@pytest.mark.parametrize("content", [b"{", None], ids=["broken", "gone"])
def test_a_policy_that_cannot_be_read_leaves_the_old_one_in_force(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "policy.json"
    write(path, "un", 1)
    policies = Policies(path)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert policies.current.site == "un"
    assert "policy.unreadable" in caplog.text


def test_no_policy_is_no_console(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        Policies(tmp_path / "absent.json")


def test_only_our_themes_are_taken_from_a_cookie() -> None:
    assert theme_of({"theme": "sombre"}) == "sombre"
    assert theme_of({"theme": "systeme"}) == ""
    assert theme_of({}) == ""
