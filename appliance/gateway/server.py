"""uvicorn's HTTP protocol, with a cycle of our own for requests to models.

uvicorn searches each header of an answer with two regular expressions, and writes head and
first body apart, which uvloop passes on at once: two system calls, and two packets. Here a head
waits for what follows it, and is checked as a whole. An application that wants its head to
leave alone sends an empty body after it. Every other request is uvicorn's own business.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

HOT_PATH = "/v1/chat/completions"
_TARGET = HOT_PATH.encode()


class _Cycle(RequestResponseCycle):
    """A request and its answer: uvicorn's, but for how it sends. HTTP/1.1, never HEAD."""

    def __init__(self, protocol: "JoiningProtocol", *, keep_alive: bool) -> None:
        self.scope = protocol.scope
        self.transport, self.flow = protocol.transport, protocol.flow
        self.logger, self.on_response = protocol.logger, protocol.on_response_complete
        self.message_event = asyncio.Event()
        self.keep_alive = keep_alive
        self.body, self.more_body = bytearray(), True
        self.disconnected = self.waiting_for_100_continue = False
        self.response_started = self.response_complete = False
        self._head = b""
        self._left = -1  # bytes of the body to come; negative: in chunks

    async def send(self, message: Any) -> None:
        """Take a message of ASGI."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_started:
            self._send_body(message["body"], more=message.get("more_body", False))
        else:
            self._head = self._head_of(message["status"], message["headers"])
            self.response_started = True

    def _head_of(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        lines, closes = [STATUS_LINE[status]], False
        for name, value in headers:
            if name == b"content-length":
                self._left = int(value)
            elif name == b"connection":  # an application says nothing else there
                closes = True
            lines.append(b"%b: %b\r\n" % (name, value))
        if not self.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
        self.keep_alive = self.keep_alive and not closes
        if self._left < 0:
            lines.append(b"transfer-encoding: chunked\r\n")
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
            raise RuntimeError("a header holds the end of a line")
        return head + b"\r\n"

    def _send_body(self, body: bytes, *, more: bool) -> None:
        if self.response_complete:
            raise RuntimeError("the answer is over")
        data, self._head = self._head, b""
        if self._left >= 0:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("the body is not as long as announced")
            data += body
        else:
            data += b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            data += b"" if more else b"0\r\n\r\n"
        if data:
            self.transport.write(data)
        if more:
            return
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class JoiningProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=…)`."""

    def on_headers_complete(self) -> None:
        """Begin a request."""
        parser: Any = self.parser
        if (
            self.url != _TARGET
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or self.expect_100_continue
            or parser.should_upgrade()
        ):
            return super().on_headers_complete()
        scope = self.scope
        scope["method"], scope["path"] = "POST", HOT_PATH
        scope["raw_path"], scope["query_string"] = _TARGET, b""
        application: Any = self.app
        before: RequestResponseCycle | None = self.cycle
        self.cycle = _Cycle(self, keep_alive=parser.should_keep_alive())
        if before is None or before.response_complete:
            return self._start_asgi_task(self.cycle, application)
        self.flow.pause_reading()  # it was sent before its turn
        return self.pipeline.appendleft((self.cycle, application))
