"""Parts of the running appliance die at random under load, and nothing that was said is lost.

`CASEMATE_KILLS` sets how many (12 in `make test`, 50 in `make deep`), `CASEMATE_SEED` the draw.
The engine stands behind a proxy of the test, which counts what reaches it.
"""

import asyncio
import base64
import hashlib
import json
import os
import random
import signal
import time
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from psycopg import AsyncConnection, IsolationLevel

from appliance.audit.client import RecorderClient
from appliance.audit.index.reconcile import reconcile
from appliance.settings import load as load_settings
from appliance.site.store import progress
from appliance.site.visitor import VisitError, Visitor
from appliance.trail_settings import IndexerSettings
from tests.stack import results
from tests.stack.running import Json, Running, children, running

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]

KILLS = int(os.environ.get("CASEMATE_KILLS", "12"))
SEED = int(os.environ.get("CASEMATE_SEED", "0")) or random.SystemRandom().getrandbits(32)
PARTS = [
    "gateway-0", "recorder", "gateway-1", "console", "worker", "parser", "postgres", "indexer",
]  # fmt: skip
RECOVERY = 30  # seconds, without a hand
TOLD = 8  # seconds in which a request without a record is refused: 2 when nothing is slow
CLIENTS = 6
QUESTION = "Combien de jours de télétravail sont possibles par semaine ?"
TERMINALS = {"completion", "error", "interrupted", "refused"}


@dataclass
class Load:
    """What clients were told, while parts died."""

    origin: str
    key: str
    acknowledged: list[tuple[int, str]] = field(default_factory=list)  # index, leaf hash
    statuses: Counter[str] = field(default_factory=Counter)
    upstream: int = 0
    over: bool = False

    async def ask(self, http: aiohttp.ClientSession) -> bool:
        """Ask once; keep the receipt. False when it was not answered to its end."""
        body = {
            "model": "extraits", "stream": random.random() < 0.5,  # noqa: S311 - variety
            "messages": [{"role": "user", "content": QUESTION}],
            "casemate": {"collections": ["procedures"]},
        }  # fmt: skip
        headers = {"authorization": f"Bearer {self.key}"}
        url = f"{self.origin}/v1/chat/completions"
        try:
            async with http.post(url, json=body, headers=headers) as answer:
                text = (await answer.read()).decode()
                self.statuses[str(answer.status)] += 1
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            self.statuses[type(exc).__name__] += 1
            return False
        receipt = _receipt(text) if answer.status == 200 else None
        if receipt:
            self.acknowledged.append((receipt["index"], receipt["leaf"]))
        return receipt is not None

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            while not self.over:
                if not await self.ask(http):
                    await asyncio.sleep(0.1)


def _receipt(text: str) -> Json | None:
    """Return the receipt of an answer that came whole."""
    events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    if events and events[-1] != "[DONE]":
        return None
    for event in reversed(events[:-1] if events else [text]):
        found: Json | None = json.loads(event).get("casemate", {}).get("receipt")
        if found:
            return found
    return None


@pytest.fixture(scope="module")
def stack() -> Iterator[Running]:
    with running("--no-vectors") as up:
        yield up


