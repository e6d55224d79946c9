"""One embedded stack for the whole run: started as `make demo` starts it, by its command."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from appliance.site import account
from appliance.site.account import Account
from appliance.site.demo import SAMPLE
from appliance.site.folder import Folder
from appliance.site.programs import CASEMATE
from tests.stack import results
from tests.trail import LOGS

START = 300  # seconds until ready, Keycloak's build included
VECTORS = 600  # seconds until the embedder answers
PERMITTED = {"ungrounded = false": "ungrounded = true"}  # plain chat is asked for here too


@dataclass(frozen=True)
class RunningStack:
    """The stack of this run, seen from outside."""

    folder: Folder

    @property
    def told(self) -> dict[str, Any]:
        """Return `stack.json` as it is now."""
        found: dict[str, Any] = json.loads(self.folder.stack.read_text("utf-8"))
        return found

    @property
    def origin(self) -> str:
        """Return the public address."""
        return str(self.told["origin"])

    @property
    def pids(self) -> dict[str, int]:
        """Return the pid of each program, by name."""
        return dict(self.told["pids"])

    def person(self, name: str) -> Account:
        """Return an account with its password."""
        return account.find(account.parse(self.folder.accounts.read_bytes()), name)

    def code(self, name: str) -> str:
        """Return the one-time code of the moment, with time enough to use it."""
        digits, seconds = account.one_time_code(self.person(name), time.time())
        if seconds < 3:
            time.sleep(seconds + 0.1)
            return self.code(name)
        return digits

    def ask_socket(self, name: str, target: str) -> httpx2.Response:
        """Ask a process of the stack on its own socket."""
        transport = httpx2.HTTPTransport(uds=str(self.folder.socket(name)))
        with httpx2.Client(transport=transport, base_url="http://casemate", timeout=30) as http:
            return http.get(target)

    def await_vectors(self) -> None:
        """Wait until the embedder answers."""
        deadline = time.monotonic() + VECTORS
        while not _listens(self.folder.socket("embedder")):
            log = self.folder.logs / "embedder.log"
            assert time.monotonic() < deadline, log.read_text()[-3000:]
            time.sleep(1)
        assert self.ask_socket("embedder", "/health").status_code == 200


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _site(folder: Path) -> Path:
    """Write the sample site with what these tests ask for beyond it, beside its documents."""
    text = (SAMPLE / "site.toml").read_text("utf-8")
    for sample, wanted in PERMITTED.items():
        assert sample in text
        text = text.replace(sample, wanted)
    folder.mkdir()
    (folder / "site.toml").write_text(text, "utf-8")
    (folder / "documents").symlink_to(SAMPLE / "documents")
    return folder / "site.toml"


def _await_ready(stack: RunningStack, process: "subprocess.Popen[bytes]", output: Path) -> None:
    deadline = time.monotonic() + START
    while not (stack.folder.stack.exists() and stack.told["ready"]):
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.2)


def processes_below(folder: Path) -> list[str]:
    """Return the command lines that name a path below a folder."""
    found: list[str] = []
    for entry in Path("/proc").iterdir():
        if re.fullmatch(r"\d+", entry.name):
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(folder) in line:
                found.append(line)
    return found


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep how the run ended, for `make deep`."""
    figures = {"run": session.testscollected, "failed": session.testsfailed, "exit": exitstatus}
    results.record("tests", figures)


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """Lend the stack of the folder CASEMATE_TEST_STACK, or one of this run.

    That one is stopped by Ctrl-C, and must leave no process.
    """
    if lent := os.environ.get("CASEMATE_TEST_STACK"):
        yield RunningStack(Folder(Path(lent).resolve()))
        return
    root = Path(tempfile.mkdtemp(prefix="cs-"))
    wish = ["--dir", str(root / "d"), "--gateways", "2", "--site", str(_site(root / "site"))]
    output = root / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [CASEMATE, "demo", "run", *wish], stdout=file, stderr=file, start_new_session=True
        )
    running = RunningStack(Folder((root / "d").resolve()))
    LOGS.add(running.folder.log)
    try:
        _await_ready(running, process, output)
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(90)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, output.read_text()
    assert processes_below(root) == []
    shutil.rmtree(root)
