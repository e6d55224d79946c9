"""From the command that takes an export away to the verdicts on it, and on the next one."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from appliance.audit.commands import app
from appliance.audit.event import Kind, fact
from appliance.audit.export import range_of
from appliance.audit.exported import verifier, verifier_digest
from appliance.audit.volume import VERIFIER_KEY
from tests.audit import logs
from tests.audit.exports import exported, head_of, log_of


def run(*argv: str | Path, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in argv], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result


def answer(*argv: str | Path, exit_code: int = 0) -> Any:
    return json.loads(run(*argv, "--json", exit_code=exit_code).stdout)


def leaves(count: int) -> list[bytes]:
    return logs.leaves([fact(Kind.RAG_OPEN, "ada", f"fact-{n:016d}") for n in range(count)])


PLAIN = ("--formats", "jsonl")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return log_of(tmp_path, leaves(40), [40])


@pytest.fixture
def policy(log: Path) -> Path:
    return log.parent / "POLICY"


def test_an_export_is_written_and_verified_by_the_same_commands(
    log: Path, tmp_path: Path, policy: Path
) -> None:
    facts = answer("export", log, "--out", tmp_path / "out", "--label", "Usage interne", *PLAIN)
    assert (facts["first"], facts["last"], facts["size"]) == (0, 39, 40)
    assert facts["recorded"] is False
    assert facts["verifier"] == verifier_digest()
    assert facts["folder"].endswith("-0-39-usage-interne")
    verdict = answer("verify", facts["folder"], "--policy", policy)
    assert (verdict["exit"], verdict["verdict"]) == (0, "whole")
    keyed = answer("verify", facts["folder"], "--key", log / VERIFIER_KEY, exit_code=3)
    assert keyed["remarks"][0]["remark"] == "W_NO_QUORUM"


def test_the_answer_to_people_says_what_goes_on_paper(log: Path, tmp_path: Path) -> None:
    said = run("export", log, "--out", tmp_path, "--from", "3", "--to", "9", *PLAIN).stdout
    assert said.startswith("Export : ")
    assert "Événements 3 à 9, parmi 40 signés" in said
    assert f"à comparer au procès-verbal : {verifier_digest()}" in said
    assert "NON inscrit au journal" in said
    said = run("export", log, "--out", tmp_path / "en", "--language", "en", *PLAIN).stdout
    assert "NOT recorded in the log" in said


def test_verify_of_an_export_wants_one_trust(log: Path, tmp_path: Path, policy: Path) -> None:
    folder = answer("export", log, "--out", tmp_path / "out", *PLAIN)["folder"]
    run("verify", folder, exit_code=2)
    run("verify", folder, "--policy", policy, "--key", log / VERIFIER_KEY, exit_code=2)
    run("verify", log, exit_code=2)  # a log wants its key


def test_a_checkpoint_kept_elsewhere_and_a_keyring_are_brought(
    log: Path, tmp_path: Path, policy: Path
) -> None:
    folder = answer("export", log, "--out", tmp_path / "out", *PLAIN)["folder"]
    kept = tmp_path / "kept"
    kept.write_bytes(head_of(leaves(45)).to_bytes())
    facts = answer("verify", folder, "--policy", policy, "--since", kept, exit_code=1)
    assert facts["fault"] == "E_ROLLBACK"
    ring = Path(folder) / "keys/keyring.json"
    copy = tmp_path / "ring"
    copy.write_bytes(ring.read_bytes())
    answer("verify", folder, "--policy", policy, "--keyring", copy)
    copy.write_bytes(b"{}")
    answer("verify", folder, "--policy", policy, "--keyring", copy, exit_code=2)


def test_the_second_visit_is_held_against_the_first(tmp_path: Path) -> None:
    old = exported(tmp_path / "old", leaves(30), [30]).folder
    new = exported(tmp_path / "new", leaves(50), []).folder
    policy = tmp_path / "old/POLICY"
    facts = answer("diff", old, new, "--policy", policy, exit_code=3)
    assert (facts["checked"], facts["old_size"], facts["size"]) == ("new", 30, 50)
    assert facts["remarks"] == [{"remark": "W_UNANCHORED_TAIL", "index": 30}]
    facts = answer("diff", new, old, "--policy", policy, exit_code=1)
    assert (facts["checked"], facts["fault"]) == ("new", "E_ROLLBACK")
    other = exported(tmp_path / "other", [*leaves(20), *leaves(50)[:30]], []).folder
    assert answer("diff", old, other, "--policy", policy, exit_code=1)["fault"] in {
        "E_FORK", "E_FORMAT",
    }  # fmt: skip
    (old / "checkpoint").write_bytes(b"")
    facts = answer("diff", old, new, "--policy", policy, exit_code=1)
    assert (facts["checked"], facts["fault"]) == ("old", "E_SIG")
    said = run("diff", old, new, "--policy", policy, exit_code=1).stdout
    assert said.startswith("Premier export, refusé avant toute comparaison :\nEXPORT FALSIFIÉ")


def test_the_program_and_its_digest_are_printed() -> None:
    assert run("verifier").stdout == verifier()
    assert run("verifier", "--digest").stdout == verifier_digest() + "\n"


def test_exports_to_learn_on_are_written_beside_their_page(tmp_path: Path) -> None:
    facts = answer("sample", "--out", tmp_path / "exercices")
    assert "1-intact" in facts["exports"]
    page = (tmp_path / "exercices/A-LIRE.txt").read_text()
    assert all(f"{name} : " in page for name in facts["exports"])


# with a recorder


@pytest.fixture
def site() -> Iterator[Path]:
    """Run a recorder; return its settings."""
    with tempfile.TemporaryDirectory(prefix="cm-") as name:
        folder = Path(name)
        for part in ("log", "signed"):
            (folder / part).mkdir()
        path = folder / "recorder.toml"
        path.write_text(
            f'origin = "{logs.ORIGIN}"\ndirectory = "{folder}/log"\n'
            f'last_signed = "{folder}/signed"\nsocket = "{folder}/socket"\n'
            f"checkpoint_interval = 0.1\nsegment_bytes = {logs.SEGMENT_BYTES}\n"
            f'[clients]\n{os.getuid()} = ["*"]\n'
        )
        run("init", "--settings", path)
        argv = [sys.executable, "-m", "appliance.cli", "audit", "recorder", "--settings"]
        process = subprocess.Popen([*argv, str(path)], stderr=subprocess.DEVNULL)
        try:
            limit = time.monotonic() + 20
            while not (folder / "log/checkpoint").exists() and time.monotonic() < limit:
                time.sleep(0.05)
            yield path
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.process
def test_what_is_taken_away_is_in_the_log(site: Path, tmp_path: Path) -> None:
    facts = answer("export", site, "--out", tmp_path / "out", "--label", "Interne", *PLAIN)
    assert facts["recorded"] is True
    limit = time.monotonic() + 20
    while range_of(site.parent / "log")[1] < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    again = answer("export", site, "--out", tmp_path / "out", *PLAIN)
    lines = (Path(again["folder"]) / "events.jsonl").read_text().splitlines()
    taken = [json.loads(line)["record"]["event"] for line in lines]
    said = [one["data"] for one in taken if one["type"] == Kind.AUDIT_EXPORT]
    assert [one["state"] for one in said[:2]] == ["begin", "done"]
    assert said[1]["sums"] == facts["sums"]
    assert said[0]["marking"] == "Interne"
    assert (said[0]["first"], said[0]["formats"]) == (0, "jsonl")


@pytest.mark.process
def test_a_recorder_that_is_gone_is_said(site: Path, tmp_path: Path) -> None:
    stale = site.with_name("stale.toml")
    text = site.read_text().replace("/socket", "/nobody")
    stale.write_text(text)
    assert answer("export", stale, "--out", tmp_path / "out", *PLAIN)["recorded"] is False
    (site.parent / "nobody").write_bytes(b"")  # a socket that nobody serves
    moved = answer("export", stale, "--out", tmp_path / "other", *PLAIN)
    assert moved["recorded"] is False
