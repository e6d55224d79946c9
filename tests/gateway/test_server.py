"""One write for the head of an answer and what follows it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from appliance.gateway.server import JoiningProtocol, _Joining
from tests.gateway.stand import until


class Wire:
    """A transport that remembers its writes."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None

    def write(self, data: bytes) -> None:
        self.writes.append(data)


def joining() -> tuple[Wire, _Joining]:
    wire: Any = Wire()
    return wire, _Joining(wire)


def test_a_head_waits_for_what_follows_and_nothing_else_does() -> None:
    wire, transport = joining()
    transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
    assert wire.writes == []
    transport.write(b"body")
    transport.write(b"more")
    assert wire.writes == [b"HTTP/1.1 200 OK\r\n\r\nbody", b"more"]


def test_an_empty_body_lets_the_head_leave() -> None:
    wire, transport = joining()
    transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")
    transport.write(b"")
    assert wire.writes == [b"HTTP/1.1 204 No Content\r\n\r\n"]


def test_an_interim_answer_leaves_at_once() -> None:
    wire, transport = joining()
    transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert wire.writes == [b"HTTP/1.1 100 Continue\r\n\r\n"]


@pytest.mark.parametrize("keep", [True, False])
def test_uvicorn_serves_through_it(tmp_path: Path, *, keep: bool) -> None:
    async def application(scope: Any, _receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hel", "more_body": True})
        await send({"type": "http.response.body", "body": b"lo"})

    async def main() -> bytes:
        config = uvicorn.Config(
            application, uds=str(tmp_path / "s"), http=JoiningProtocol, ws="none",
            lifespan="off", log_config=None,
        )  # fmt: skip
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        close = b"" if keep else b"connection: close\r\n"
        answers = b""
        for _ in range(2 if keep else 1):
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n" + close + b"\r\n")
            answers += await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        server.should_exit = True
        await task
        return answers

    answers = asyncio.run(main())
    assert answers.count(b"HTTP/1.1 200 OK") == (2 if keep else 1)
    assert answers.count(b"hel") == answers.count(b"lo\r\n") == (2 if keep else 1)
