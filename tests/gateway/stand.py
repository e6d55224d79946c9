"""A site around the gateway: realm, tokens, policy, recorder. Only the realm is played.

The recorder is the product's process. Gateways run in the event loop of a test or as processes
of the product's own command.
"""

import asyncio
import http.server
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import msgspec
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from jwt.algorithms import RSAAlgorithm

from appliance.app import create_gateway
from appliance.audit.client import RecorderClient
from appliance.gateway.commands import configuration
from appliance.identity.policy import Budget, Guards, Model, Policy
from appliance.identity.principal import Scope
from appliance.settings import GatewaySettings, RecorderSettings, load
from tests import recording

Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
_MAIN = """
import sys
from pathlib import Path
from appliance.app import create_gateway
from appliance.gateway.commands import run
from appliance.settings import GatewaySettings, RecorderSettings, load
from tests import recording
settings = load(Path(sys.argv[1]), GatewaySettings)
sys.exit(not run(create_gateway(settings), settings.socket))
"""
POLICY = Policy(
    site="Essai",
    labels=["Non protégé", "Usage interne", "Diffusion restreinte"],
    roles={
        "utilisateur": [Scope.CHAT, Scope.SEARCH, Scope.EMBED],
        "exploitant": [Scope.CHAT, Scope.HEALTH, Scope.STOP],
        "rssi": [Scope.STOP, Scope.START_APPROVE],
        "auditeur": [Scope.RECORDS_ALL],
    },
    models={
        "chat": Model("chat", 2),
        "reserve": Model("chat", 2, ["exploitant"]),
        "perdu": Model("chat", 2),
        "vecteurs": Model("embed", 2),
    },
    guards=Guards({"secret": "refuse", "iban": "mask"}, {"siren": "flag"}),
    default_model="chat",
    ungrounded=True,
    vector_weights={"vecteurs": 0.2},
    user_budget=Budget("user:*", "day", 10**9),
    team_budget=Budget("team:*", "day", 10**9),
)


