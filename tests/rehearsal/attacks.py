"""What a hostile gateway tries on the machine: run with its user, its sandbox and its secrets.

Standard library alone. Reads work (names that anybody may know) from the file given, and
prints, for each attack, whether it was `done`, `refused` or `broken` (the attack itself), and
what was seen. It goes on after a success. `attacks_inside.py` adds those on the log, on the
database and on Keycloak.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Work = dict[str, Any]
ATTACKS: dict[str, Callable[[Work], str]] = {}
NO = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EHOSTUNREACH, errno.ENETUNREACH}
NO |= {errno.EAFNOSUPPORT, errno.ENOSYS, errno.EADDRNOTAVAIL}
NEWUSER, NEWNET = 0x10000000, 0x40000000  # flags of unshare(2)


class RefusedError(Exception):
    """What was tried is not allowed; the message says who said no."""


class BrokenError(Exception):
    """The attack could not be made, so that it shows nothing."""


def attack(function: Callable[[Work], str]) -> Callable[[Work], str]:
    """Put a function among the attacks, under its name."""
    ATTACKS[function.__name__] = function
    return function


def connect(kind: int, address: Any, family: int = socket.AF_INET, source: str = "") -> str:
    with socket.socket(family, kind) as made:
        made.settimeout(2)
        if source:
            made.bind((source, 0))
        made.connect(address)
        if kind == socket.SOCK_DGRAM and family != socket.AF_UNIX:
            made.send(b"casemate")
        return f"connected to {address}"


def reach(address: str, port: int, source: str = "") -> str:
    return connect(socket.SOCK_STREAM, (address, port), source=source)


# leaving


@attack
def leave_by_tcp(work: Work) -> str:
    return reach(work["elsewhere"], 443)


@attack
def leave_by_udp(work: Work) -> str:
    return connect(socket.SOCK_DGRAM, (work["elsewhere"], 53))


@attack
def leave_by_ipv6(_: Work) -> str:
    return connect(socket.SOCK_STREAM, ("2001:db8::7", 443), socket.AF_INET6)


@attack
def write_packets(_: Work) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP):
        return "has a raw socket"


@attack
def reach_users_network(work: Work) -> str:
    return reach(work["person"], 443)


@attack
def reach_database_by_tcp(_: Work) -> str:
    return reach("127.0.0.1", 5432)


@attack
def reach_management_of_keycloak(_: Work) -> str:
    return reach("127.0.0.1", 9000)


@attack
def reach_front(work: Work) -> str:
    return reach(work["machine"], 443)


@attack
def come_as_the_front(_: Work) -> str:
    return reach("127.0.0.1", 8080, "127.0.0.2")


@attack
def listen_on_a_port(_: Work) -> str:
    with socket.create_server(("127.0.0.1", 18999)) as made:
        return f"listens on {made.getsockname()}"


# the machine


def _kernel(call: str, *words: int) -> str:
    """Make a system call in a child, which it changes; tell what the kernel answered."""
    child = os.fork()
    if child == 0:
        kernel = ctypes.CDLL(None, use_errno=True)
        os._exit(ctypes.get_errno() if getattr(kernel, call)(*words) == -1 else 0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))
    return f"the kernel took {call}"


@attack
def make_a_namespace(_: Work) -> str:
    return _kernel("unshare", NEWUSER | NEWNET)


@attack
def become_root(_: Work) -> str:
    os.setuid(0)
    return "is root"


@attack
def run_written_memory(_: Work) -> str:
    with mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC):
        return "has memory that is written and executed"


@attack
def trace_a_process(_: Work) -> str:
    return _kernel("ptrace", 0, 0, 0, 0)


@attack
def change_a_program(work: Work) -> str:
    return _opens(work["programs"], os.O_WRONLY)


@attack
def see_other_processes(_: Work) -> str:
    others = [p.name for p in Path("/proc").iterdir() if p.name.isdigit() and _other(p)]
    if not others:
        raise RefusedError("only its own are shown")
    return f"sees {len(others)}"


def _other(process: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return process.stat().st_uid != os.getuid()
    return False


def _opens(paths: list[str], flags: int) -> str:
    """Open any of these; they exist, whoever starts this has looked."""
    said = []
    for path in paths:
        try:
            with contextlib.closing(_File(os.open(path, flags))):
                return f"opened {path}"
        except OSError as exc:
            if exc.errno not in {*NO, errno.ENOENT}:
                raise
            said.append(f"{path}: {os.strerror(exc.errno or 0)}")
    if not said:
        raise BrokenError("no path to try")
    raise RefusedError("; ".join(sorted({one.split(": ")[1] for one in said})))


class _File:
    """A file descriptor that can be closed."""

    def __init__(self, number: int) -> None:
        self._number = number

    def close(self) -> None:
        os.close(self._number)


@attack
def read_secrets_of_others(work: Work) -> str:
    return _opens(work["secrets"], os.O_RDONLY)


@attack
def read_settings_of_others(work: Work) -> str:
    return _opens(work["settings"], os.O_RDONLY)


@attack
def read_the_key_of_the_log(work: Work) -> str:
    return _opens(work["log_keys"], os.O_RDONLY)


@attack
def write_the_log(work: Work) -> str:
    return _opens(work["log_files"], os.O_WRONLY)


@attack
def read_files_of_the_database(work: Work) -> str:
    return _opens(work["data"], os.O_RDONLY)


@attack
def connect_to_sockets_of_others(work: Work) -> str:
    said = set()
    for path in work["sockets"]:
        try:
            return connect(socket.SOCK_STREAM, path, socket.AF_UNIX)
        except OSError as exc:
            if exc.errno not in NO:
                raise BrokenError(f"{path}: {exc}") from exc
            said.add(os.strerror(exc.errno or 0))
    raise RefusedError("; ".join(sorted(said)))


@attack
def signal_the_other_gateways(_: Work) -> str:
    own = [p.name for p in Path("/proc").iterdir() if p.name.isdigit() and not _other(p)]
    others = [pid for pid in map(int, own) if pid not in {os.getpid(), os.getppid()}]
    for pid in others:
        os.kill(pid, 0)
    if not others:
        raise BrokenError("no other gateway runs")
    return f"may signal {len(others)} processes of its own user"


@attack
def write_the_journal(_: Work) -> str:
    text = b"SYSLOG_IDENTIFIER=casemate-recorder\nMESSAGE=repetition: a false line\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.connect("/run/systemd/journal/socket")
        made.send(text)
    return "wrote a line that names the recorder; its user id is stamped by the journal"


# playing


def played(work: Work) -> Iterator[tuple[str, dict[str, str]]]:
    """Make each attack; yield its name, how it ended and what was seen."""
    for name, function in ATTACKS.items():
        try:
            yield name, {"end": "done", "seen": function(work)}
        except RefusedError as exc:
            yield name, {"end": "refused", "seen": str(exc)}
        except OSError as exc:
            end = "refused" if exc.errno in NO else "broken"
            yield name, {"end": end, "seen": f"{type(exc).__name__}: {exc}"}
        except Exception as exc:  # noqa: BLE001 - an attack that fails shows nothing: it is told
            yield name, {"end": "broken", "seen": f"{type(exc).__name__}: {exc}"}


def main() -> None:
    work = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    print(json.dumps(dict(played(work)), ensure_ascii=False))


if __name__ == "__main__":
    main()
