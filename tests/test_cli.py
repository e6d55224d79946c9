from pathlib import Path

import pytest

from appliance import cli

ENGINE = 'socket = "/run/engine.sock"\n'


def casemate(monkeypatch: pytest.MonkeyPatch, *argv: str) -> int:
    monkeypatch.setattr("sys.argv", ["casemate", *argv])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_done_is_0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (path := tmp_path / "e.toml").write_text(ENGINE)
    assert casemate(monkeypatch, "settings", "check", "engine", str(path)) == 0


def test_refused_is_1_with_the_reason_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "r.toml").write_text("")
    assert casemate(monkeypatch, "settings", "check", "recorder", str(path)) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"casemate: {path}:\norigin: Field required\n")
    assert "Traceback" not in message


def test_a_defect_is_70_with_all_we_know(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cli, "load", lambda *_: 1 / 0)
    assert casemate(monkeypatch, "settings", "check", "recorder", "/nowhere") == 70
    assert "ZeroDivisionError" in caplog.text


def test_wrong_usage_is_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert casemate(monkeypatch, "settings", "check", "nothing") == 2


@pytest.mark.parametrize("name", sorted(cli.DOMAINS))
def test_each_command_of_a_domain_explains_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert casemate(monkeypatch, name, "--help") == 0
    assert f"casemate {name}" in capsys.readouterr().out