class Realm:
    """Keys of a realm behind HTTP, and tokens signed by them."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        body = json.dumps({"keys": [{**public, "kid": "k1", "alg": "RS256", "use": "sig"}]})

        class Keys(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Stay silent."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.issuer = f"http://127.0.0.1:{self.server.server_port}/realms/casemate"

    def claims(self, subject: str = "ana", **more: Any) -> Json:
        now = int(time.time())
        return {
            "exp": now + 600, "iat": now, "jti": f"{subject}-{now}", "iss": self.issuer,
            "aud": "casemate-gateway", "sub": subject, "typ": "Bearer", "azp": "console",
            "sid": f"session-{subject}", "acr": "1", "amr": ["pwd", "otp"], "auth_time": now,
            "roles": ["utilisateur"], "groups": ["/equipes/rh"], "clearance": [1],
            "preferred_username": subject, **more,
        }  # fmt: skip

    def token(self, subject: str = "ana", **more: Any) -> str:
        return self.sign(self.claims(subject, **more))

    def sign(self, claims: Json, key: Any = None, **headers: Any) -> str:
        return jwt.encode(claims, key or self.key, "RS256", headers={"kid": "k1", **headers})


@dataclass
class Site:
    """Files and processes of a site in one folder."""

    folder: Path
    realm: Realm
    database: str
    history_key: bytes  # private
    log: RecorderSettings
    recorder: "subprocess.Popen[bytes]"
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def engine(self) -> Path:
        return self.folder / "engine.sock"

    @property
    def embedder(self) -> Path:
        return self.folder / "embedder.sock"

    def set_policy(self, **changes: Any) -> None:
        path = self.folder / "policy.json"
        new = path.with_suffix(".new")
        new.write_bytes(msgspec.structs.replace(POLICY, **changes).text())
        new.replace(path)

    def settings(self, name: str = "gateway-0", **more: str) -> GatewaySettings:
        return load(self.settings_file(name, **more), GatewaySettings)

    def settings_file(self, name: str = "gateway-0", **more: str) -> Path:
        folder, path = self.folder, self.folder / f"{name}.toml"
        extra = "".join(f"{key} = {value}\n" for key, value in more.items())
        path.write_text(
            f'socket = "{folder}/{name}.sock"\nname = "{name}"\n'
            f'database = "{self.database}"\nrecorder = "{self.log.socket}"\n'
            f'policy = "{folder}/policy.json"\nsite_secret = "{folder}/site-secret"\n'
            f'history_key = "{folder}/history.pub"\n'
            f'embedder = "{self.embedder}"\nembedding_model = "vecteurs"\n{extra}'
            f'[realm]\nissuer = "{self.realm.issuer}"\nbackchannel = "{self.realm.issuer}"\n'
            f'[engines]\nchat = "{self.engine}"\nreserve = "{self.engine}"\n'
            f'perdu = "{folder}/nobody.sock"\n'
        )
        return path

    def start_gateway(self, name: str, **more: str) -> "subprocess.Popen[bytes]":
        """Run a worker as a process, and return when it listens."""
        argv = [sys.executable, "-c", _MAIN, str(self.settings_file(name, **more))]
        with (self.folder / "processes.log").open("ab") as log:
            process = subprocess.Popen(argv, cwd=ROOT, stderr=log, stdout=log)
        self.processes.append(process)
        await_socket(self.folder / f"{name}.sock", process)
        return process

    def restart_recorder(self) -> None:
        """Kill the recorder, and start it again on the same log."""
        recording.end(self.recorder)
        self.recorder = recording.start(self.log)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        recording.end(self.recorder)


def await_socket(path: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return
        assert process.poll() is None, (path.parent / "processes.log").read_text()
        assert time.monotonic() < deadline, f"{path.name} is not there"
        time.sleep(0.02)


def make_site(folder: Path, realm: Realm, database: str) -> Site:
    """Write the files of a site and start its recorder."""
    private = X25519PrivateKey.generate()
    log = recording.new_log(folder, socket=folder / "recorder.sock", reattach_timeout=2)
    private_key = private.private_bytes_raw()
    site = Site(folder, realm, database, private_key, log, recording.start(log))
    (folder / "history.pub").write_bytes(private.public_key().public_bytes_raw())
    (folder / "site-secret").write_bytes(os.urandom(32))
    site.set_policy()
    return site


@dataclass
class Client:
    """HTTP to one worker, as one person."""

    http: aiohttp.ClientSession
    realm: Realm
    token: str

    def as_(self, subject: str, **claims: Any) -> "Client":
        return Client(self.http, self.realm, self.realm.token(subject, **claims))

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    async def post(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Return status, decoded body and headers."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        wanted = {**self.headers, "content-type": "application/json", **(headers or {})}
        url, data = f"http://gateway{path}", io.BytesIO(raw)
        async with self.http.post(url, data=data, headers=wanted) as answer:
            text = await answer.read()
            return answer.status, json.loads(text), answer.headers

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.http.get(f"http://gateway{path}", headers=self.headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def chat(self, content: str = "Bonjour ?", **more: Any) -> tuple[int, Any, Any]:
        messages = [{"role": "user", "content": content}]
        body = {"model": "chat", "messages": messages, **more}
        return await self.post("/v1/chat/completions", body)

    async def stream(self, content: str = "Bonjour ?", **more: Any) -> list[Json]:
        """Return the events of a stream, `[DONE]` checked."""
        raw = await self.raw_stream(content, **more)
        events = [e.removeprefix(b"data: ") for e in raw.split(b"\n\n") if e]
        if events[-1] == b"[DONE]":
            events.pop()
        return [json.loads(e) for e in events]

    async def raw_stream(self, content: str = "Bonjour ?", **more: Any) -> bytes:
        body = {
            "model": "chat", "messages": [{"role": "user", "content": content}], "stream": True,
            **more,
        }  # fmt: skip
        url = "http://gateway/v1/chat/completions"
        async with self.http.post(url, json=body, headers=self.headers) as answer:
            return await answer.read()


@asynccontextmanager
async def client(site: Site, name: str = "gateway-0") -> AsyncIterator[Client]:
    """Lend HTTP to a worker."""
    connector = aiohttp.UnixConnector(str(site.folder / f"{name}.sock"), limit=0)
    timeout = aiohttp.ClientTimeout(60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        yield Client(http, site.realm, site.realm.token())


@asynccontextmanager
async def gateway(site: Site, name: str = "gateway-0", **more: str) -> AsyncIterator[Client]:
    """Run a worker in this event loop, and lend HTTP to it."""
    settings = site.settings(name, **more)
    server = uvicorn.Server(configuration(create_gateway(settings), settings.socket))
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
            assert not task.done(), "the worker did not start"
        async with client(site, name) as lent:
            yield lent
    finally:
        server.should_exit = True
        await task


async def records(site: Site, request: str | None = None) -> list[Json]:
    """Return the events of the log, in order; of one request when it is named."""
    reader = RecorderClient(site.log.socket, "test-reader")
    await reader.connect()
    try:
        leaves = await reader.read(0, 1_000_000)
    finally:
        await reader.close()
    events: list[Json] = [json.loads(leaf)["event"] for leaf in leaves]
    return [e for e in events if request is None or e.get("request") == request]


async def calls(site: Site) -> list[Json]:
    """Return the records of model calls."""
    return [e for e in await records(site) if e["type"].startswith("casemate.llm.")]


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Wait until a check holds."""
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


def kinds(events: list[Json]) -> list[str]:
    """Return the types without what they share."""
    return [e["type"].removeprefix("casemate.").removesuffix(".v1") for e in events]


async def until(condition: Any, seconds: float = 10) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)
