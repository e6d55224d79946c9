"""From the printed sheet to the leaf of the log, and back to a verification."""

import json
from pathlib import Path
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pytest
import zxingcpp
from typer.testing import CliRunner, Result

from appliance.audit.anchoring.answer import AnchorError
from appliance.audit.client import RefusedError
from appliance.audit.commands import app
from appliance.audit.event import Fact, Kind
from appliance.audit.key import Signer
from appliance.audit.volume import VERIFIER_KEY
from appliance.errors import VerificationError
from appliance.settings import RecorderSettings, SettingsError
from tests.audit import exports, logs
from tests.audit.parts import leaves_of
from tests.recording import SEED, RawClient, completion, intent, new_log, running, settings_file


def run(*argv: str | Path, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in argv], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result


def answer(*argv: str | Path, exit_code: int = 0) -> Any:
    return json.loads(run(*argv, "--json", exit_code=exit_code).stdout)


def scanned(pdf: Path) -> bytes:
    with pypdfium2.PdfDocument(pdf) as document:
        (found,) = zxingcpp.read_barcodes(document[0].render(scale=3).to_numpy())
    return bytes(found.bytes)


def work(settings: RecorderSettings, numbers: range) -> None:
    """Have the log grow, and wait for a checkpoint of all."""
    with RawClient(settings.socket) as client:
        index = 0
        for number in numbers:
            client.append(intent(number))
            index = client.append(completion(number))["index"]
        client.ask("prove", index=index)


def test_a_sheet_is_printed_signed_recorded_scanned_and_holds_the_log_to_it(
    tmp_path: Path,
) -> None:
    settings = new_log(tmp_path)
    key = settings.directory / VERIFIER_KEY
    if not key.exists():
        key.write_text(Signer(settings.origin, SEED).verifier.text() + "\n")
    with running(settings):
        file = settings_file(settings)
        work(settings, range(5))
        made = answer("sheet", file, "--out", tmp_path / "fiche.pdf", "--marking", "DR")
        assert Path(made["note"]) == tmp_path / "fiche.note"
        note = scanned(tmp_path / "fiche.pdf")
        assert note == (tmp_path / "fiche.note").read_bytes()
        work(settings, range(5, 9))
        (tmp_path / "typed.txt").write_bytes(note.replace(b"\n", b" \r\n") + b"\n")
        by = ("--by", "Mme Durand", "--settings", file)
        told = answer("anchor", "paper", tmp_path / "typed.txt", *by)
        assert told["size"] == made["size"]
        kept = settings.directory / "anchors" / f"{told['size']}.note"
        assert kept.read_bytes() == note
        leaf = leaves_of(settings)[told["record"]]
        assert isinstance(leaf.event, Fact)
        assert leaf.event.kind is Kind.AUDIT_ANCHOR
        assert (leaf.event.data["kind"], leaf.event.data["name"]) == ("paper", "Mme Durand")
        with RawClient(settings.socket) as client:
            assert client.ask("status")["body"]["anchored"]["kind"] == "paper"
        typed = ("--since", tmp_path / "typed.txt", "--key", key)
        whole = answer("verify", settings.directory, *typed)
        assert (whole["verdict"], whole["anchors"]) == ("whole", 1)


def test_a_log_that_differs_from_its_sheet_is_named(tmp_path: Path) -> None:
    stored = logs.leaves(logs.exchanges(20))
    sheet = tmp_path / "note.txt"
    sheet.write_bytes(exports.head_of([*stored[:30], stored[5]], 31).to_bytes())
    log = logs.write(tmp_path, stored)
    trust = ("--key", logs.VERIFIER_KEYS, "--since", sheet)
    facts = answer("verify", log, *trust, exit_code=1)
    assert (facts["fault"], facts["record"]) == ("E_ROLLBACK", 30)


def test_the_sheet_has_the_cosignatures_that_are_kept(tmp_path: Path) -> None:
    log = exports.log_of(tmp_path, logs.leaves(logs.exchanges(20)), [41])
    made = answer("sheet", log, "--out", tmp_path / "f.pdf", "--language", "en")
    note = Path(made["note"]).read_bytes()
    assert note == (log / "anchors" / "41.note").read_bytes()
    assert scanned(tmp_path / "f.pdf") == note
    text = run("sheet", log, "--out", tmp_path / "f.pdf").stdout
    assert text.startswith("Fiche : ")
    assert "41 événements" in text


def test_a_fork_among_the_anchors_is_not_printed(tmp_path: Path) -> None:
    stored = logs.leaves(logs.exchanges(20))
    log = exports.log_of(tmp_path, stored, [])
    other = exports.head_of([*stored[:40], stored[7]])
    (log / "anchors" / "41.note").write_bytes(other.to_bytes())
    with pytest.raises(VerificationError, match="fork"):
        run("sheet", log, "--out", tmp_path / "f.pdf")
    assert not (tmp_path / "f.pdf").exists()


def test_a_folder_without_a_signed_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="verifier-key"):
        run("sheet", tmp_path, "--out", tmp_path / "f.pdf")


def test_a_sheet_of_another_history_is_not_recorded(tmp_path: Path) -> None:
    settings = new_log(tmp_path)
    stored = logs.leaves(logs.exchanges(1))
    (settings.directory / VERIFIER_KEY).write_text(f"{logs.VERIFIER_KEY}\n")
    (note := tmp_path / "n.txt").write_bytes(exports.head_of(stored).to_bytes())
    with running(settings):
        work(settings, range(5))
        by = ("--by", "x", "--settings", settings_file(settings))
        with pytest.raises(AnchorError, match="does not begin"):
            run("anchor", "paper", note, *by)
        long = exports.head_of(logs.leaves(logs.exchanges(90)))
        note.write_bytes(long.to_bytes())
        with pytest.raises(RefusedError):
            run("anchor", "paper", note, *by)
        kinds = [getattr(leaf.event, "kind", None) for leaf in leaves_of(settings)]
        assert Kind.AUDIT_ANCHOR not in kinds
    assert not (settings.directory / "anchors").exists()


def test_an_export_too_is_held_to_a_sheet_that_was_typed(tmp_path: Path) -> None:
    stored = logs.leaves(logs.exchanges(20))
    made = exports.exported(tmp_path, stored, [41])
    typed = tmp_path / "typed.txt"
    typed.write_bytes(exports.head_of(stored, 30).to_bytes().replace(b"\n", b" \r\n") + b"\n")
    trust = ("--policy", tmp_path / "POLICY", "--since", typed)
    run("verify", made.folder, *trust)
    other = exports.head_of([*stored[:29], stored[3]], 30)
    typed.write_bytes(other.to_bytes())
    run("verify", made.folder, *trust, exit_code=1)
