"""What somebody new meets: `make demo` twice, then `make smoke`, in a fresh clone with no home.

    taskset -c 0,1 .venv/bin/python -m bench.newcomer FOLDER RESULT.json

FOLDER is made, and holds the clone and an empty home; it can be thrown away afterwards. All is
downloaded again. Times are counted from the moment when the last download is there.
"""

import asyncio
import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.site import account, keycloak
from appliance.site.folder import Folder
from appliance.site.machine import free_ports
from appliance.site.store import progress
from appliance.site.visitor import Visitor

ROOT = Path(__file__).parents[1]
PERSON, QUESTION = "camille", "Combien de jours de télétravail sont possibles par semaine ?"
SET_UP = 3600  # seconds for downloads and the first start
READY, VECTORS, AGAIN = 180, 360, 60  # seconds, the goals
_PHASE = re.compile(r"[✓✗] (.+?) ([\d,]+) s")


class Demo:
    """One `make demo`, from its start to Ctrl-C."""

    def __init__(self, clone: Path, home: Path, port: int) -> None:
        self.folder = Folder(clone / "demo")
        self.began = time.monotonic()
        self.lines: list[tuple[float, str]] = []  # (monotonic seconds, text)
        self.process = subprocess.Popen(
            ["make", "demo", f"PORT={port}"], cwd=clone, env=environment(home), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            now = time.monotonic()
            self.lines.append((now, line.strip()))
            if not line.startswith(" "):  # no progress of Maven or pip
                print(f"{now - self.began:7.1f}  {line.rstrip()}", flush=True)

    def said(self, words: str) -> float | None:
        """Return when a line with these words came."""
        return next((at for at, line in self.lines if words in line), None)

    def wait(self, condition: Callable[[], object], seconds: float) -> float:
        """Return when the condition held."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, "make demo ended"
            assert time.monotonic() < deadline, "make demo takes too long"
            time.sleep(0.1)
        return time.monotonic()

    def phases(self) -> dict[str, float]:
        """Return the seconds of each phase, as printed."""
        found = (_PHASE.match(line) for _, line in self.lines)
        return {m[1]: float(m[2].replace(",", ".")) for m in found if m}

    def all_ready(self) -> bool:
        """Tell whether each document is found by its vectors too."""
        if self.said("✓ Vecteurs") is None:
            return False
        database = tomllib.loads(self.folder.toml("worker").read_text("utf-8"))["database"]
        found = progress(str(database))
        return found.searchable == found.ready > 0

    def stop(self) -> int:
        """Press Ctrl-C; return how many processes are left."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(90)
        return sum(self._owns(path) for path in Path("/proc").glob("[0-9]*/cmdline"))

    def _owns(self, path: Path) -> bool:
        try:
            return str(self.folder.root).encode() in path.read_bytes()
        except OSError:  # it has just ended
            return False


def environment(home: Path) -> dict[str, str]:
    """Return the caller's environment with an empty home."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "VIRTUAL_ENV"))}
    return kept | {"HOME": str(home)}


async def ask(demo: Demo) -> list[str]:
    """Sign in and ask; return the sources of the answer."""
    people = account.parse(demo.folder.accounts.read_bytes())
    origin = json.loads(demo.folder.stack.read_text("utf-8"))["origin"]
    async with Visitor(origin) as visitor:
        await visitor.sign_in(PERSON, account.find(people, PERSON).password, None)
        return (await visitor.ask(QUESTION)).sources


def first(clone: Path, home: Path, port: int) -> dict[str, Any]:
    """Start with nothing there."""
    archive = clone / "build" / keycloak.locked().file
    demo = Demo(clone, home, port)
    fetched = demo.wait(archive.exists, SET_UP)
    ready = demo.wait(lambda: demo.said("Prête en"), SET_UP) - fetched
    vectors = demo.wait(demo.all_ready, SET_UP) - fetched
    return {
        "downloads_seconds": round(fetched - demo.began, 1), "phases": demo.phases(),
        "left": demo.stop(), "ready": round(ready, 1), "vectors": round(vectors, 1),
    }  # fmt: skip


def second(clone: Path, home: Path, port: int) -> dict[str, Any]:
    """Start again, and ask as soon as it is ready."""
    demo = Demo(clone, home, port)
    demo.wait(lambda: demo.said("Prête en"), SET_UP)
    sources = asyncio.run(ask(demo))
    answered = time.monotonic() - demo.began
    assert sources
    assert demo.said("✓ Vecteurs") is None, "not an answer by words"
    return {"phases": demo.phases(), "left": demo.stop(), "answered": round(answered, 1)}


def main() -> None:
    folder, result = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    clone, home = folder / "clone", folder / "home"
    home.mkdir(parents=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    (port,) = free_ports(1)
    one, two = first(clone, home, port), second(clone, home, port)
    began = time.monotonic()
    smoke = subprocess.run(["make", "smoke"], cwd=clone, env=environment(home), check=False)
    smoked = round(time.monotonic() - began, 1)
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=clone, check=True, capture_output=True, text=True
    )
    rows = [
        ("ready after the downloads", one["ready"], "s", READY),
        ("vectors after the downloads", one["vectors"], "s", VECTORS),
        ("second start, first answer", two["answered"], "s", AGAIN),
        ("exit code of make smoke", smoke.returncode, "", 0),
        ("processes left by two starts", one.pop("left") + two.pop("left"), "", 0),
    ]
    found = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": len(os.sched_getaffinity(0)), "kernel": platform.release()},
        "commit": commit.stdout.strip(),
        "figures": [
            {"name": n, "value": v, "unit": u, "goal": f"≤ {g}", "ok": v <= g}
            for n, v, u, g in rows
        ],
        "first_start": one, "second_start": two, "smoke_seconds": smoked,
    }  # fmt: skip
    text = json.dumps(found, indent=1, ensure_ascii=False)
    result.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
