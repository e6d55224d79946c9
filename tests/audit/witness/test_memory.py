"""The memory of a witness: never two trees for one log, through races, kills and restarts."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.cosignature import Cosigner
from appliance.audit.key import Signer
from appliance.audit.note import Note, Signature
from appliance.audit.witness import memory
from appliance.audit.witness.memory import Witness, WitnessError, folder_of, logs_of
from appliance.audit.witness.request import RefusedError, Request, Status
from appliance.errors import FormatError
from tests.audit import logs
from tests.audit.witness.test_request import fork, head, request

NAME = "rssi.example/w1"
LOGS = logs_of(logs.VERIFIER_KEYS.split("\n"))
FOLDER = folder_of(logs.ORIGIN)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (folder := tmp_path / "witness").mkdir()
    memory.create(folder, NAME, LOGS)
    return folder


def witness(directory: Path, at: float = 1_800_000_000) -> Witness:
    return Witness(directory, memory.read_key(directory, NAME), LOGS, lambda: at)


def seen(directory: Path) -> Checkpoint:
    return Checkpoint.parse(Note.parse((directory / FOLDER / "checkpoint").read_bytes()).text)


def refused(directory: Path, asked: Request) -> Status:
    with pytest.raises(RefusedError) as found:
        witness(directory).add(asked.to_bytes())
    return found.value.status


def test_a_cosignature_is_verified_with_the_published_key(directory: Path) -> None:
    line = witness(directory, 1_800_000_001.9).add(request(0, 3).to_bytes()).decode()
    cosigner = Cosigner.parse((directory / "verifier-key").read_text())
    signature = Signature.parse(line.removesuffix("\n"))
    assert cosigner.verify(head(3).text().encode(), signature.data) == 1_800_000_001
    kept = Note.parse((directory / FOLDER / "checkpoint").read_bytes())
    assert cosigner.time_of(kept) == 1_800_000_001
    assert [one.name for one in kept.signatures] == [logs.ORIGIN, logs.ORIGIN, NAME]


def test_a_witness_started_again_remembers(directory: Path) -> None:
    witness(directory).add(request(0, 300).to_bytes())
    assert refused(directory, request(0, 300)) == Status.CONFLICT
    assert refused(directory, Request(300, (), fork(600))) == Status.INCONSISTENT
    witness(directory).add(request(300, 600).to_bytes())
    assert seen(directory) == head(600)


def test_what_is_refused_changes_nothing_and_a_fork_is_kept_as_evidence(
    directory: Path,
) -> None:
    witness(directory).add(request(0, 300).to_bytes())
    before = (directory / FOLDER / "checkpoint").read_bytes()
    forked = Request(300, (), fork(300))
    assert refused(directory, forked) == Status.INCONSISTENT
    assert refused(directory, request(0, 200)) == Status.CONFLICT
    assert refused(directory, Request(0, (), b"")) == Status.MALFORMED
    assert (directory / FOLDER / "checkpoint").read_bytes() == before
    (kept,) = (directory / FOLDER / "refused").iterdir()
    assert kept.read_bytes() == forked.to_bytes()


def test_of_many_requests_at_once_one_is_cosigned(directory: Path) -> None:
    witness(directory).add(request(0, 10).to_bytes())
    asked = [request(10, size).to_bytes() for size in range(300, 340)]

    def ask(body: bytes) -> int:
        try:
            witness(directory).add(body)
        except RefusedError as exc:
            return exc.status
        return 200

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, asked))
    assert sorted(answers) == [200, *[Status.CONFLICT] * 39]
    assert seen(directory) == head(300 + answers.index(200))


CHILD = """
import sys
from pathlib import Path
from tests.audit.witness.test_memory import witness
from tests.audit.witness.test_request import request
directory, old = Path(sys.argv[1]), int(sys.argv[2])
while True:
    line = witness(directory).add(request(old, old + 1).to_bytes())
    print(old + 1, line.decode(), flush=True)
    old += 1
"""


def test_a_cosignature_that_left_is_remembered_after_a_kill(directory: Path) -> None:
    at = 0
    for pause in (0.02, 0.05, 0.09):
        argv = [sys.executable, "-c", CHILD, str(directory), str(at)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            lines = [child.stdout.readline()]
            time.sleep(pause)
            os.kill(child.pid, signal.SIGKILL)
            lines += child.stdout.readlines()
        told = [int(line.split(" ")[0]) for line in lines if line.strip().endswith("=")]
        at = seen(directory).size
        assert at >= told[-1]
        # Written and not told: asking once more gives the cosignature.
        assert refused(directory, request(at - 1, at + 1)) == Status.CONFLICT
        witness(directory).add(request(at, at).to_bytes())


def test_nothing_is_cosigned_that_could_not_be_kept(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(memory, "write_files", full)
    with pytest.raises(OSError, match="No space"):
        witness(directory).add(request(0, 3).to_bytes())
    assert not (directory / FOLDER / "checkpoint").exists()


# the folder


def test_the_key_is_made_once_and_kept_to_itself(directory: Path) -> None:
    before = (directory / "witness.key").read_bytes()
    assert (directory / "witness.key").stat().st_mode & 0o777 == 0o400
    assert memory.create(directory, NAME, LOGS)[1] == []
    assert (directory / "witness.key").read_bytes() == before


def test_a_log_that_comes_later_begins_from_nothing(directory: Path) -> None:
    witness(directory).add(request(0, 3).to_bytes())
    other = logs_of([Signer("other.example/log", bytes(32)).verifier.text()])
    assert memory.create(directory, NAME, LOGS | other)[1] == ["other.example/log"]
    assert seen(directory) == head(3)


def test_a_memory_that_is_away_is_not_begun_anew(directory: Path) -> None:
    (directory / FOLDER).rmdir()
    with pytest.raises(WitnessError, match="knows nothing"):
        witness(directory)


def test_a_memory_that_another_wrote_is_refused(directory: Path) -> None:
    witness(directory).add(request(0, 300).to_bytes())
    path = directory / FOLDER / "checkpoint"
    for data in (request(0, 3).note, fork(300), b"", path.read_bytes()[:-9] + b"AAAAAAAA\n"):
        path.write_bytes(data)
        with pytest.raises(WitnessError):
            witness(directory)


def test_without_a_key_there_is_no_witness(tmp_path: Path) -> None:
    with pytest.raises(WitnessError, match="No such file"):
        memory.read_key(tmp_path, NAME)
    with pytest.raises(WitnessError):
        memory.create(tmp_path / "absent", NAME, LOGS)
    with pytest.raises(FormatError):
        logs_of(["nonsense"])


def test_the_keys_of_a_log_are_taken_together() -> None:
    assert {origin: len(keys) for origin, keys in LOGS.items()} == {logs.ORIGIN: 2}
