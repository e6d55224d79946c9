from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from appliance.console.commands import commands, configuration
from appliance.settings import ConsoleSettings, SettingsError


def test_the_console_listens_on_its_socket_and_says_nothing_of_itself(tmp_path: Path) -> None:
    config = configuration(lambda: None, tmp_path / "s")
    assert config.uds == str(tmp_path / "s")
    assert not config.access_log
    assert not config.server_header
    assert not config.proxy_headers


def test_settings_that_are_wrong_stop_it_before_it_listens(tmp_path: Path) -> None:
    made: list[ConsoleSettings] = []

    def create(settings: ConsoleSettings) -> Any:
        made.append(settings)

    path = tmp_path / "console.toml"
    path.write_text('socket = "/tmp/s"\nunknown = 1\n')
    result = CliRunner().invoke(commands(create), ["serve", "--settings", str(path)])
    assert isinstance(result.exception, SettingsError)
    assert "unknown" in str(result.exception)
    assert made == []


@pytest.mark.parametrize("word", ["serve"])
def test_help_names_the_command(word: str) -> None:
    assert word in CliRunner().invoke(commands(lambda _: None), ["--help"]).output
