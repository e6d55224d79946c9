"""Each wall, in a process of its own: what is tried behind it fails."""

import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from appliance.rag import isolation

ROOT = Path(__file__).parents[2]
ATTEMPTS = {
    "a socket": "import _socket; _socket.socket(2, 1)",
    "a unix socket": "import _socket; _socket.socket(1, 1)",
    "a pair of sockets": "import _socket; _socket.socketpair()",
    "a file": "open('/etc/hostname', 'rb')",
    "a new file": "open('/tmp/casemate-escape', 'wb')",
    "a program": "os.execv('/bin/true', ['true'])",
    "a process": "os.fork()",
    "a signal": "os.kill(os.getppid(), 0)",
    "a pipe": "os.pipe()",
    "a rename": "os.rename('/tmp', '/tmp2')",
    "a removal": "os.unlink('/tmp/casemate-escape')",
}


def behind(walls: str, attempt: str) -> str:
    """Return what an attempt is answered with behind walls: `done` or the name of the error."""
    program = f"""
        import os, sys
        sys.path.insert(0, {str(ROOT)!r})
        import _socket
        from appliance.rag import isolation
        {walls}
        try:
            {attempt}
            os.write(1, b"done")
        except OSError as exc:
            os.write(1, type(exc).__name__.encode())
        os._exit(0)
    """
    done = subprocess.run(
        [sys.executable, "-I", "-c", textwrap.dedent(program)], capture_output=True, check=False
    )
    return done.stdout.decode() or f"died {done.returncode} {done.stderr.decode()}"


@pytest.mark.parametrize("name", ATTEMPTS)
def test_the_filter_refuses(name: str) -> None:
    assert behind("assert isolation.filter_calls()", ATTEMPTS[name]) in {
        "PermissionError",
        "done" if name == "a pipe" else "",  # a pipe to oneself harms nobody
    }


@pytest.mark.parametrize(
    "name", ["a socket", "a unix socket", "a pair of sockets", "a file", "a new file", "a pipe"]
)
def test_no_further_descriptor_is_the_wall_that_needs_no_kernel_feature(name: str) -> None:
    assert behind("isolation.limit()", ATTEMPTS[name]) == "OSError"


@pytest.mark.parametrize("name", ["a file", "a socket", "a pipe"])
def test_without_walls_the_same_attempts_succeed(name: str) -> None:
    assert behind("", ATTEMPTS[name]) == "done"


def test_the_network_is_left_where_the_kernel_permits_it() -> None:
    tell = """
walls = isolation.close_network()
links = sorted(os.listdir('/sys/class/net')) if False else open('/proc/net/dev').read()
"""
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import os
from appliance.rag import isolation
{tell}
os.write(1, (" ".join(walls) + "|" + links).encode())
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, check=True
    )
    walls, links = done.stdout.decode().split("|", 1)
    names = {line.split(":")[0].strip() for line in links.splitlines() if ":" in line}
    assert not walls or names == {"lo"}


def test_memory_and_run_time_end() -> None:
    eat = "data = [bytes(1 << 28) for _ in range(64)]"
    walls = "isolation.limit()"
    assert "MemoryError" in behind(walls, eat)
    spin = "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\n            while True: pass"
    done = behind(walls + "; import resource", spin)
    assert done.startswith("died -")


@pytest.mark.parametrize("machine", isolation._TABLES)
def test_the_filter_of_each_machine_jumps_where_it_should(machine: str) -> None:
    """Interpret the program: refused numbers give EPERM, others pass, another table kills."""
    arch, refused = isolation._TABLES[machine]
    code = isolation._program(arch, refused)
    steps = [struct.unpack("HBBI", code[n : n + 8]) for n in range(0, len(code), 8)]

    def run(number: int, claimed: int = arch) -> int:
        position, held = 0, 0
        while True:
            operation, yes, no, k = steps[position]
            if operation == 0x06:
                return int(k)
            if operation == 0x20:
                held = claimed if k == 4 else number
                position += 1
                continue
            holds = held == k if operation == 0x15 else held >= k
            position += 1 + (yes if holds else no)

    assert {run(number) for number in refused.values()} == {0x00050001}
    assert {run(n) for n in range(500) if n not in refused.values()} == {0x7FFF0000}
    assert run(0x40000000 + 41) == 0x00050001
    assert run(0, claimed=0x40000003) == 0x80000000
