"""Processes that are measured: on one core, stopped while others run, billed for their CPU.

CPU seconds are the nanoseconds of /proc/PID/task/*/schedstat, children included.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Result = dict[str, Any]


def on(core: int) -> str:
    """Return the core to pin to on this machine, which may have fewer."""
    return str(core % (os.cpu_count() or 1))


def start(
    core: int, argv: list[str], log: Path, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process on one core."""
    with log.open("ab") as out:
        return subprocess.Popen(
            ["taskset", "-c", on(core), *argv],
            env={**os.environ, **(env or {})},
            stdout=out,
            stderr=out,
        )


def family(pid: int) -> list[int]:
    """Return a process and all below it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    return found


def cpu_seconds(pids: list[int]) -> float:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_listener(address: str, seconds: float = 120) -> None:
    """Wait until something listens on a port or a unix socket."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if address.startswith("/"):
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(address)
            else:
                socket.create_connection(("127.0.0.1", int(address)), 0.5).close()
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on {address}")


@dataclass
class Subject:
    """Something measured: where it listens, its token or file of tokens, who is billed."""

    name: str
    address: str  # port or unix socket
    tokens: list[str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    events: int = 66  # of a stream: 64 of text, the one with usage, [DONE]
    responses: int = 0

    def signal(self, number: int) -> None:
        for process in self.processes:
            for pid in family(process.pid):
                with contextlib.suppress(OSError):
                    os.kill(pid, number)

    def kill(self) -> None:
        """Kill whole families: a worker that outlives its parent would share the next port."""
        self.signal(signal.SIGKILL)
        for process in self.processes:
            process.wait()


@dataclass(frozen=True)
class Load:
    """One round of the load generator."""

    connections: int
    seconds: float
    stream: bool = False
    rate: int = 0  # requests a second; 0: closed loop


def drive(load: Path, subject: Subject, wish: Load, core: int) -> Result:
    """Run one round and return what the generator saw, with the CPU that each process used."""
    model = "mock-64-0" if wish.stream else "mock-16-0"
    argv = [
        str(load), subject.address, "/v1/chat/completions", str(wish.connections),
        str(wish.seconds), str(int(wish.stream)), model, subject.tokens[0], "400", "0",
        str(wish.rate), *subject.tokens[1:],
    ]  # fmt: skip
    groups = [family(p.pid) for p in subject.processes]
    before = [cpu_seconds(group) for group in groups]
    out = subprocess.run(
        ["taskset", "-c", on(core), *argv],
        env={**os.environ, "WANT": str(subject.events)},
        capture_output=True,
        text=True,
        check=True,
    )
    result: Result = json.loads(out.stdout)
    spent = [cpu_seconds(g) - b for g, b in zip(groups, before, strict=True)]
    result["cpu_us"] = [s / max(result["n"], 1) * 1e6 for s in spent]
    subject.responses += result["n"]
    return result


def fdatasync_ms(folder: Path) -> float:
    """Return the median time of an fdatasync of one journal record on this disk."""
    spent = []
    path = folder / "probe"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(1000 * 301))
    os.fsync(fd)
    for number in range(300):
        os.pwrite(fd, b"x" * 1000, number * 1000)
        began = time.perf_counter()
        os.fdatasync(fd)
        spent.append(time.perf_counter() - began)
    os.close(fd)
    path.unlink()
    return sorted(spent)[150] * 1e3
