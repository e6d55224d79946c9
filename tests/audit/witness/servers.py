"""A witness that really serves, on a port of the machine, in a thread of the test."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from appliance.audit.witness import memory, serving
from appliance.trail_settings import WitnessSettings

NAME = "rssi.example/w1"
PREFIX = "/temoin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings_of(directory: Path, keys: Sequence[str], port: int = 0) -> WitnessSettings:
    return WitnessSettings(
        name=NAME, directory=directory, logs=tuple(keys), port=port or free_port(),
        prefix=PREFIX,
    )  # fmt: skip


@contextmanager
def served(settings: WitnessSettings) -> Iterator[str]:
    """Serve until the block ends; yield the address before the routes."""
    memory.create(settings.directory, NAME, memory.logs_of(settings.logs))
    server = uvicorn.Server(uvicorn.Config(**serving.configuration(settings)))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{settings.port}{PREFIX}"
    finally:
        server.should_exit = True
        thread.join()
