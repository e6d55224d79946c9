"""The gateway's client against small servers that speak its wire, faults included."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from appliance.console.gateway import Asked, Chunk, Gateway, GatewayError

ASKED = Asked("extraits", "Quel délai ?", ["notes"], "c0", "/equipes/rh")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
FIRST = {"choices": [{"delta": {"role": "assistant"}}], "casemate": {"passages": [
    {"n": 1, "passage": "p", "document": "d", "title": "T", "label": 2, "dated": None,
     "place": {"page": 3, "section": "S", "start": 0, "end": 9}}]}}  # fmt: skip
LAST = {"choices": [], "casemate": {"citations": [1], "outcome": "answer", "label": 2,
        "receipt": {"index": 7, "leaf": "bGVhZg=="}}}  # fmt: skip


@contextlib.asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[Gateway]:
    with tempfile.TemporaryDirectory(prefix="cmg-") as folder:
        path = Path(folder) / "s"
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()
        try:
            async with Gateway(path) as gateway:
                yield gateway
        finally:
            await runner.cleanup()


def refusing(status: int, body: bytes, headers: dict[str, str] | None = None) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return handle


def streaming(
    *events: object, done: bool = True, seen: list[web.Request] | None = None
) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        await request.read()
        if seen is not None:
            seen.append(request)
        headers = {"X-Casemate-Request": "r" * 20, "X-Casemate-Label": "2",
                   "X-Casemate-Receipt": "5; leaf=eA=="}  # fmt: skip
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        for event in events:
            text = event if isinstance(event, str) else json.dumps(event)
            await response.write(f"data: {text}\n\n".encode())
        if done:
            await response.write(b"data: [DONE]\n\n")
        return response

    return handle


async def asked(gateway: Gateway) -> tuple[list[Chunk], object]:
    async with gateway.ask("jeton", ASKED) as answering:
        return [chunk async for chunk in answering.chunks()], answering


def run(handler: Handler) -> tuple[list[Chunk], object]:
    async def work() -> tuple[list[Chunk], object]:
        async with served(handler) as gateway:
            return await asked(gateway)

    return asyncio.run(work())


def refused(handler: Handler) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        run(handler)
    return caught.value


def test_an_answer_is_read_with_what_stands_beside_it() -> None:
    seen: list[web.Request] = []
    text = {"choices": [{"delta": {"content": "Deux mois [1]."}}]}
    chunks, answering = run(streaming(FIRST, text, LAST, seen=seen))
    assert [chunk.text for chunk in chunks] == ["", "Deux mois [1].", ""]
    first, last = chunks[0].casemate, chunks[-1].casemate
    assert first is not None and last is not None  # noqa: PT018 - both are read below
    assert [(g.n, g.place.page, g.label) for g in first.passages or []] == [(1, 3, 2)]
    assert last.receipt is not None
    assert (last.receipt.index, last.outcome) == (7, "answer")
    assert (answering.request, answering.label, answering.intent) == ("r" * 20, 2, 5)  # type: ignore[attr-defined]
    body = json.loads(seen[0]._read_bytes or b"")
    assert seen[0].headers["Authorization"] == "Bearer jeton"
    assert body["casemate"] == {
        "collections": ["notes"],
        "conversation": "c0",
        "team": "/equipes/rh",
    }
    assert body["messages"] == [{"role": "user", "content": "Quel délai ?"}]


@pytest.mark.parametrize(
    ("status", "code", "headers", "retry"),
    [
        (402, "CM-BUD-02", {}, 0),
        (403, "CM-FIL-01", {}, 0),
        (429, "CM-MOD-03", {"Retry-After": "7"}, 7),
        (503, "CM-JRN-01", {"Retry-After": "9999999"}, 3600),
        (503, "CM-MOD-05", {"Retry-After": "x"}, 0),
    ],
)  # fmt: skip
def test_a_refusal_keeps_its_code_and_the_time_to_wait(
    status: int, code: str, headers: dict[str, str], retry: int
) -> None:
    body = json.dumps({"error": {"message": "m", "code": code}}).encode()
    problem = refused(refusing(status, body, headers)).problem
    assert (problem.status, problem.code, problem.retry) == (status, code, retry)


@pytest.mark.parametrize(
    "handler",
    [
        refusing(500, b"<html>"),
        streaming(FIRST, done=False),
        streaming("not json"),
        streaming('{"choices": 1}'),
    ],
    ids=["a body that is no error", "cut", "no JSON", "another form"],
)
def test_what_cannot_be_read_is_told_as_an_unreachable_gateway(handler: Handler) -> None:
    assert refused(handler).problem.code == "CM-NET-07"


def test_an_error_in_the_stream_is_its_own() -> None:
    error = refused(streaming(FIRST, {"error": {"code": "CM-MOD-05"}}))
    assert error.problem.code == "CM-MOD-05"


def test_a_gateway_that_is_away_is_told_and_has_no_health() -> None:
    async def work() -> None:
        async with Gateway(Path("nobody.sock")) as gateway:
            assert await gateway.health() is None
            with pytest.raises(GatewayError, match="CM-NET-07"):
                await gateway.order("jeton", "stop", "")
            await asked(gateway)

    with pytest.raises(GatewayError, match="CM-NET-07"):
        asyncio.run(work())


def test_leaving_closes_the_connection() -> None:
    left = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b": wait\n\n")
                await asyncio.sleep(0.01)
        finally:
            left.set()

    async def work() -> None:
        async with served(handle) as gateway:
            async with gateway.ask("jeton", ASKED):
                pass
            await asyncio.wait_for(left.wait(), 10)

    asyncio.run(work())


def test_health_is_read_as_far_as_pages_show_it() -> None:
    body = json.dumps(
        {"status": "ready", "stopped": True, "engines": {"m": "away"}, "new": 1}
    ).encode()

    async def work() -> None:
        async with served(refusing(200, body)) as gateway:
            health = await gateway.health()
            assert health is not None
            assert (health.stopped, health.engines) == (True, {"m": "away"})

    asyncio.run(work())
