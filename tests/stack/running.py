"""A whole stack, run by the product's own command, for tests that kill parts of it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.site import account
from appliance.site.account import Account
from appliance.site.demo import SAMPLE
from appliance.site.folder import Folder

ROOT = Path(__file__).parents[2]
START = 240  # seconds
Json = dict[str, Any]


@dataclass(frozen=True)
class Running:
    """A stack that is up."""

    folder: Folder
    process: "subprocess.Popen[bytes]"

    @property
    def declared(self) -> Json:
        """Return what `stack.json` says now."""
        found: Json = json.loads(self.folder.stack.read_text())
        return found

    @property
    def origin(self) -> str:
        return str(self.declared["origin"])

    def pid(self, name: str) -> int:
        return int(self.declared["pids"][name])

    def account(self, name: str) -> Account:
        return account.find(account.parse(self.folder.accounts.read_bytes()), name)

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Signal a part; return the pid it had."""
        pid = self.pid(name)
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return pid


@contextmanager
def running(*words: str) -> Iterator[Running]:
    """Run `casemate demo run` in a folder of its own until the block ends."""
    root = Path(tempfile.mkdtemp(prefix="cms-"))
    argv = [sys.executable, "-m", "appliance.cli", "demo", "run", "--dir", str(root), *words]
    argv += ["--site", str(_site(root / "site"))]
    with (root / "demo.out").open("wb") as out:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=out, stderr=out)
    stack = Running(Folder(root), process)
    try:
        _await_ready(stack)
        yield stack
    finally:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()
        shutil.rmtree(root, ignore_errors=True)


def _site(folder: Path) -> Path:
    """Write the sample site with budgets that no load spends, beside its documents."""
    text = (SAMPLE / "site.toml").read_text("utf-8")
    folder.mkdir()
    wide = re.sub(r"^limit = \d+$", "limit = 1000000000000", text, flags=re.MULTILINE)
    (folder / "site.toml").write_text(wide, "utf-8")
    (folder / "documents").symlink_to(SAMPLE / "documents")
    return folder / "site.toml"


def _await_ready(stack: Running) -> None:
    deadline = time.monotonic() + START
    out = stack.folder.root / "demo.out"
    while "Prête en" not in (said := out.read_text("utf-8")):
        assert stack.process.poll() is None, said[-3000:]
        assert time.monotonic() < deadline, said[-3000:]
        time.sleep(0.2)


def children(pid: int, words: str) -> list[int]:
    """Return the descendants of a process whose command line holds `words`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if words in command and _descends(int(entry.name), pid):
                found.append(int(entry.name))
    return found


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        status = Path(f"/proc/{pid}/stat").read_text()
        pid = int(status.rpartition(")")[2].split()[1])
    return False


def listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
