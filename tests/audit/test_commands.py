"""The command line of the log, from the making of its key to a receipt on another machine."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from typer.testing import CliRunner, Result

from appliance.audit import publisher, volume
from appliance.audit.client import RecorderClient
from appliance.audit.commands import PAGE, app
from appliance.audit.content import Ephemeral
from appliance.audit.key import parse_keys, verifier_key
from appliance.audit.publisher import RollbackError
from appliance.audit.receipt import check, page, receipt_file
from appliance.audit.volume import VERIFIER_KEY
from appliance.errors import ApplianceError, VerificationError
from tests.audit import logs
from tests.audit.logs import ANSWER, QUESTION

READER = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def run(*argv: str | Path, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(arg) for arg in argv], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result


def answer(*argv: str | Path, exit_code: int = 0) -> Any:
    return json.loads(run(*argv, "--json", exit_code=exit_code).stdout)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="cm-") as name:
        yield Path(name)


@pytest.fixture
def settings_file(folder: Path) -> Path:
    for name in ("log", "signed"):
        (folder / name).mkdir()
    path = folder / "recorder.toml"
    path.write_text(
        f'origin = "{logs.ORIGIN}"\ndirectory = "{folder}/log"\n'
        f'last_signed = "{folder}/signed"\nsocket = "{folder}/socket"\n'
        f'segment_bytes = {logs.SEGMENT_BYTES}\n[clients]\n{os.getuid()} = ["*"]\n'
    )
    return path


# the key and the empty log


def test_init_shows_the_key_that_the_report_needs_and_keeps_the_other_half(
    settings_file: Path, folder: Path
) -> None:
    facts = answer("init", "--settings", settings_file)
    seed = volume.read_key(folder / "log")
    p256 = volume.read_key(folder / "log", volume.KEY_P256)
    keys = verifier_key(logs.ORIGIN, seed, p256)
    assert facts == {"directory": str(folder / "log"), "key": keys}
    assert (folder / "log" / VERIFIER_KEY).read_text() == keys + "\n"
    assert [key.algorithm for key in parse_keys(keys)] == [1, 2]
    for name in (volume.KEY, volume.KEY_P256):
        assert (folder / "log" / name).stat().st_mode & 0o777 == 0o400
    assert volume.read(folder / "log") == []
    assert "procès-verbal" not in json.dumps(facts)


def test_each_machine_has_its_own_key(settings_file: Path, folder: Path) -> None:
    first = answer("init", "--settings", settings_file)["key"]
    for name in ("log", "signed"):
        shutil.rmtree(folder / name)
        (folder / name).mkdir()
    assert answer("init", "--settings", settings_file)["key"] != first


@pytest.mark.parametrize("lost", [volume.KEY, volume.KEY_P256])
def test_init_never_overwrites_a_key(settings_file: Path, folder: Path, lost: str) -> None:
    run("init", "--settings", settings_file)
    (folder / "log" / lost).unlink()
    (kept,) = {volume.KEY, volume.KEY_P256} - {lost}
    before = volume.read_key(folder / "log", kept)
    with pytest.raises(volume.VolumeError, match="not overwritten"):
        run("init", "--settings", settings_file)
    assert volume.read_key(folder / "log", kept) == before
    assert not (folder / "log" / lost).exists()


def test_init_refuses_a_machine_that_signed_before(settings_file: Path, folder: Path) -> None:
    run("init", "--settings", settings_file)
    shutil.rmtree(folder / "log")
    (folder / "log").mkdir()
    with pytest.raises(RollbackError, match="not overwritten"):
        run("init", "--settings", settings_file)
    assert list((folder / "log").iterdir()) == []


# verify and falsify


@pytest.fixture
def log(folder: Path, settings_file: Path) -> Path:
    """Write a log where the settings say that it is."""
    assert settings_file.parent == folder
    (folder / "log").rmdir()
    (folder / "signed").rmdir()
    return logs.write(folder, logs.leaves(logs.exchanges(20)))


def test_verify_answers_people_in_french_unless_they_ask(log: Path) -> None:
    assert run("verify", log, "--key", logs.VERIFIER_KEY).stdout.startswith("Journal entier")
    english = run("verify", log, "--key", logs.VERIFIER_KEY, "--language", "en").stdout
    assert english.startswith("The log is whole")


def test_verify_takes_the_settings_of_the_recorder_and_the_last_signed_root(
    log: Path, settings_file: Path, folder: Path
) -> None:
    facts = answer("verify", settings_file, "--key", logs.VERIFIER_KEY)
    assert (facts["signed"], facts["anchors"], facts["verdict"]) == (41, 1, "whole")
    root = folder / "signed" / publisher.LAST_SIGNED
    root.write_text(root.read_text().replace("\n41\n", "\n42\n"))
    facts = answer("verify", settings_file, "--key", logs.VERIFIER_KEY, exit_code=1)
    assert (facts["fault"], facts["record"]) == ("E_ROLLBACK", 41)
    root.unlink()
    with pytest.raises(ApplianceError, match="last-signed"):
        run("verify", settings_file, "--key", logs.VERIFIER_KEY)
    assert log.is_dir()


def test_the_verdict_on_a_falsified_copy_names_the_record(log: Path, folder: Path) -> None:
    done = answer("falsify", log, "--out", folder / "copy")
    assert (done["record"], done["kind"]) == (40, "record")
    facts = answer("verify", folder / "copy", "--key", logs.VERIFIER_KEY, exit_code=1)
    assert (facts["verdict"], facts["fault"], facts["record"]) == ("tampered", "E_LEAF", 40)
    text = run("verify", folder / "copy", "--key", logs.VERIFIER_KEY, exit_code=1).stdout
    assert text.startswith("JOURNAL FALSIFIÉ\n  Événement 40, tile/entries/000.p/41, octet ")
    shown = run(
        "falsify", log, "--out", folder / "other", "--kind", "cut", "--record", "7"
    ).stdout
    assert "Événement 7 (cut)" in shown


def test_the_process_ends_with_the_code_of_the_verdict(log: Path, folder: Path) -> None:
    def code(*argv: str | Path) -> int:
        words = [sys.executable, "-m", "appliance.cli", "audit", *map(str, argv)]
        return subprocess.run(words, capture_output=True, check=False).returncode

    assert code("verify", log, "--key", logs.VERIFIER_KEY) == 0
    assert code("falsify", log, "--out", folder / "copy") == 0
    assert code("verify", folder / "copy", "--key", logs.VERIFIER_KEY) == 1
    assert code("verify", folder / "nowhere", "--key", logs.VERIFIER_KEY) == 2
    assert code("verify", log, "--key", "not a key") == 2
    assert code("verify", log) == 2  # never with a key found in the log
    (log / "checkpoint").unlink()
    assert code("verify", log, "--key", logs.VERIFIER_KEY) == 3


def test_an_open_request_ends_with_4(folder: Path) -> None:
    log = logs.write(folder, logs.leaves([logs.budget(), logs.intent(0)]))
    facts = answer("verify", log, "--key", logs.VERIFIER_KEY, exit_code=4)
    assert facts["findings"] == [{"remark": "W_ORPHAN_INTENT", "record": 1}]


def test_a_checkpoint_and_a_receipt_kept_elsewhere_refuse_an_older_log(
    log: Path, folder: Path
) -> None:
    later = folder / "later"
    later.mkdir()
    whole = logs.publish(later, logs.leaves(logs.exchanges(30)))
    (folder / "kept").write_bytes(whole.note)
    (folder / "receipt").write_bytes(receipt_file(whole.prove(50), whole.entry(50), {}))
    for option, name in (("--since", "kept"), ("--receipt", "receipt")):
        argv = ("verify", log, "--key", logs.VERIFIER_KEY, option, folder / name)
        assert answer(*argv, exit_code=1)["fault"] == "E_ROLLBACK"
    (folder / "kept").write_bytes((log / "checkpoint").read_bytes())
    argv = ("verify", log, "--key", logs.VERIFIER_KEY, "--since", folder / "kept")
    assert answer(*argv)["anchors"] == 1


# receipts


@pytest.fixture
def running(settings_file: Path, folder: Path) -> Iterator[Path]:
    """Run the recorder, and return its settings."""
    run("init", "--settings", settings_file)
    words = [sys.executable, "-m", "appliance.cli", "audit", "recorder", "--settings"]
    with subprocess.Popen([*words, str(settings_file)]) as process:
        try:
            yield settings_file
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
    assert process.returncode == 0
    assert answer("verify", settings_file, "--key", folder / "log" / VERIFIER_KEY)


async def _ask(socket: Path) -> int:
    """Record a question and its answer; return the index of the answer's record."""
    client = RecorderClient(socket, "gateway-0", patience=30)
    await client.connect()
    sealed = logs.content_key(1).seal(
        [READER.public_key().public_bytes_raw()], Ephemeral.new(0)
    )
    await client.append(logs.intent(1))
    index = (await client.append(logs.completion(1), sealed)).index
    await client.close()
    return index


