"""A console that runs: real database, recorder, gateway and console; the engine is scripted.

Only the realm is played, by `tests/gateway/stand.py`: sessions are put into the store as a
login leaves them. Everything else is what the product runs.
"""

import asyncio
import os
import socket
import threading
import time
import uuid
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx2 as httpx
import psycopg
import uvicorn
from lxml import html
from psycopg import AsyncConnection, sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from appliance.app import create_console, create_gateway
from appliance.audit.client import RecorderClient
from appliance.audit.index.indexer import serve as serve_index
from appliance.audit.key import verifier_key
from appliance.audit.reading import serving
from appliance.db.bootstrap import OWNER
from appliance.db.pool import Pool
from appliance.gateway.commands import configuration
from appliance.identity.access import Authenticator
from appliance.identity.login import Tokens
from appliance.identity.policy import Model
from appliance.identity.policy import read as read_policy
from appliance.identity.principal import Scope
from appliance.identity.session import Session, Sessions
from appliance.settings import ConsoleSettings, RealmSettings, load
from appliance.trail_settings import IndexerSettings
from tests.gateway.engine import Engine
from tests.gateway.reading import reader_settings
from tests.gateway.stand import Realm, Site, make_site
from tests.rag.library import Book, declare, put
from tests.recording import ORIGIN, SEED

T = TypeVar("T")
DATABASE = "casemate_console_test"
LABELS = ["Non protégé", "Usage interne", "Diffusion restreinte", "Mention du site"]
ROLES: dict[str, list[Scope]] = {
    "utilisateur": [
        Scope.CHAT, Scope.SEARCH, Scope.EMBED, Scope.DOCUMENTS_READ, Scope.DOCUMENTS_WRITE,
        Scope.KEYS_OWN, Scope.RECORDS_OWN, Scope.REVIEW,
    ],
    "exploitant": [Scope.HEALTH, Scope.MODELS, Scope.COLLECTIONS, Scope.STOP],
    "auditeur": [
        Scope.RECORDS_ALL, Scope.EXPORT, Scope.VERIFY, Scope.CONTENT_APPROVE,
    ],
    "dpo": [Scope.ERASURE_APPROVE],
    "rssi": [
        Scope.POLICY, Scope.STOP, Scope.START_APPROVE, Scope.RECORDS_ALL, Scope.CONTENT_APPROVE,
    ],
}  # fmt: skip
MODELS = {"chat": Model("chat", 3, extractive=True), "vecteurs": Model("embed", 3)}
LEAVE = (
    "Article 1. Champ. La présente note règle les congés annuels des agents du service.",
    (
        "Article 4. Délai de réponse. Le chef de service répond à une demande de congé dans un "
        "délai de quinze jours. Au-delà, la demande est réputée acceptée."
    ),
)
BENCH = (
    (
        "Article 2. Consignation. Le banc B-07 est consigné avant toute intervention ; la "
        "fiche FS-07 est signée par le chargé de consignation."
    ),
)


@dataclass
class Loop:
    """An event loop in a thread of its own."""

    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, T], seconds: float = 60) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class Party:
    """The part of the login that sessions put into the store need."""

    def __init__(self, origin: str) -> None:
        self.origin = origin