@asynccontextmanager
async def counted_engine(stack: Running, load: Load) -> AsyncIterator[None]:
    """Stand before the engine and count; gateways are restarted to reach it here."""
    path = stack.folder.run / "counted.sock"
    engine = aiohttp.UnixConnector(str(stack.folder.socket("engine")))
    async with aiohttp.ClientSession(connector=engine) as http:

        async def forward(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            load.upstream += request.method == "POST"
            async with http.request(
                request.method, "http://engine" + request.path, data=body or None,
                headers={"content-type": "application/json"},
            ) as answer:  # fmt: skip
                text = await answer.read()
                return web.Response(
                    status=answer.status, body=text, content_type=answer.content_type
                )

        app = web.Application(client_max_size=10**7)
        app.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()
        for name in ("gateway-0", "gateway-1"):
            file = stack.folder.toml(name)
            text = file.read_text()
            assert str(stack.folder.socket("engine")) in text
            file.write_text(text.replace(str(stack.folder.socket("engine")), str(path)))
            stack.kill(name)
        try:
            yield
        finally:
            await runner.cleanup()


async def make_key(stack: Running) -> str:
    """Make an application key on the page, as a person does."""
    person = stack.account("camille")
    async with Visitor(stack.origin) as visitor:
        await visitor.sign_in(person.username, person.password, None)
        page = await visitor.get("/cles")
        (form,) = (f for f in page.root.forms if f.action.endswith("/cles"))
        wanted = dict(form.form_values()) | {"nom": "charge"}
        made = await visitor.post(form.action, {k: str(v) for k, v in wanted.items()})
        return made.text("//code[@id='cle']")


async def deposit(stack: Running, number: int, size: int = 4000) -> None:
    """Upload a document, and again while the console is away."""
    words = f"Note {number} sur le matériel. " + "La salle est ouverte à huit heures. " * size
    deadline = time.monotonic() + RECOVERY
    while True:
        try:
            await _upload(stack, f"note-{number}.txt", words.encode())
        except (aiohttp.ClientError, OSError, VisitError):
            assert time.monotonic() < deadline, "no deposit was taken"
            await asyncio.sleep(0.5)
        else:
            return


async def _upload(stack: Running, name: str, data: bytes) -> None:
    person = stack.account("camille")
    async with Visitor(stack.origin) as visitor:
        await visitor.sign_in(person.username, person.password, None)
        page = await visitor.get("/documents/procedures")
        csrf = page.root.xpath("string((//input[@name='csrf']/@value)[1])")
        form = aiohttp.FormData()
        form.add_field("csrf", csrf)
        form.add_field("fichiers", data, filename=name)
        url = f"{stack.origin}/documents/procedures"
        headers = {"Origin": stack.origin}
        async with visitor._http.post(url, data=form, headers=headers) as answer:
            text = await answer.text()
            if answer.status != 200 or name not in text:
                raise VisitError(f"{answer.status}: {text[-2000:]}")


async def kill(stack: Running, part: str, number: int) -> None:
    """Kill a part; for the parser, while it reads."""
    if part != "parser":
        stack.kill(part)
        return
    task = asyncio.create_task(deposit(stack, number))
    deadline = time.monotonic() + 2 * RECOVERY
    killed = False
    while not killed and time.monotonic() < deadline:
        for pid in children(stack.pid("worker"), "import parse"):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
                killed = True
        await asyncio.sleep(0.005)
    await task
    assert killed, "no parser was seen"


async def await_recovery(stack: Running, load: Load, part: str, before: int) -> float:
    """Return the seconds until the part is back and a question is answered."""
    began = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        while True:
            spent = time.monotonic() - began
            assert spent < RECOVERY, f"{part} was not back after {spent:.0f} s: {load.statuses}"
            renewed = part == "parser" or stack.pid(part) != before
            if renewed and await load.ask(http) and await serves_pages(http, stack):
                return spent
            await asyncio.sleep(0.1)


async def serves_pages(http: aiohttp.ClientSession, stack: Running) -> bool:
    """Say whether the console answers."""
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with http.get(stack.origin) as answer:
            return answer.status == 200 and "Casemate" in await answer.text()
    return False


async def none_without_a_record(stack: Running, load: Load) -> None:
    """Hold the recorder: who asks then is told no, and the engine hears nothing of it."""
    stack.kill("recorder", signal.SIGSTOP)
    try:
        await asyncio.sleep(1)  # what was admitted goes through
        before, began = load.upstream, time.monotonic()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as http:
            answered = await asyncio.gather(*[load.ask(http) for _ in range(CLIENTS)])
        assert load.upstream == before, "the engine was asked, and no record could be made"
        assert not any(answered)
        assert time.monotonic() - began < TOLD, "nobody was told that there is no answer"
    finally:
        stack.kill("recorder", signal.SIGCONT)


async def leaves(stack: Running) -> list[bytes]:
    reader = RecorderClient(stack.folder.socket("recorder"), "test-kills")
    await reader.connect()
    try:
        return await reader.read(0, 10_000_000)
    finally:
        await reader.close()


async def settled(stack: Running) -> list[bytes]:
    """Return the log once no request is open: lost gateways have 10 s to come back."""
    deadline = time.monotonic() + 40
    while True:
        found = await leaves(stack)
        if not open_requests(found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(1)


def open_requests(found: list[bytes]) -> set[str]:
    events = [json.loads(leaf)["event"] for leaf in found]
    begun = {e["request"] for e in events if e["type"].endswith("llm.request.v1")}
    return begun - {e["request"] for e in events if is_terminal(e["type"])}


def is_terminal(kind: str) -> bool:
    _, subject, event, _ = kind.split(".")
    return subject == "llm" and event in TERMINALS


def test_nothing_acknowledged_is_lost_when_parts_die_under_load(stack: Running) -> None:
    print(f"seed {SEED}, {KILLS} kills")  # noqa: T201 - to draw the same again

    async def main() -> None:
        load = Load(stack.origin, await make_key(stack))
        async with counted_engine(stack, load):
            await await_recovery(stack, load, "parser", 0)
            clients = [asyncio.create_task(load.run()) for _ in range(CLIENTS)]
            await none_without_a_record(stack, load)
            killed = await kill_parts(stack, load)
            load.over = True
            await asyncio.gather(*clients)
            found = await settled(stack)
        verdict = "broken"
        try:
            check(load, found)
            await all_read(stack)
            await all_copied(stack)
            verdict = "kept"
        finally:
            report(load, killed, found, verdict)

    asyncio.run(main())


async def kill_parts(stack: Running, load: Load) -> list[tuple[str, float]]:
    """Kill each part once, then parts at random; return which, and the seconds to be back."""
    draw = random.Random(SEED)  # noqa: S311 - which part dies
    killed: list[tuple[str, float]] = []
    for number in range(KILLS):
        part = PARTS[number] if number < len(PARTS) else draw.choice(PARTS)
        if number % 3 == 0:
            await deposit(stack, 1000 + number, 50)
        await asyncio.sleep(draw.uniform(0.2, 1.5))
        before = 0 if part == "parser" else stack.pid(part)
        await kill(stack, part, number)
        killed.append((part, await await_recovery(stack, load, part, before)))
    return killed


def report(
    load: Load, killed: list[tuple[str, float]], found: list[bytes], verdict: str
) -> None:
    """Print the figures, and keep them for `make deep`."""
    back = {part: [round(s, 1) for name, s in killed if name == part] for part in PARTS}
    for part, seconds in back.items():
        print(f"{part:10} {len(seconds)} kills, back after {seconds} s")  # noqa: T201
    print(f"{len(load.acknowledged)} acknowledged, {dict(load.statuses)}")  # noqa: T201
    types = Counter(json.loads(leaf)["event"]["type"] for leaf in found)
    figures = {
        "seed": SEED, "kills": len(killed), "seconds_to_be_back": back,
        "longest_seconds": round(max(s for _, s in killed), 1), "goal_seconds": RECOVERY,
        "acknowledged": len(load.acknowledged), "answers": dict(load.statuses),
        "upstream_calls": load.upstream, "records": dict(types.most_common()),
        "verdict": verdict,
    }  # fmt: skip
    results.record("kills", figures)


def check(load: Load, found: list[bytes]) -> None:
    """Compare what clients and engine saw with the log."""
    assert load.acknowledged
    hashes = [hashlib.sha256(b"\0" + leaf).digest() for leaf in found]
    there = {(index, base64.b64encode(h).decode()) for index, h in enumerate(hashes)}
    assert [one for one in load.acknowledged if one not in there] == []
    events = [json.loads(leaf)["event"] for leaf in found]
    begun = Counter(e["request"] for e in events if e["type"].endswith("llm.request.v1"))
    ended = Counter(e["request"] for e in events if is_terminal(e["type"]))
    assert set(begun.values()) == {1}
    assert {r for r in begun if ended[r] != 1} == set()
    assert load.upstream <= len(begun)


async def all_read(stack: Running) -> None:
    """Wait until each deposited document was read: no job is lost with its worker."""
    words = tomllib.loads(stack.folder.toml("worker").read_text("utf-8"))
    database = str(words["database"])
    deadline = time.monotonic() + 60
    while (found := await asyncio.to_thread(progress, database)).waiting:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.5)


async def all_copied(stack: Running) -> None:
    """Wait until the copy of the log holds each leaf, as the files of the log have it."""
    settings = load_settings(stack.folder.toml("indexer"), IndexerSettings)
    deadline = time.monotonic() + 60
    while True:
        async with await AsyncConnection.connect(settings.database) as conn:
            await conn.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            found = await reconcile(conn, stack.folder.log)
        assert found.difference is None
        if not found.behind:
            return
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.5)
