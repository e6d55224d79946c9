import json

import pytest
import typer

from appliance.bundle.chunks import Fault
from appliance.bundle.reading import Finding, FindingsError
from appliance.bundle.refusal import UntrustedError
from appliance.bundle.show import outcome, progress


def test_a_refusal_is_said_in_french_then_english_with_its_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as ended, outcome(as_json=False):
        raise UntrustedError("CM-INS-03", "mal signé", "badly signed")
    assert ended.value.exit_code == 4
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[:2] == ["CM-INS-03 Signature insuffisante", "mal signé"]
    assert lines[2].startswith("→ N’installez rien")
    assert lines[-1] == "badly signed"


def test_a_refusal_in_json_has_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    many = [Finding(f"chunks/{n}", "1/2", Fault.SIZE, ("a",)) for n in range(50)]
    with pytest.raises(typer.Exit), outcome(as_json=True):
        raise FindingsError(many, [2])
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["exit"], found["media_absent"]) == (False, 3, [2])
    assert found["findings"][49] == {
        "path": "chunks/49", "medium": "1/2", "fault": "size", "files": ["a"]
    }  # fmt: skip


def test_a_quiet_bar_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("x", 10, quiet=True) as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")
