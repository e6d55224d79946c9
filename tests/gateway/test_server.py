"""The bytes of an answer are uvicorn's; the head and what follows it are one write."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from appliance.gateway.server import HOT_PATH, JoiningProtocol, _Cycle

Application = Callable[[Any, Any, Any], Awaitable[None]]
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n"
JSON = (b"content-type", b"application/json")
LENGTH = (b"content-length", b"3")


class Wire:
    """A transport that remembers what was done with it."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    @property
    def sent(self) -> bytes:
        return b"".join(self.writes)


def connected(
    application: Application, kind: type[HttpToolsProtocol] = JoiningProtocol
) -> tuple[Wire, HttpToolsProtocol]:
    """Return both ends of a connection. Inside an event loop."""
    config = uvicorn.Config(application, interface="asgi3", ws="none", log_config=None)
    config.load()
    wire: Any = Wire()
    protocol = kind(config, ServerState(), {})
    protocol.connection_made(wire)
    return wire, protocol


async def served(
    application: Application, data: bytes, kind: type[HttpToolsProtocol] = JoiningProtocol
) -> Wire:
    """Return the wire after a client wrote `data`."""
    wire, protocol = connected(application, kind)
    protocol.data_received(data)
    await asyncio.gather(*protocol.tasks)
    while protocol.tasks:  # what was sent before its turn
        await asyncio.gather(*protocol.tasks)
        await asyncio.sleep(0)
    protocol.connection_lost(ConnectionResetError())  # with an error: it closes nothing itself
    return wire


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body: bytes, **more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, **more}


async def whole(_scope: Any, receive: Any, send: Any) -> None:
    body = (await receive())["body"]
    await send(start(JSON, (b"content-length", b"%d" % len(body))))
    await send(part(body))


async def stream(_scope: Any, _receive: Any, send: Any) -> None:
    await send(start(JSON))
    for event in (b"", b"hel", b"lo"):
        await send(part(event, more_body=True))
    await send(part(b""))


async def closing(_scope: Any, _receive: Any, send: Any) -> None:
    await send(start((b"connection", b"close"), (b"content-length", b"2")))
    await send(part(b"no"))


async def breaking(_scope: Any, _receive: Any, _send: Any) -> None:
    raise ValueError("a defect")


@pytest.mark.parametrize("application", [whole, stream, closing, breaking])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(POST + b"\r\nabc", id="kept alive"),
        pytest.param(POST + b"connection: close\r\n\r\nabc", id="closed"),
        pytest.param((POST + b"\r\nabc") * 3, id="sent before its turn"),
        pytest.param(POST.replace(b"1.1", b"1.0", 1) + b"\r\nabc", id="HTTP 1.0"),
        pytest.param(POST + b"expect: 100-continue\r\n\r\nabc", id="100-continue"),
        pytest.param(POST + b"connection: upgrade\r\nupgrade: x\r\n\r\nabc", id="upgrade"),
        pytest.param(b"GET /v1/chat/completions HTTP/1.1\r\n\r\n", id="another method"),
        pytest.param(b"HEAD /v1/chat/completions HTTP/1.1\r\n\r\n", id="no body"),
        pytest.param(POST.replace(b"chat", b"text") + b"\r\nabc", id="another path"),
        pytest.param(POST.replace(b"ons ", b"ons?a=b ") + b"\r\nabc", id="with a query"),
        pytest.param(
            POST.replace(b"content-length: 3", b"transfer-encoding: chunked")
            + b"\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            id="in chunks",
        ),
    ],
)
def test_an_answer_has_the_bytes_that_uvicorn_would_write(
    application: Application, data: bytes
) -> None:
    async def main() -> None:
        ours = await served(application, data)
        theirs = await served(application, data, HttpToolsProtocol)
        assert ours.sent == theirs.sent != b""
        assert ours.closed == theirs.closed

    asyncio.run(main())


def test_only_requests_to_models_have_a_cycle_of_ours() -> None:
    async def main() -> None:
        wire, protocol = connected(whole)
        protocol.data_received(POST + b"\r\nabc")
        assert type(protocol.cycle) is _Cycle
        assert protocol.scope["path"] == HOT_PATH
        await asyncio.gather(*protocol.tasks)
        assert wire.sent.endswith(b"abc")
        protocol.data_received(b"GET /health HTTP/1.1\r\n\r\n")
        assert type(protocol.cycle) is not _Cycle
        await asyncio.gather(*protocol.tasks)

    asyncio.run(main())


def test_head_and_body_are_one_write_and_so_is_each_event() -> None:
    async def main() -> None:
        assert len((await served(whole, POST + b"\r\nabc")).writes) == 1
        head, hel, lo, end = (await served(stream, POST + b"\r\nabc")).writes
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert head.endswith(b"transfer-encoding: chunked\r\n\r\n")
        assert (hel, lo, end) == (b"3\r\nhel\r\n", b"2\r\nlo\r\n", b"0\r\n\r\n")

    asyncio.run(main())


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb"])
def test_a_header_cannot_hold_another_one(value: bytes) -> None:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(start((b"x-casemate-request", value)))

    async def main() -> None:
        wire = await served(application, POST + b"\r\nabc")
        assert wire.sent.startswith(b"HTTP/1.1 500 ")
        assert b"casemate" not in wire.sent

    asyncio.run(main())


@pytest.mark.parametrize(
    ("head", "parts"),
    [
        pytest.param(start(LENGTH), [part(b"abcd")], id="too long"),
        pytest.param(start(LENGTH), [part(b"ab")], id="too short"),
        pytest.param(start(LENGTH), [part(b"abc"), part(b"d")], id="after the end"),
        pytest.param(start(), [part(b"abc"), part(b"d")], id="after the last chunk"),
    ],
)
def test_a_body_that_is_not_as_announced_breaks_the_connection(
    head: dict[str, Any], parts: list[dict[str, Any]]
) -> None:
    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send(head)
        for one in parts:
            await send(one)

    async def main() -> None:
        wire = await served(application, POST + b"\r\nabc")
        assert wire.closed
        assert b"d\r\n" not in wire.sent.partition(b"\r\n\r\n")[2]
        assert not wire.sent.endswith(b"d")

    asyncio.run(main())


def test_a_client_that_left_is_told_to_the_application_and_written_to_no_more() -> None:
    told: list[str] = []

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        told.extend([(await receive())["type"], (await receive())["type"]])
        await send(part(b"abc"))

    async def main() -> None:
        wire, protocol = connected(application)
        protocol.data_received(POST + b"\r\nabc")
        await asyncio.sleep(0)
        protocol.connection_lost(None)
        await asyncio.gather(*protocol.tasks)
        assert told == ["http.request", "http.disconnect"]
        assert wire.sent == b""

    asyncio.run(main())


def test_a_client_that_does_not_read_is_waited_for() -> None:
    async def main() -> None:
        wire, protocol = connected(whole)
        protocol.pause_writing()
        protocol.data_received(POST + b"\r\nabc")
        await asyncio.sleep(0.01)
        assert wire.sent == b""
        protocol.resume_writing()
        await asyncio.gather(*protocol.tasks)
        assert wire.sent.endswith(b"abc")

    asyncio.run(main())
