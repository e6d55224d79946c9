"""A Mistral-format model behind vLLM and the gateway, asked by the stock `openai` client.

Between the gateway and vLLM stands a proxy that keeps each body: what was sent is replayed
directly, and vLLM says which tokens it makes.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import openai
import pytest
from aiohttp import web
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

from appliance.site import vllm
from tests.gateway.stand import Realm, Site, gateway, make_site, records

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
START = 300  # seconds
Json = dict[str, Any]
ASKED: dict[str, Json] = {
    "system": {
        "messages": [
            {"role": "system", "content": "Tu réponds en une phrase."},
            {"role": "user", "content": "Quel est le délai de la note PO-217 ?"},
        ]
    },
    "several turns": {
        "messages": [
            {"role": "user", "content": "Bonjour, qui êtes-vous ?"},
            {"role": "assistant", "content": "Un service d’aide."},
            {"role": "user", "content": "Donnez-moi l’article 3, s’il vous plaît."},
        ]
    },
    "JSON mode": {
        "messages": [{"role": "user", "content": "Un objet JSON avec un titre."}],
        "response_format": {"type": "json_object"},
    },
}


@dataclass(frozen=True)
class Served:
    """A model folder, and the socket of the vLLM that serves it."""

    folder: Path
    socket: Path


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    folder = Path(tempfile.mkdtemp(prefix="cmv-"))
    made = Served(folder / "tiny", folder / "vllm.sock")
    builder = Path(__file__).with_name("tiny_mistral.py")
    subprocess.run([str(PYTHON), str(builder), str(made.folder)], check=True)
    engine = vllm.Engine(str(PYTHON), str(made.folder), "chat", str(made.socket))
    environment = {**os.environ, **vllm.environment(str(folder), str(folder))}
    log = (folder / "vllm.log").open("wb")
    with subprocess.Popen(
        vllm.chat(engine), env=environment, stdout=log, stderr=log, start_new_session=True
    ) as process:
        try:
            await_version(made.socket, process)
            yield made
        finally:
            os.killpg(process.pid, 9)
            log.close()
    shutil.rmtree(folder)


def await_version(path: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                break
        assert process.poll() is None, (path.parent / "vllm.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.5)
    transport = httpx2.HTTPTransport(uds=str(path))
    with httpx2.Client(transport=transport, base_url="http://vllm", timeout=60) as http:
        assert http.get("/version").json()["version"] == "0.32.0"


@dataclass
class Proxy:
    """What the gateway sent to the engine, and the last usage that came back."""

    engine: aiohttp.ClientSession
    bodies: list[Json] = field(default_factory=list)
    usages: list[Json] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        out = web.StreamResponse()
        async with self.engine.post("http://vllm" + request.path, json=body) as answer:
            out.content_type = answer.content_type
            if answer.content_length is not None:
                out.content_length = answer.content_length
            await out.prepare(request)
            try:
                async for line in answer.content:
                    self._note(line)
                    await out.write(line)
            except (ConnectionError, asyncio.CancelledError):
                self.left.set()
                raise
        return out

    async def health(self, _: web.Request) -> web.Response:
        return web.Response()

    def _note(self, line: bytes) -> None:
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            if event.get("usage"):
                self.usages.append(event["usage"])


@dataclass
class Bench:
    """The stock client on the gateway, the proxy behind it, the engine itself."""

    client: openai.AsyncOpenAI
    proxy: Proxy
    site: Site

    async def replay(self, body: Json) -> Json:
        """Send a body to the engine itself, and have it say its tokens."""
        wanted = {**body, "stream": False, "return_token_ids": True}
        wanted.pop("stream_options", None)
        async with self.proxy.engine.post(
            "http://vllm/v1/chat/completions", json=wanted
        ) as answer:
            found: Json = await answer.json()
            assert answer.status == 200, found
            return found


@asynccontextmanager
async def bench(site: Site, served: Served) -> AsyncIterator[Bench]:
    connector = aiohttp.UnixConnector(str(served.socket))
    async with aiohttp.ClientSession(connector=connector) as engine:
        proxy = Proxy(engine)
        app = web.Application(client_max_size=10**7)
        app.router.add_post("/{path:.*}", proxy.forward)
        app.router.add_get("/{path:.*}", proxy.health)
        # A client that leaves cancels its handler, as vLLM does.
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        await web.UnixSite(runner, str(site.engine)).start()
        async with gateway(site) as ana:
            path = str(site.folder / "gateway-0.sock")
            http = httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=path))
            async with openai.AsyncOpenAI(
                base_url="http://gateway/v1", api_key=ana.token, http_client=http, max_retries=0
            ) as client:
                yield Bench(client, proxy, site)
        await runner.cleanup()


@pytest.fixture
def site(gateway_database: str) -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="cmg-"))
    realm = Realm()
    made = make_site(folder, realm, gateway_database)
    try:
        yield made
    finally:
        made.close()
        realm.server.shutdown()
        realm.server.server_close()
        shutil.rmtree(folder)


def test_a_streamed_text_equals_a_direct_call_with_the_same_seed(
    site: Site, served: Served
) -> None:
    async def main() -> None:
        async with bench(site, served) as at:
            stream = await at.client.chat.completions.create(
                model="chat", messages=ASKED["system"]["messages"], seed=41, max_tokens=24,
                temperature=0.7, stream=True, stream_options={"include_usage": True},
            )  # fmt: skip
            text, usage = "", None
            async for chunk in stream:
                text += "".join(choice.delta.content or "" for choice in chunk.choices)
                usage = chunk.usage or usage
            direct = await at.replay(at.proxy.bodies[0])
            assert text == direct["choices"][0]["message"]["content"]
            assert len(text) > 24
            assert usage is not None
            assert usage.prompt_tokens == direct["usage"]["prompt_tokens"]
            assert usage.completion_tokens == direct["usage"]["completion_tokens"] == 24
            (end,) = (e for e in await records(site) if ".llm.completion." in e["type"])
            assert (end["prompt_tokens"], end["completion_tokens"]) == (usage.prompt_tokens, 24)

    asyncio.run(main())


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
def test_token_ids_equal_those_of_mistral_common(
    site: Site, served: Served, asked: Json
) -> None:
    async def main() -> None:
        async with bench(site, served) as at:
            answer = await at.client.chat.completions.create(
                model="chat", max_tokens=16, seed=3, **asked
            )
            replayed = await at.replay(at.proxy.bodies[0])
            tokenizer = MistralTokenizer.from_file(str(served.folder / "tekken.json"))
            wanted: ChatCompletionRequest[Any] = ChatCompletionRequest(
                messages=asked["messages"]
            )
            expected = tokenizer.encode_chat_completion(wanted).tokens
            assert replayed["prompt_token_ids"] == expected
            text = answer.choices[0].message.content or ""
            assert text == replayed["choices"][0]["message"]["content"]
            assert text.startswith("{") == ("response_format" in asked)
            assert answer.usage is not None
            assert answer.usage.prompt_tokens == len(expected)
            assert answer.usage.completion_tokens == replayed["usage"]["completion_tokens"]

    asyncio.run(main())


def test_the_usage_of_an_answer_whose_client_left_is_what_the_engine_had_made(
    site: Site, served: Served
) -> None:
    async def main() -> None:
        async with bench(site, served) as at:
            stream = await at.client.chat.completions.create(
                model="chat", messages=ASKED["system"]["messages"], max_tokens=1500, stream=True
            )
            seen = 0
            async for chunk in stream:
                seen += bool(chunk.choices and chunk.choices[0].delta.content)
                if seen == 12:
                    break
            await stream.close()
            await asyncio.wait_for(at.proxy.left.wait(), 10)
            found: list[Json] = []

            async def look() -> bool:
                found[:] = [e for e in await records(site) if ".llm.interrupted." in e["type"]]
                return bool(found)

            for _ in range(100):
                if await look():
                    break
                await asyncio.sleep(0.05)
            (end,) = found
            made = at.proxy.usages[-1]
            assert end["prompt_tokens"] == made["prompt_tokens"]
            assert seen <= end["completion_tokens"] <= made["completion_tokens"] < 1500
            spent = end["prompt_tokens"] + end["completion_tokens"]
            assert set(end["spend"].values()) == {spent}

    asyncio.run(main())
