"""The embedded stack: what is started in which order, on one machine, below one folder.

Keycloak takes longest, so everything that does not need it is started beside it. Ready means
that a person can sign in and that keyword search answers; vectors join when the embedder is up.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from rich.console import Console

from appliance.db.bootstrap import OWNER, bootstrap
from appliance.db.migrate import migrate
from appliance.errors import ApplianceError
from appliance.identity.provision import provision
from appliance.rag.importing import import_folder
from appliance.rag.objects import Objects
from appliance.settings import ApplySettings, ProvisionSettings, load, read_secret
from appliance.site import account, keycloak, postgres, processes, programs
from appliance.site.account import Account
from appliance.site.apply import apply, read_declared
from appliance.site.board import Board
from appliance.site.folder import Folder, choose_ports, prepare, write_settings
from appliance.site.haproxy import Front, answers, render
from appliance.site.machine import observe, with_model
from appliance.site.preflight import check
from appliance.site.processes import Layout
from appliance.site.program import Program
from appliance.site.store import make_identity_database, progress
from appliance.site.supervisor import StartError, Supervisor

CLONE = Path(__file__).parents[2]
CACHE = CLONE / "build"  # Keycloak, built once for every stack of this clone
VLLM_PYTHON = CLONE / ".venv-vllm" / "bin" / "python"
SAMPLE = Path(__file__).parent / "sample"
READING = 120.0  # seconds for the sample documents
MODEL = "mistral"  # name under which a model folder is offered


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    directory: Path
    port: int = 0  # public; 0 for any
    gateways: int = 2
    model: Path | None = None  # folder in Mistral's format
    vectors: bool = True
    site: Path = SAMPLE / "site.toml"


class Stack:
    """One embedded stack, from its start to its end."""

    def __init__(self, layout: Layout, wish: Wish, board: Board) -> None:
        """Know what to start; nothing runs yet."""
        self.layout, self._wish, self.board = layout, wish, board
        self.folder: Folder = layout.folder
        self.supervisor = Supervisor(self.folder.logs, _environment(self.folder), self._note)
        self.accounts: Mapping[str, Account] = {}
        self.ready = False  # people can sign in, and search by keyword
        self._background: set[asyncio.Task[None]] = set()

    async def up(self) -> None:
        """Start everything; return when people can sign in and search by keyword."""
        self._write_settings()
        async with asyncio.TaskGroup() as together:
            together.create_task(self._identity())
            together.create_task(self._records())
        with self.board.phase("Site déclaré : comptes, collections, budgets, politique"):
            await asyncio.to_thread(self._apply)
        with self.board.phase("Passerelles, console, tâches de fond"):
            # Before the gateways: they seal to its key of this month.
            await self.supervisor.start(programs.reader(self.layout))
            async with asyncio.TaskGroup() as together:
                for name in self.layout.gateway_names:
                    gateway = programs.gateway(self.layout, name)
                    together.create_task(self.supervisor.start(gateway))
                together.create_task(self.supervisor.start(programs.console(self.layout)))
                together.create_task(self.supervisor.start(programs.worker(self.layout)))
                together.create_task(self.supervisor.start(programs.events(self.layout)))
                together.create_task(self.supervisor.start(programs.indexer(self.layout)))
                together.create_task(self.supervisor.start(programs.heartbeat(self.layout)))
                together.create_task(self.supervisor.start(programs.front(self.layout)))
        with self.board.phase("Documents : recherche par mots"):
            await asyncio.to_thread(self._import)
            await self._searchable()
        self.ready = True
        self._note(self.supervisor.pids)
        self._start_engines()

    def _import(self) -> None:
        """Deposit the sample documents; what is already there stays."""
        samples = self._wish.site.parent / "documents"
        if samples.is_dir():
            asyncio.run(self._deposit(samples))  # in this thread

    async def _deposit(self, samples: Path) -> None:
        objects = Objects(self.folder.objects, read_secret(self.folder.secret("object-key")))
        database = self.layout.database("casemate_worker")
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as conn:
            async for one in import_folder(conn, objects, samples):
                if one.problem:
                    raise StartError(f"{one.collection}/{one.name} : {one.problem}")

    async def _searchable(self) -> None:
        """Wait until no document waits to be read."""
        database = self.layout.database("casemate_worker")
        deadline = time.monotonic() + READING
        while (found := await asyncio.to_thread(progress, database)).waiting:
            if time.monotonic() > deadline:
                raise StartError(f"{found.waiting} documents attendent encore d’être lus")
            await asyncio.sleep(0.2)

    def _start_engines(self) -> None:
        """Start what loads for minutes: until then answers are extracts, found by words."""
        if self._wish.vectors:
            self._in_background(
                programs.embedder(self.layout, VLLM_PYTHON), "Vecteurs (vLLM sur processeur)"
            )
        if self._wish.model:
            self._in_background(
                programs.chat(self.layout, VLLM_PYTHON, self._wish.model),
                f"Modèle {self._wish.model.name} (vLLM sur processeur)",
            )

    async def down(self) -> None:
        """Stop everything."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.supervisor.stop()

    async def _identity(self) -> None:
        """Start PostgreSQL, then Keycloak on it, then declare the site."""
        await self._database()
        with self.board.phase("Keycloak"):
            home = await asyncio.to_thread(keycloak.install, CACHE)
            await self.supervisor.start(programs.identity(self.layout, home))
        with self.board.phase("Domaines d’identité"):
            await asyncio.to_thread(self._provision)

    async def _database(self) -> None:
        data, sockets = self.folder.postgres, self.folder.run / "pg"
        with self.board.phase("PostgreSQL"):
            await asyncio.to_thread(postgres.prepare, data, sockets)
            if not postgres.exists(data):
                await self.supervisor.run(programs.init_cluster(self.layout))
            postgres.configure(data)
            await self.supervisor.start(programs.database(self.layout))
        with self.board.phase("Schéma de la base"):
            await asyncio.to_thread(self._migrate)

    def _migrate(self) -> None:
        server = self.layout.database(postgres.SUPERUSER, "postgres")
        bootstrap(server, "casemate")
        password = self.folder.secret("database").read_text()
        make_identity_database(server, keycloak.DATABASE, password)
        with psycopg.connect(self.layout.database(OWNER)) as conn:
            migrate(conn)

    def _provision(self) -> None:
        wanted = load(self.folder.toml("identity"), ProvisionSettings)
        secrets = {
            "bootstrap": wanted.bootstrap_secret,
            "provision": wanted.provision_secret,
            "console": wanted.console_secret,
            "worker": wanted.worker_secret,
            "events": wanted.events_secret,
        }
        values = {"origin": wanted.origin, "admin_front": ""}
        found = {name: read_secret(path).decode() for name, path in secrets.items()}
        provision(wanted.keycloak, values, found)

    def _apply(self) -> None:
        declared = self._wish.site.read_text("utf-8")
        self.folder.site.write_text(
            processes.chosen_model(declared, self.layout.model), "utf-8"
        )
        settings = load(self.folder.toml("apply"), ApplySettings)
        asyncio.run(apply(read_declared(self.folder.site), settings))  # in this thread
        self.accounts = {
            a.username: a for a in account.parse(self.folder.accounts.read_bytes())
        }

    async def _records(self) -> None:
        """Make the log once, then start the recorder and the engine that needs nothing."""
        with self.board.phase("Journal et moteur d’extraits"):
            if not self.folder.verifier_key.exists():
                await self.supervisor.run(programs.init_log(self.layout))
            await self.supervisor.start(programs.recorder(self.layout))
            await self.supervisor.start(programs.engine(self.layout))

    def _in_background(self, program: Program, label: str) -> None:
        async def start() -> None:
            with self.board.phase(label):
                await self.supervisor.start(program)

        self._background.add(asyncio.create_task(start()))

    def _write_settings(self) -> None:
        layout = self.layout
        write_settings(self.folder, "recorder", processes.recorder(layout))
        write_settings(self.folder, "engine", processes.engine(layout))
        write_settings(self.folder, "indexer", processes.indexer(layout))
        write_settings(self.folder, "console", processes.console(layout))
        write_settings(self.folder, "worker", processes.worker(layout))
        write_settings(self.folder, "events", processes.events(layout))
        write_settings(self.folder, "heartbeat", processes.heartbeat(layout))
        write_settings(self.folder, "reader", processes.reader(layout))
        write_settings(self.folder, "identity", processes.identity(layout))
        write_settings(self.folder, "apply", processes.apply(layout))
        for name in layout.gateway_names:
            write_settings(self.folder, name, processes.gateway(layout, name))
        instance = programs.keycloak_instance(layout)
        keycloak.configure(
            instance,
            self.folder.secret("database").read_text(),
            bootstrap=self.folder.secret("bootstrap").read_text(),
        )
        (self.folder.settings / "haproxy.cfg").write_text(render(_front(layout)), "utf-8")
        for name, answer in answers().items():
            (self.folder.settings / name).write_bytes(answer)

    def _note(self, pids: Mapping[str, int]) -> None:
        """Write `stack.json`, whole, for who drives this stack."""
        stack = {
            "origin": self.layout.origin,
            "ready": self.ready,
            "supervisor": os.getpid(),
            "pids": pids,
            "accounts": str(self.folder.accounts),
            "settings": {path.stem: str(path) for path in self.folder.settings.glob("*.toml")},
        }
        fresh = self.folder.stack.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(stack, indent=1, ensure_ascii=False), "utf-8")
        fresh.rename(self.folder.stack)


