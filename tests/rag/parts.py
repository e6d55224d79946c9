"""What the worker talks to: a real recorder, and a gateway and Keycloak of a few lines."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from appliance.identity.policy import Guards, Policy
from appliance.rag.objects import Objects
from tests.rag.library import direction
from tests.trail import LOGS

SECRET = "s" * 40


def until(holds: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something that happens by itself."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


@dataclass
class Upstreams:
    """A gateway that embeds and a Keycloak that gives tokens; each can be away."""

    folder: Path
    port: int = 0
    away: bool = False  # the gateway answers 503
    refuse: Callable[[str], bool] = lambda _: False  # texts that are a 400
    status: int = 200
    tokens: int = 0
    asked: list[list[str]] = field(default_factory=list)
    accepted: str = ""  # the token that is right now

    @property
    def socket(self) -> Path:
        return self.folder / "gateway.sock"

    async def embeddings(self, request: web.Request) -> web.Response:
        if self.away or self.status != 200:
            return web.Response(status=503 if self.away else self.status)
        if request.headers["Authorization"] != f"Bearer {self.accepted}":
            return web.Response(status=401)
        body: dict[str, Any] = await request.json()
        texts: list[str] = body["input"]
        if any(self.refuse(text) for text in texts):
            return web.Response(status=400)
        self.asked.append(texts)
        data = [
            {"object": "embedding", "index": n, "embedding": [2 * v for v in vector_of(text)]}
            for n, text in reversed(list(enumerate(texts)))
        ]
        return web.json_response({"object": "list", "data": data, "model": body["model"]})

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["grant_type"] == "client_credentials"
        if form["client_secret"] != SECRET:
            return web.Response(status=401)
        self.tokens += 1
        self.accepted = f"token-{self.tokens}"
        return web.json_response({"access_token": self.accepted, "expires_in": 60})

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/v1/embeddings", self.embeddings)
        app.router.add_post("/realm/protocol/openid-connect/token", self.token)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.UnixSite(runner, str(self.socket)).start()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[-1][1]
        try:
            yield
        finally:
            await runner.cleanup()

    @property
    def realm(self) -> dict[str, str]:
        return {
            "issuer": "http://x.invalid",
            "backchannel": f"http://127.0.0.1:{self.port}/realm",
        }


def vector_of(text: str) -> list[float]:
    """Return a vector that depends on the text, and on nothing else."""
    return direction(1.0, float(len(text) % 7), float(text.count("e") % 5))


@contextlib.contextmanager
def in_background(upstreams: Upstreams) -> Iterator[Upstreams]:
    """Serve in a thread of its own, beside a process that is under test."""
    started, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with upstreams.serving():
            started.set()
            await stop.wait()

    def body() -> None:
        loop.run_until_complete(run())
        loop.close()

    thread = threading.Thread(target=body)
    thread.start()
    try:
        assert started.wait(10)
        yield upstreams
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Lend a folder whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="cm-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def casemate(*words: str) -> list[str]:
    return [sys.executable, "-m", "appliance.cli", *words]


@contextlib.contextmanager
def recorder(
    folder: Path, content_floor_months: int = 0, *, content_visa: bool = False
) -> Iterator[Path]:
    """Run a real recorder; lends its socket. Its log is in `folder/log`."""
    settings, socket = folder / "recorder.toml", folder / "recorder.sock"
    settings.write_text(
        f"""
origin = "test.invalid/log"
directory = "{folder / "log"}"
last_signed = "{folder / "last-signed"}"
socket = "{socket}"
content_floor_months = {content_floor_months}
content_visa = {str(content_visa).lower()}
[clients]
{os.getuid()} = ["*"]
"""
    )
    for name in ("log", "last-signed"):
        (folder / name).mkdir()
    LOGS.add(folder / "log")
    subprocess.run(
        casemate("audit", "init", "--settings", str(settings)), check=True, capture_output=True
    )
    with running(casemate("audit", "recorder", "--settings", str(settings))):
        until(socket.exists)
        yield socket


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def worker_settings(folder: Path, database: str, upstreams: Upstreams, recorder: Path) -> Path:
    """Write the settings of a worker and its credentials."""
    (folder / "client").write_text(SECRET)
    (folder / "object-key").write_bytes(b"k" * 32)
    settings = folder / "worker.toml"
    settings.write_text(
        f"""
database = "{database}"
gateway = "{upstreams.socket}"
recorder = "{recorder}"
policy = "{write_policy(folder)}"
client_secret = "{folder / "client"}"
objects = "{folder / "objects"}"
object_key = "{folder / "object-key"}"
[realm]
issuer = "{upstreams.realm["issuer"]}"
backchannel = "{upstreams.realm["backchannel"]}"
"""
    )
    return settings


def write_policy(
    folder: Path, months: int = 12, ceiling: int = 60, *, visa: bool = False
) -> Path:
    """Write the policy of a site that keeps contents for so many months."""
    policy = Policy(
        "Essai",
        [],
        {},
        {},
        Guards({}, {}),
        retention_months=months,
        retention_ceiling=ceiling,
        retention_visa=visa,
    )
    (path := folder / "policy.json").write_bytes(policy.text())
    return path


def objects_of(folder: Path) -> Objects:
    return Objects(folder / "objects", b"k" * 32)
