from pathlib import Path

import msgspec
import pytest

from appliance.errors import FormatError
from appliance.identity.policy import Guards, Policy, read
from appliance.identity.principal import Scope

POLICY = Policy(
    site="Essai",
    labels=["libre", "interne"],
    roles={"utilisateur": [Scope.CHAT, Scope.SEARCH], "rssi": [Scope.STOP]},
    models={},
    guards=Guards({"nir": "flag"}, {"nir": "mask"}),
)


def test_the_text_is_read_back_and_has_one_digest(tmp_path: Path) -> None:
    (path := tmp_path / "policy.json").write_bytes(POLICY.text())
    assert read(path) == POLICY
    assert read(path).digest() == POLICY.digest()
    other = msgspec.structs.replace(POLICY, ungrounded=True)
    assert other.digest() != POLICY.digest()


def test_roles_add_up_and_an_unknown_role_gives_nothing() -> None:
    assert POLICY.scopes(frozenset({"utilisateur", "rssi"})) == {
        Scope.CHAT,
        Scope.SEARCH,
        Scope.STOP,
    }
    assert POLICY.scopes(frozenset({"root", "offline_access"})) == set()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="nothing said"),
        pytest.param(POLICY.text()[:-1], id="cut"),
        pytest.param(POLICY.text()[:-1] + b',"x":1}', id="unknown key"),
        pytest.param(POLICY.text().replace(b'"chat"', b'"root"'), id="unknown scope"),
        pytest.param(POLICY.text().replace(b'"mask"', b'"drop"'), id="unknown action"),
    ],
)
def test_another_text_is_refused(tmp_path: Path, text: bytes) -> None:
    (path := tmp_path / "policy.json").write_bytes(text)
    with pytest.raises(FormatError):
        read(path)


def test_an_absent_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        read(tmp_path / "policy.json")