async def _first_error(starting: Awaitable[None]) -> None:
    """Await, and raise the first of several expected errors: one is enough to act upon."""
    try:
        await starting
    except* ApplianceError as several:
        error: BaseException = several
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


def _front(layout: Layout) -> Front:
    folder, port = layout.folder, layout.ports["front"]
    return Front(
        bind=f"127.0.0.1:{port}",
        port=port,
        inside=str(folder.socket("inside")),
        gateways={name: str(folder.socket(name)) for name in layout.gateway_names},
        console=str(folder.socket("console")),
        identity=f"127.0.0.1:{layout.ports['keycloak']}",
        pages=str(folder.settings),
    )


def _environment(folder: Folder) -> dict[str, str]:
    """Return the environment of every program: of the caller's, only where programs are."""
    return {
        "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin",
        "HOME": str(folder.root),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }


def prepared(wish: Wish, running: int | None) -> Layout:
    """Check the machine, then make what the stack lacks in its folder.

    Raises:
        NotReadyError: The machine cannot; nothing was started.
    """
    root = wish.directory.resolve()
    root.mkdir(parents=True, exist_ok=True)
    found = observe(root, [wish.port], installed=True, vectors=wish.vectors, running=running)
    check(with_model(found, wish.model))
    folder = prepare(root)
    return Layout(
        folder=folder,
        ports=choose_ports(folder, wish.port),
        uid=os.getuid(),
        gateways=wish.gateways,
        model=MODEL if wish.model else None,
        vectors=wish.vectors,
    )


@asynccontextmanager
async def running(layout: Layout, wish: Wish, console: Console) -> AsyncIterator[Stack]:
    """Run a stack as long as the context lasts; whatever happens, no process is left."""
    board = Board(console, time.monotonic)
    stack = Stack(layout, wish, board)
    try:
        with board.shown():
            await _first_error(stack.up())
            yield stack
    finally:
        board.say("Arrêt…")
        await stack.down()