def test_a_receipt_of_a_running_recorder_proves_question_and_answer(
    running: Path, folder: Path
) -> None:
    index = asyncio.run(_ask(folder / "socket"))
    (folder / "history.key").write_bytes(READER.private_bytes_raw())
    out = folder / "out"
    out.mkdir()
    facts = answer(
        "receipt", "save", str(index), "--settings", running, "--out", out,
        "--history-key", folder / "history.key",
    )  # fmt: skip
    assert Path(facts["page"]).read_text("utf-8") == page()
    assert Path(facts["page"]).name == PAGE
    key = (folder / "log" / VERIFIER_KEY).read_text().strip()
    verified = check(Path(facts["receipt"]).read_bytes(), key)
    verified.check_text("question", QUESTION)
    verified.check_text("answer", ANSWER)
    (out / "question.txt").write_text(QUESTION + "\n")
    (out / "answer.txt").write_text(ANSWER)
    checked = answer(
        "receipt", "check", facts["receipt"], "--key", folder / "log" / VERIFIER_KEY,
        "--question", out / "question.txt", "--answer", out / "answer.txt",
    )  # fmt: skip
    assert (checked["record"], checked["texts"]) == (index, "question, answer")
    (out / "answer.txt").write_text(ANSWER.replace("deux", "trois"))
    with pytest.raises(VerificationError, match=f"record {index}"):
        run(
            "receipt", "check", facts["receipt"], "--key", key,
            "--answer", out / "answer.txt",
        )  # fmt: skip


def test_a_receipt_without_the_history_key_proves_the_record(
    running: Path, folder: Path
) -> None:
    index = asyncio.run(_ask(folder / "socket"))
    facts = answer("receipt", "save", str(index), "--settings", running, "--out", folder)
    key = (folder / "log" / VERIFIER_KEY).read_text()
    assert check(Path(facts["receipt"]).read_bytes(), key).keys == {}
    text = run("receipt", "check", facts["receipt"], "--key", key).stdout
    assert text.startswith(f"Reçu authentique : événement {index} de {logs.ORIGIN}")


def test_the_page_is_printed_as_it_is() -> None:
    assert run("receipt", "page").stdout == page()
