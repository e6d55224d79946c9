import ast
from pathlib import Path
from types import ModuleType

import pytest

from appliance import settings, trail_settings
from appliance.settings import (
    EngineSettings,
    RecorderSettings,
    SettingsError,
    load,
    read_secret,
)

ENGINE = 'socket = "/run/engine.sock"\n'
RECORDER = 'origin = "o"\ndirectory = "/log"\nlast_signed = "/l"\nsocket = "/s"\n[clients]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "socket: Field required", id="empty"),
        pytest.param(ENGINE + "typo = 1\n", "typo: Extra inputs", id="unknown key"),
        pytest.param("socket =", "a.toml: Invalid value", id="not TOML"),
    ],
)
def test_wrong_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (path := tmp_path / "a.toml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        load(path, EngineSettings)


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "absent", EngineSettings)


def test_no_time_at_all_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "r.toml").write_text("append_timeout = 0\n" + RECORDER)
    with pytest.raises(SettingsError, match="append_timeout"):
        load(path, RecorderSettings)


def test_clients_of_the_recorder_are_numbers(tmp_path: Path) -> None:
    (path := tmp_path / "r.toml").write_text(RECORDER + '881 = ["*"]\n')
    assert load(path, RecorderSettings).clients == {881: frozenset({"*"})}
    path.write_text(RECORDER + "gateway = []\n")
    with pytest.raises(SettingsError, match=r"clients\.gateway"):
        load(path, RecorderSettings)


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "secret").write_bytes(bytes(32))
    assert read_secret(path) == bytes(32)
    path.write_bytes(bytes(31))
    with pytest.raises(SettingsError, match="31 bytes"):
        read_secret(path)
    with pytest.raises(SettingsError, match="No such file"):
        read_secret(tmp_path / "absent")


@pytest.mark.parametrize("module", [settings, trail_settings], ids=lambda m: m.__name__)
def test_each_key_says_what_it_is_or_its_name_does(module: ModuleType) -> None:
    """Only the nested realm has none: its class says it."""
    silent = set()
    assert module.__file__
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    for owner in (n for n in tree.body if isinstance(n, ast.ClassDef)):
        for item, after in zip(owner.body, [*owner.body[1:], None], strict=True):
            if isinstance(item, ast.AnnAssign) and not (
                isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            ):
                silent.add(ast.unparse(item.target))
    assert silent <= {"realm"}
