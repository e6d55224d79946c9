"""`casemate audit reader serve` reads its settings and says what is missing."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.audit.commands import app
from appliance.settings import SettingsError


def test_serving_needs_its_settings(tmp_path: Path) -> None:
    (path := tmp_path / "reader.toml").write_text("")
    done = CliRunner().invoke(app, ["reader", "serve", "--settings", str(path)])
    assert isinstance(done.exception, SettingsError)
    with pytest.raises(SettingsError, match="wrapping_key: Field required"):
        raise done.exception
