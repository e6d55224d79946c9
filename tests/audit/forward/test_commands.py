"""The command as an operator meets it; at work in `test_forwarder.py`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.audit.commands import app
from appliance.settings import SettingsError


def test_it_says_which_settings_are_wrong(tmp_path: Path) -> None:
    (path := tmp_path / "forwarder.toml").write_text('collector = "x"\nqueue = 7\n')
    with pytest.raises(SettingsError, match=r"recorder: Field required\n(.|\n)*queue: Extra"):
        CliRunner().invoke(app, ["forward", "--settings", str(path)], catch_exceptions=False)
    done = CliRunner().invoke(app, ["forward"])
    assert done.exit_code == 2
