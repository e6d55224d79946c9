"""HTTP/1.1 client of the gateway for engines on unix sockets: pool, framing, back-pressure.

The one exception to "a library first", until one is as fast (DESIGN.md, 5). Parsing is
llhttp's, strict. Beyond it: a body announces its length or is chunked; what follows an answer,
or an answer not read to its end, costs the connection. One more try if no byte was sent. All
that a waiting task reads is in its `Response`: its connection may serve another by then.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import httptools

from appliance.errors import ApplianceError

_SWITCHING_PROTOCOLS, _OK, _WITHOUT_BODY = 101, 200, {204, 304}
_SWEEP = 1.0  # seconds: one look at all deadlines, instead of a timer for each request
_JSON = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
_HEAD = b"%b HTTP/1.1\r\nhost: engine\r\n"


class UpstreamError(ApplianceError):
    """The engine did not answer, or not in HTTP that we accept."""

    code = "CM-MOD-01"


class UnreachedError(UpstreamError):
    """Nobody listens: nothing was sent."""


class UpstreamBusyError(UnreachedError):
    """All connections are taken."""

    code = "CM-MOD-03"


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one pool. Times are in seconds, exact to `_SWEEP`."""

    connections: int = 512
    header_bytes: int = 16_384
    body_bytes: int = 8_388_608
    buffer_bytes: int = 65_536  # unread, before reading from the socket pauses
    keep_alive: float = 30  # less than the engine's 75
    silence: float = 120  # without a byte, before an answer is given up


class Response:
    """An answer whose headers have come. Read it to the end, or `close` it."""

    __slots__ = (
        "chunks", "complete", "connection", "error", "headers", "ready", "size", "status",
        "unread", "waiter",
    )  # fmt: skip

    def __init__(self, connection: "_Connection") -> None:
        self.connection, self.status, self.size, self.unread = connection, 0, 0, 0
        self.headers: dict[bytes, bytes] = {}
        self.chunks: list[bytes] = []
        self.ready = self.complete = False
        self.error: UpstreamError | None = None
        self.waiter: asyncio.Future[None] | None = None

    async def chunk(self) -> bytes:
        """Return all that has come since the last call; b"" once, at the end.

        Raises:
            UpstreamError: The answer was cut, closed, too long or malformed.
        """
        while not self.chunks and not self.complete:
            await self.wait()
        data = b"".join(self.chunks)
        self.chunks.clear()
        self.unread = 0
        if not self.complete:
            self.connection.resume()
        return data

    async def head(self) -> Self:
        """Return once status and headers are there. Raises as `chunk` does."""
        try:
            while not self.ready:
                await self.wait()
        except asyncio.CancelledError:
            self.close()
            raise
        return self

    async def read(self) -> bytes:
        """Return the whole body. Raises as `chunk` does."""
        while not self.complete:
            self.connection.resume()  # `body_bytes` bounds it
            await self.wait()
        return b"".join(self.chunks)

    def close(self) -> None:
        """Abort the answer if it has not ended. Whoever waits for it gets an error."""
        if not self.complete and not self.error:
            self.connection.fail(UpstreamError("answer closed before its end"))

    async def wait(self) -> None:
        """Wait until something has come. Raises as `chunk` does."""
        if not self.error:
            self.waiter = self.connection.pool.loop.create_future()
            await self.waiter
        if self.error:
            raise self.error

    def wake(self) -> None:
        """Let the waiting task run."""
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(None)


