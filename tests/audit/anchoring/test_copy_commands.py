"""The command as it is used at the rack, against a running recorder."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from appliance.audit.commands import app
from appliance.audit.event import Fact, Kind
from appliance.audit.key import Signer
from appliance.audit.volume import VERIFIER_KEY
from tests.audit import exports, logs
from tests.audit.anchoring.test_paper_commands import work
from tests.audit.parts import leaves_of
from tests.recording import SEED, new_log, running, settings_file


def run(*argv: str | Path, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in argv], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result


def answer(*argv: str | Path, exit_code: int = 0) -> Any:
    return json.loads(run(*argv, "--json", exit_code=exit_code).stdout)


def test_a_copy_of_a_running_log_is_an_anchor_of_it(tmp_path: Path) -> None:
    settings = new_log(tmp_path)
    key = settings.directory / VERIFIER_KEY
    key.write_text(Signer(settings.origin, SEED).verifier.text() + "\n")
    (medium := tmp_path / "medium").mkdir()
    with running(settings):
        file = settings_file(settings)
        work(settings, range(20))
        first = answer("copy", file, "--to", medium, "--name", "USB 3")
        assert first["read"] == first["size"] == first["added"]
        leaf = leaves_of(settings)[first["record"]]
        assert isinstance(leaf.event, Fact)
        assert leaf.event.kind is Kind.AUDIT_ANCHOR
        assert (leaf.event.data["kind"], leaf.event.data["name"]) == ("usb", "USB 3")
        work(settings, range(20, 40))
        second = answer("copy", file, "--to", medium)
        assert second["added"] == second["size"] - first["size"]
        kept = settings.directory / "anchors" / f"{first['size']}.note"
        assert (medium / "anchors" / kept.name).read_bytes() == kept.read_bytes()
        since = ("--since", medium / "checkpoint", "--key", key)
        assert answer("verify", settings.directory, *since)["anchors"] == 1


def test_a_medium_that_forgets_a_byte_is_named_in_the_language_of_who_carries_it(
    tmp_path: Path,
) -> None:
    log = exports.log_of(tmp_path, logs.leaves(logs.exchanges(20)), [])
    (medium := tmp_path / "medium").mkdir()
    said = run("copy", log, "--to", medium).stdout
    assert said.startswith("Copie à jour : ")
    assert "Non inscrite" in said
    path = medium / "tile/entries/000.p/41"
    path.write_bytes(path.read_bytes().replace(b'"index":7,', b'"index":8,'))
    said = run("copy", log, "--to", medium, exit_code=1).stdout
    assert said.startswith("LE SUPPORT N’EST PAS FIDÈLE")
    assert "Événement 7, tile/entries/000.p/41, octet" in said
    english = run("copy", log, "--to", medium, "--language", "en", exit_code=1).stdout
    assert english.startswith("THE MEDIUM IS NOT FAITHFUL")
    facts = answer("copy", log, "--to", medium, exit_code=1)
    assert (facts["file"], facts["record"]) == ("tile/entries/000.p/41", 7)
