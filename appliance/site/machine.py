"""What the host has and what occupies it: the observations that `preflight` judges."""

import ctypes
import fcntl
import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from appliance.site.preflight import PACKAGES, Machine

LOCK = "demo.lock"


def is_free(port: int) -> bool:
    """Say whether a port of the loopback may be taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def free_ports(count: int) -> list[int]:
    """Return so many different ports of the loopback that are free now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def missing() -> frozenset[str]:
    """Return the programs and libraries of `PACKAGES` that are not there."""
    return frozenset(name for name in PACKAGES if not _present(name))


def _present(name: str) -> bool:
    if ".so" not in name:
        # haproxy is in /usr/sbin, which is not in everybody's PATH
        return (
            shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None
        )
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def available_memory() -> int:
    """Return the bytes of memory that programs may still take."""
    lines = Path("/proc/meminfo").read_text("utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024


def lacking(model: Path) -> tuple[str, ...]:
    """Return what a folder lacks to be a model in Mistral's format, as vLLM reads it."""
    wanted = {
        "params.json": ["params.json"],
        "consolidated*.safetensors": ["consolidated*.safetensors"],
        "tekken.json": ["tekken.json", "tokenizer.model*"],
    }
    return tuple(
        name
        for name, patterns in wanted.items()
        if not any(any(model.glob(pattern)) for pattern in patterns)
    )


def observe(
    folder: Path, ports: Iterable[int], *, installed: bool, vectors: bool, running: int | None
) -> Machine:
    """Look at the host.

    Args:
        folder: It exists.
        ports: Public ones, of the loopback; 0 asks for any.
        installed: The environments and Keycloak are there.
        vectors: An embedder is asked for.
        running: Pid of the demo that holds the folder: the ports are its own.
    """
    wanted = [port for port in ports if port and running is None]
    return Machine(
        folder=str(folder),
        installed=installed,
        free_disk=shutil.disk_usage(folder).free,
        free_memory=available_memory(),
        missing=missing(),
        occupied=frozenset(port for port in wanted if not is_free(port)),
        running=running,
        vectors=vectors,
    )


def with_model(found: Machine, model: Path | None) -> Machine:
    """Add what a model folder lacks. `model` is absolute."""
    if model is None:
        return found
    return replace(found, model=str(model), model_lacks=lacking(model))


@contextmanager
def held(folder: Path) -> Iterator[int | None]:
    """Hold a folder against a second demo, as long as the context lasts.

    Yields None when we hold it, else the pid of the process that does. The kernel drops the
    lock with its holder, however that one dies.
    """
    with (folder / LOCK).open("a+") as lock:
        lock.seek(0)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield int(lock.read() or 0)
            return
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield None