@dataclass
class Stand:
    """The running console."""

    site: Site
    realm: Realm
    engine: Engine
    origin: str
    owner: str  # libpq connection string
    loop: Loop
    settings: ConsoleSettings
    servers: list[uvicorn.Server] = field(default_factory=list)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    told: list[asyncio.Event] = field(default_factory=list)

    @property
    def worker(self) -> str:
        return make_conninfo(self.owner, user="casemate_worker")

    def sign_in(self, subject: str = "c.vasseur", **claims: Any) -> tuple[str, Session]:
        """Put a session into the store; return its cookie and the session."""
        return self.loop.run(self._sign_in(subject, claims))

    async def _sign_in(self, subject: str, claims: dict[str, Any]) -> tuple[str, Session]:
        settings = self.settings
        wanted = {"clearance": [2], "groups": ["/equipes/methodes"], **claims}
        token = self.realm.token(subject, **wanted)
        secret = settings.site_secret.read_bytes()
        policy = read_policy(settings.policy)
        pool: Pool = AsyncConnectionPool(settings.database, open=False, min_size=1)
        async with pool:
            realm = RealmSettings(issuer=self.realm.issuer, backchannel=self.realm.issuer)
            async with Authenticator(realm, pool, policy.scopes, site_secret=secret) as known:
                party: Any = Party(self.origin)
                sessions = Sessions(pool, known, party, settings.session_key.read_bytes())
                opened = await sessions.open(Tokens(token, "refresh", "identity"))
            async with pool.connection() as conn:  # the played realm refreshes nothing
                await conn.execute("UPDATE console_session SET fresh_until = now() + '1 hour'")
            return opened

    def put(self, *books: Book) -> None:
        """Put documents in, as the worker does."""

        async def work() -> None:
            async with await AsyncConnection.connect(self.worker) as conn:
                for book in books:
                    await put(conn, book)

        self.loop.run(work())

    def fail(self, document: uuid.UUID, reason: str) -> None:
        """Let the analysis of a document have failed."""
        with psycopg.connect(self.worker) as conn:
            conn.execute(
                "UPDATE document SET progress = 'failed', reason = %s WHERE public_id = %s",
                (reason, document),
            )

    def advance(self, slug: str, progress: str) -> None:
        """Let every document of a collection stand there."""
        with psycopg.connect(self.worker) as conn:
            conn.execute(
                """
                UPDATE document SET progress = %s, reason = NULL WHERE collection_id =
                  (SELECT id FROM collection WHERE slug = %s)
                """,
                (progress, slug),
            )

    def declare(self, slug: str, label: int, **groups: bool) -> None:
        async def work() -> None:
            async with await AsyncConnection.connect(self.worker) as conn:
                await declare(conn, slug, label, **groups)

        self.loop.run(work())

    def leaves(self) -> list[bytes]:
        async def work() -> list[bytes]:
            reader = RecorderClient(self.site.log.socket, "test-reader")
            await reader.connect()
            try:
                return await reader.read(0, 100_000)
            finally:
                await reader.close()

        return self.loop.run(work())

    def open_contents(self) -> None:
        """Run the reader of sealed contents."""
        told, settings = asyncio.Event(), reader_settings(self.site)

        async def start() -> None:
            task = asyncio.ensure_future(serving.serve(settings, told))
            while not settings.socket.exists():
                await asyncio.sleep(0.01)
                assert not task.done(), task.exception()
            self.tasks.append(task)
            self.told.append(told)

        self.loop.run(start())

    def serve(self, config: uvicorn.Config, sockets: Sequence[socket.socket] = ()) -> None:
        server = uvicorn.Server(config)

        async def start() -> None:
            work = server.serve(sockets=list(sockets) or None)
            self.tasks.append(asyncio.ensure_future(work))
            while not server.started:
                await asyncio.sleep(0.01)
                assert not self.tasks[-1].done(), "the server did not start"

        self.loop.run(start())
        self.servers.append(server)

    def index(self) -> None:
        """Keep the copy of the log, as the indexer does."""
        settings = IndexerSettings(
            database=make_conninfo(self.owner, user="casemate_indexer"),
            recorder=self.site.log.socket, interval=0.05,
        )  # fmt: skip

        async def start() -> None:
            self.tasks.append(asyncio.ensure_future(serve_index(settings, self.ended)))

        self.loop.run(start())

    def engines_noted(self, engines: Mapping[str, Path]) -> None:
        """Wait until the gateway told which engines it found: later leaves are of the tests."""
        up, until = sum(path == self.site.engine for path in engines.values()), time.monotonic()
        while sum(b"casemate.model.load.v1" in leaf for leaf in self.leaves()) < up:
            assert time.monotonic() < until + 20, "the gateway found no engine"
            time.sleep(0.02)

    def indexed(self) -> None:
        """Wait until the copy holds what the log does."""
        size, until = len(self.leaves()), time.monotonic() + 20
        while time.monotonic() < until:
            with psycopg.connect(make_conninfo(self.owner, user="casemate_indexer")) as conn:
                row = conn.execute("SELECT next FROM audit.side WHERE serving").fetchone()
            if row and row[0] >= size:
                return
            time.sleep(0.02)
        raise AssertionError("the copy stays behind")

    def close(self) -> None:
        async def stop() -> None:
            self.ended.set()
            for server in self.servers:
                server.should_exit = True
            for told in self.told:
                told.set()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await self.engine.stop()

        self.loop.run(stop())
        self.loop.close()
        self.site.close()


def create_database(server: str, template: str) -> str:
    """Return a fresh database as its owner."""
    with psycopg.connect(server, autocommit=True) as conn:
        name, source, owner = map(sql.Identifier, (DATABASE, template, OWNER))
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        conn.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(name, source, owner)
        )
    return make_conninfo(server, dbname=DATABASE, user=OWNER)


