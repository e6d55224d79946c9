"""A real recorder for the tests that ask for one, in a process of its own.

Fixtures: `recorder_settings` (an empty log in a folder of the test), `recorder` (its process).
`running` runs the real code until the block ends, then kills it. Sockets live in a short
folder: their paths are limited to 107 bytes.
"""

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from appliance.audit import publisher, volume
from appliance.audit.event import NO_TEXT, Completion, Event, Intent, encode
from appliance.settings import RecorderSettings

ROOT = Path(__file__).parents[1]
ORIGIN = "audit.example/demo"
SEED = bytes(range(32))
DIGEST = NO_TEXT

Answer = dict[str, Any]

_MAIN = """
import sys
from pathlib import Path
from appliance.audit.recorder import run
from appliance.settings import RecorderSettings, load
run(load(Path(sys.argv[1]), RecorderSettings))
"""


def new_log(folder: Path, **changes: Any) -> RecorderSettings:
    """Make an empty log below `folder`, and the settings of its recorder."""
    for name in ("log", "signed"):
        (folder / name).mkdir(mode=0o750)
    short = Path(tempfile.mkdtemp(prefix="cm-"))
    atexit.register(shutil.rmtree, short, ignore_errors=True)
    values: dict[str, Any] = {
        "origin": ORIGIN, "directory": folder / "log", "last_signed": folder / "signed",
        "socket": short / "s", "clients": {os.getuid(): frozenset({"*"})},
        "segment_bytes": 8 << 20, "checkpoint_interval": 0.5, "content_floor_months": 0,
    }  # fmt: skip
    settings = RecorderSettings(**(values | changes))
    volume.create(settings.directory, SEED, settings.segment_bytes)
    publisher.create(settings.last_signed, settings.origin)
    return settings


def settings_file(settings: RecorderSettings) -> Path:
    """Write the settings as TOML beside the log; return the file."""
    path = settings.directory.parent / "recorder.toml"
    lines, tables = [], []
    for name, value in settings.model_dump(exclude_none=True).items():
        if name == "clients":
            words = {
                uid: ", ".join(f'"{word}"' for word in sorted(of)) for uid, of in value.items()
            }
            tables = ["[clients]", *(f"{uid} = [{of}]" for uid, of in words.items())]
        else:
            plain = str(value).lower()  # numbers and booleans
            lines.append(
                f'{name} = "{value}"' if isinstance(value, str | Path) else f"{name} = {plain}"
            )
    path.write_text("\n".join([*lines, *tables, ""]))
    return path


@contextmanager
def running(settings: RecorderSettings) -> Iterator[subprocess.Popen[bytes]]:
    """Run the recorder until the block ends, then kill it."""
    process = start(settings)
    try:
        yield process
    finally:
        end(process)


def start(settings: RecorderSettings) -> subprocess.Popen[bytes]:
    """Start the recorder, and return when it answers."""
    argv = [sys.executable, "-c", _MAIN, str(settings_file(settings))]
    process = subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not _answers(settings.socket):
        if process.poll() is not None:
            raise AssertionError(process.communicate()[1].decode())
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def refused_start(settings: RecorderSettings) -> str:
    """Start a recorder that has to refuse; return what it says."""
    argv = [sys.executable, "-c", _MAIN, str(settings_file(settings))]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert done.returncode != 0
    return done.stderr.decode()


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, if it is still there."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    process.wait()


def stop(process: subprocess.Popen[bytes]) -> None:
    """Tell the recorder to end; it has to do so by itself."""
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors.decode()


def _answers(path: Path) -> bool:
    try:
        RawClient(path).close()
    except OSError:
        return False
    return True


class RawClient:
    """One connection, from the outside: knows the framing and nothing else."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._ref = 0
        self._answers: list[Answer] = []  # received, not asked for yet
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def append(self, event: Event, sealed: bytes | None = None) -> Answer:
        """Send one event and return its answer."""
        keys = {event.id: sealed} if sealed is not None else {}
        return self.ask("append", events=[msgspec.Raw(encode(event))], sealed=keys)

    def ask(self, op: str, **fields: Any) -> Answer:
        """Send a request and return its answer; pushes that come between are dropped."""
        self._ref += 1
        self.send({"op": op, "ref": self._ref, **fields})
        while (answer := self.receive()).get("ref") != self._ref:
            pass
        return answer

    def send(self, message: object) -> None:
        body = msgspec.json.encode(message)
        self.send_raw(len(body).to_bytes(4, "big") + body)

    def send_raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> Answer:
        while not self._answers:
            head = self._read(4)
            self._answers += msgspec.json.decode(self._read(int.from_bytes(head, "big")))
        return self._answers.pop(0)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if not (more := self._socket.recv(size - len(data))):
                raise ConnectionError("the recorder left")
            data += more
        return data


def intent(number: int, **changes: Any) -> Intent:
    """Return the intent of request `number`."""
    values: dict[str, Any] = {
        "actor": "ada", "flags": [], "id": f"intent-{number:016}", "label": 1, "max_tokens": 10,
        "model": "small", "policy": DIGEST, "prompt": DIGEST,
        "request": f"request-{number:016}", "reserve": {"site": 10},
    }  # fmt: skip
    return Intent(**(values | changes))


def completion(number: int, **changes: Any) -> Completion:
    """Return the end of request `number`."""
    values: dict[str, Any] = {
        "actor": "ada", "answer": DIGEST, "completion_tokens": 3, "duration": 5,
        "finish": "stop", "flags": [], "id": f"ending-{number:016}", "label": 1,
        "prompt_tokens": 4, "request": f"request-{number:016}", "spend": {"site": 7},
        "status": 200,
    }  # fmt: skip
    return Completion(**(values | changes))


@pytest.fixture
def recorder_settings(tmp_path: Path) -> Iterator[RecorderSettings]:
    """Make an empty log; its recorder is not started."""
    folder = tmp_path / "recorder"
    folder.mkdir()
    settings = new_log(folder)
    yield settings
    shutil.rmtree(settings.socket.parent, ignore_errors=True)


@pytest.fixture
def recorder(recorder_settings: RecorderSettings) -> Iterator[subprocess.Popen[bytes]]:
    """Run a recorder on an empty log."""
    with running(recorder_settings) as process:
        yield process
