"""The policy in force follows its file, and never becomes none."""

import os
from pathlib import Path

import msgspec
import pytest

from appliance.errors import FormatError
from appliance.gateway.rulings import Rulings
from appliance.identity.principal import Scope
from tests.gateway.stand import POLICY


def write(path: Path, text: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(text)
    os.replace(new, path)  # noqa: PTH105 - as the writer does it


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (made := tmp_path / "policy.json").write_bytes(POLICY.text())
    return made


def test_a_replaced_policy_is_taken_over_with_its_digest_and_guards(path: Path) -> None:
    rulings = Rulings(path)
    before = rulings.current
    rulings.look()
    assert rulings.current is before
    write(path, msgspec.structs.replace(POLICY, ungrounded=False).text())
    rulings.look()
    assert rulings.current.policy.ungrounded is False
    assert rulings.current.digest != before.digest
    assert len(rulings.current.digest) == 44


@pytest.mark.parametrize("text", [b"", b"{}", POLICY.text()[:-1], None])
def test_a_policy_that_cannot_be_read_leaves_the_old_one(
    path: Path, text: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    rulings = Rulings(path)
    if text is None:
        path.unlink()
    else:
        write(path, text)
    rulings.look()
    assert rulings.current.policy == POLICY
    assert "policy.unreadable" in caplog.text
    write(path, POLICY.text())
    rulings.look()
    assert rulings.current.policy == POLICY


def test_without_a_policy_no_worker_starts(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        Rulings(tmp_path / "absent.json")


def test_roles_mean_what_the_policy_of_the_moment_says(path: Path) -> None:
    rulings = Rulings(path)
    assert Scope.CHAT in rulings.scopes(frozenset({"utilisateur"}))
    write(path, msgspec.structs.replace(POLICY, roles={}).text())
    rulings.look()
    assert rulings.scopes(frozenset({"utilisateur"})) == frozenset()