class _Connection(asyncio.Protocol):
    def __init__(self, pool: "Upstream") -> None:
        self.pool = pool
        self.deadline = 0.0  # loop time: of the answer when busy, of keep-alive when idle
        self.response: Response | None = None  # None: idle
        self._parser, self._head = httptools.HttpResponseParser(self), 0  # bytes of a head
        self._paused = self._reusable = False

    def send(self, request: bytes) -> Response:
        response = self.response = Response(self)
        self._head = 0
        self.deadline = self.pool.now() + self.pool.limits.silence
        self.transport.write(request)
        return response

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self.transport.resume_reading()

    def fail(self, error: UpstreamError) -> None:
        """Drop the connection; the answer on it, if any, ends with `error`."""
        response, self.response = self.response, None
        self.pool.forget(self)
        self.transport.abort()
        if response:
            response.error = error
            response.wake()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.fail(UpstreamError("the engine closed the connection"))

    def data_received(self, data: bytes) -> None:
        response, limits = self.response, self.pool.limits
        if response is None:
            return self.fail(UpstreamError("bytes nobody asked for"))
        self.deadline = self.pool.now() + limits.silence
        broken: str | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            broken = f"malformed answer: {exc.__context__ or exc}"
        if response.complete:
            self.response = None
            self.pool.give_back(self, reusable=self._reusable and not broken)
        elif broken:
            return self.fail(UpstreamError(broken))
        elif not response.ready:
            self._head += len(data)  # of a header that has not ended, llhttp tells nothing
            if self._head > limits.header_bytes:
                return self.fail(UpstreamError("headers are too long"))
        elif response.unread > limits.buffer_bytes and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        return response.wake() if response.ready else None

    # httptools: what these raise comes out of feed_data as HttpParserCallbackError

    def on_message_begin(self) -> None:
        if self.response is None or self.response.complete:
            raise UpstreamError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        response = self.response
        assert response is not None
        response.size += len(name) + len(value)
        if response.size > self.pool.limits.header_bytes:
            raise UpstreamError("headers are too long")
        response.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        response = self.response
        assert response is not None
        status, headers = self._parser.get_status_code(), response.headers
        if status == _SWITCHING_PROTOCOLS:  # llhttp stops there: what follows is not HTTP
            raise UpstreamError("the engine switches protocols")
        if status < _OK:  # 100 and 103 come before the answer
            return headers.clear()
        coding = headers.get(b"transfer-encoding", b"").lower()
        framed = coding == b"chunked" or (not coding and b"content-length" in headers)
        if not framed and status not in _WITHOUT_BODY:  # llhttp would read to the very end
            raise UpstreamError("the answer has no length")
        response.status, response.size, response.ready = status, 0, True
        return None

    def on_body(self, body: bytes) -> None:
        response = self.response
        assert response is not None
        response.size += len(body)
        if response.size > self.pool.limits.body_bytes:
            raise UpstreamError("the answer is too long")
        response.unread += len(body)
        response.chunks.append(body)

    def on_message_complete(self) -> None:
        response = self.response
        assert response is not None
        response.complete = response.ready  # not after a 100
        self._reusable = self._parser.should_keep_alive()  # llhttp forgets it after this call


class Upstream:
    """Connections to one engine. Make it inside the event loop that uses it."""

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self._path, self.limits = str(path), limits or Limits()
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self._idle: list[_Connection] = []  # the last one used is the first one taken
        self._busy: set[_Connection] = set()
        self._connecting = 0
        self._sweeper = self.loop.call_later(_SWEEP, self._sweep)

    async def post(self, target: bytes, body: bytes) -> Response:
        """Send a JSON body, and return once the headers of the answer are there.

        Raises:
            UpstreamError: No answer; the engine may have worked, unless it was busy.
        """
        connection = self._take() or await self._connect()
        request = _HEAD % (b"POST " + target) + _JSON % len(body) + body
        return await self._send(connection, request).head()

    async def get(self, target: bytes) -> Response:
        """Return once the headers of the answer are there. Raises as `post` does."""
        connection = self._take() or await self._connect()
        return await self._send(connection, _HEAD % (b"GET " + target) + b"\r\n").head()

    def _send(self, connection: _Connection, request: bytes) -> Response:
        self._busy.add(connection)
        return connection.send(request)

    def close(self) -> None:
        """Drop every connection."""
        self._sweeper.cancel()
        for connection in [*self._idle, *self._busy]:
            connection.fail(UpstreamError("the gateway is stopping"))

    def give_back(self, connection: _Connection, *, reusable: bool) -> None:
        """Take a connection whose answer was read, for the next request."""
        if not reusable or connection.transport.is_closing():
            return connection.fail(UpstreamError("closed"))
        connection.resume()
        self._busy.discard(connection)
        connection.deadline = self.now() + self.limits.keep_alive
        return self._idle.append(connection)

    def forget(self, connection: _Connection) -> None:
        """Strike a connection that is no more."""
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.deadline > self.now() and not connection.transport.is_closing():
                return connection
            connection.fail(UpstreamError("kept alive for too long"))
        return None

    async def _connect(self) -> _Connection:
        if len(self._busy) + self._connecting >= self.limits.connections:
            raise UpstreamBusyError("all connections to the engine are taken")
        self._connecting += 1
        try:
            made = await self._reach() or await self._reach()  # nothing was sent
        finally:
            self._connecting -= 1
        if made is None:
            raise UnreachedError("the engine cannot be reached")
        return made

    async def _reach(self) -> _Connection | None:
        try:
            connect = self.loop.create_unix_connection(lambda: _Connection(self), self._path)
            return (await connect)[1]
        except OSError:
            return None

    def _sweep(self) -> None:
        for connection in [c for c in (*self._idle, *self._busy) if c.deadline < self.now()]:
            connection.fail(UpstreamError("the engine is silent"))
        self._sweeper = self.loop.call_later(_SWEEP, self._sweep)