def make_stand(folder: Path, realm: Realm, owner: str) -> Stand:
    """Start everything."""
    site = make_site(folder, realm, make_conninfo(owner, user="casemate_gateway"))
    set_policy(site)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = load(_settings(site, origin, owner), ConsoleSettings)
    loop = Loop()
    engine = Engine(site.engine)
    loop.run(engine.start())
    stand = Stand(site, realm, engine, origin, owner, loop, settings)
    stand.open_contents()
    wanted = site.settings(reader_key=f'"{folder}/reader.pub"')
    stand.serve(configuration(create_gateway(wanted), wanted.socket))
    stand.engines_noted(wanted.engines)
    console = uvicorn.Config(create_console(settings), lifespan="on", log_config=None)
    stand.serve(console, [listening])
    stand.index()
    return stand


def set_policy(site: Site, **changes: Any) -> None:
    site.set_policy(labels=LABELS, roles=ROLES, models=MODELS, ungrounded=False, **changes)


def _settings(site: Site, origin: str, owner: str) -> Path:
    folder = site.folder
    for name in ("session-key", "object-key"):
        (folder / name).write_bytes(os.urandom(32))
    (folder / "client-secret").write_text("secret")
    (folder / "history-key").write_bytes(site.history_key)
    (folder / "verifier-key").write_text(verifier_key(ORIGIN, SEED))
    (folder / "objects").mkdir()
    path = folder / "console.toml"
    console = make_conninfo(owner, user="casemate_console")
    path.write_text(
        f'socket = "{folder}/console.sock"\norigin = "{origin}"\nsite = "Atelier de Kerbrat"\n'
        f'database = "{console}"\ngateway = "{folder}/gateway-0.sock"\n'
        f'recorder = "{site.log.socket}"\npolicy = "{folder}/policy.json"\n'
        f'client_secret = "{folder}/client-secret"\nsession_key = "{folder}/session-key"\n'
        f'site_secret = "{folder}/site-secret"\nhistory_key = "{folder}/history-key"\n'
        f'reader = "{folder}/reader.sock"\n'
        f'objects = "{folder}/objects"\nobject_key = "{folder}/object-key"\n'
        f'log_key = "{folder}/verifier-key"\nexports = "{folder}/exports"\n'
        f'[realm]\nissuer = "{site.realm.issuer}"\nbackchannel = "{site.realm.issuer}"\n'
    )
    return path


def furnish(stand: Stand) -> None:
    """Declare collections and put documents in."""
    stand.declare("notes", 0, methodes=True)
    stand.declare("procedures", 2, methodes=True)
    stand.declare("direction", 1, direction=True)
    stand.put(
        Book("notes", "Note sur les congés", LEAVE, public_id=uuid.UUID(int=1)),
        Book("procedures", "PO-217 Banc B-07", BENCH, public_id=uuid.UUID(int=2)),
        Book("direction", "Projet de direction", ("Secret de la direction.",)),
    )


@dataclass
class Person:
    """A signed-in browser without JavaScript."""

    http: httpx.Client
    session: Session
    cookie: str

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.http.get(path, headers=headers)

    def post(self, path: str, *, htmx: bool = False, **fields: Any) -> httpx.Response:
        headers = {"hx-request": "true"} if htmx else {}
        data = {"csrf": self.session.csrf, **fields}
        return self.http.post(path, data=data, headers=headers)

    def send(self, path: str, *files: tuple[str, bytes], htmx: bool = False) -> httpx.Response:
        headers = {"hx-request": "true"} if htmx else {}
        sent = [("fichiers", file) for file in files]
        data = {"csrf": self.session.csrf}
        return self.http.post(path, data=data, files=sent, headers=headers)

    def ask(self, question: str, *collections: str, htmx: bool = False) -> httpx.Response:
        wanted = list(collections) or ["notes", "procedures"]
        return self.post("/question", htmx=htmx, q=question, collection=wanted)


@contextmanager
def person(stand: Stand, subject: str = "c.vasseur", **claims: Any) -> Iterator[Person]:
    """Sign somebody in for the length of a block."""
    cookie, session = stand.sign_in(subject, **claims)
    headers = {"origin": stand.origin}
    with httpx.Client(
        base_url=stand.origin, cookies={"casemate": cookie}, headers=headers, timeout=60
    ) as http:
        yield Person(http, session, cookie)


def found_in(page: httpx.Response | str, xpath: str) -> list[Any]:
    """Return what an expression finds on a page."""
    text = page if isinstance(page, str) else page.text
    found: Any = html.document_fromstring(text).xpath(xpath)
    return list(found)


def text_of(page: httpx.Response | str, xpath: str) -> str:
    """Return the text of the first element found, its white space made single."""
    found = found_in(page, xpath)
    assert found, f"{xpath} is not on the page"
    return " ".join(found[0].text_content().replace("\u00a0", " ").split())


def values_of(page: httpx.Response | str, xpath: str) -> list[str]:
    """Return attributes or texts, in order."""
    return [str(found) for found in found_in(page, xpath)]
