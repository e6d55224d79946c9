import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.cli import app
from tests.identity_server import SECRETS, Site


@pytest.fixture
def settings(site: Site, tmp_path: Path) -> Path:
    lines = [f'keycloak = "{site.instance.address}"', f'origin = "{site.origin}"']
    for name, secret in SECRETS.items():
        (path := tmp_path / name).write_text(secret)
        lines.append(f'{name}_secret = "{path}"')
    (path := tmp_path / "identity.toml").write_text("\n".join(lines))
    return path


def test_a_second_provisioning_says_that_nothing_changed(settings: Path) -> None:
    done = CliRunner().invoke(app, ["identity", "provision", "--settings", str(settings)])
    assert (done.exit_code, done.stdout) == (0, "unchanged\n"), done.exception
    words = ["identity", "provision", "--settings", str(settings), "--json"]
    assert json.loads(CliRunner().invoke(app, words).stdout) == {"changes": []}


def test_what_drifted_is_named(settings: Path, site: Site) -> None:
    site.admin().write("put", "", {"failureFactor": 9}, "drift")
    done = CliRunner().invoke(app, ["identity", "provision", "--settings", str(settings)])
    assert done.stdout == "casemate: settings\n"
