"""`casemate witness`: the key made once, a request cosigned by file with the bytes of HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from appliance.audit.commands import witness
from appliance.audit.cosignature import Cosigner
from appliance.audit.note import Signature
from appliance.audit.witness.request import RefusedError
from tests.audit import logs
from tests.audit.witness.test_request import fork, head, request


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    path = tmp_path / "witness.toml"
    keys = ", ".join(f'"{key}"' for key in logs.VERIFIER_KEYS.split("\n"))
    path.write_text(
        f'name = "rssi.example/w1"\ndirectory = "{tmp_path}/state"\nlogs = [{keys}]\n'
    )
    return path


def run(*words: object) -> str:
    done = CliRunner().invoke(witness, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def answer(*words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json"))
    return found


def test_init_prints_the_key_for_the_policy_and_never_makes_another(settings: Path) -> None:
    facts = answer("init", "--settings", settings)
    assert facts["new"] == logs.ORIGIN
    Cosigner.parse(facts["key"])
    again = answer("init", "--settings", settings)
    assert (again["key"], again["new"]) == (facts["key"], "—")
    assert facts["key"] in run("init", "--settings", settings, "--language", "en")


def test_a_request_carried_by_hand_is_cosigned_once_and_in_order(
    settings: Path, tmp_path: Path
) -> None:
    key = Cosigner.parse(answer("init", "--settings", settings)["key"])
    (tmp_path / "req.txt").write_bytes(request(0, 300).to_bytes())
    facts = answer("sign", "--settings", settings, "--request", tmp_path / "req.txt")
    assert (facts["origin"], facts["size"]) == (logs.ORIGIN, 300)
    text = (tmp_path / "cosig.txt").read_text()
    assert key.verify(
        head(300).text().encode(), Signature.parse(text.removesuffix("\n")).data
    )  # of the bytes that HTTP answers
    (tmp_path / "next.txt").write_bytes(request(300, 600).to_bytes())
    out = tmp_path / "back.txt"
    words = ("sign", "--settings", settings, "--request", tmp_path / "next.txt", "--out", out)
    assert "600 événements" in run(*words)
    assert out.read_bytes() != text.encode()
    for refused in (request(0, 300), request(300, 600)):
        (tmp_path / "req.txt").write_bytes(refused.to_bytes())
        with pytest.raises(RefusedError, match="409"):
            run("sign", "--settings", settings, "--request", tmp_path / "req.txt")
    (tmp_path / "req.txt").write_bytes(b"old 600\n\n" + fork(600))
    with pytest.raises(RefusedError, match="422"):
        run("sign", "--settings", settings, "--request", tmp_path / "req.txt")
