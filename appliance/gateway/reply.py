"""A request as it came, and the way of its answer back: heads, bodies, events, errors."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from appliance.audit.frame import Answer as Place
from appliance.errors import ApplianceError, FormatError
from appliance.gateway import wire
from appliance.gateway.call import Call, Receive
from appliance.gateway.terms import LengthError

Message = MutableMapping[str, Any]
_OK = 200
Send = Callable[[Message], Awaitable[None]]


class Asked(msgspec.Struct, frozen=True):
    """One request as it came."""

    receive: Receive
    send: Send
    authorization: bytes
    address: str  # of the client, as our own front end saw it
    english: bool

    @classmethod
    def of(cls, scope: Message, receive: Receive, send: Send) -> "Asked":
        """Read the three headers that matter."""
        authorization = language = b""
        address = ""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
            elif name == b"x-forwarded-for":  # the last hop is our own front end
                address = value.rpartition(b",")[2].strip().decode("latin-1")
            elif name == b"accept-language":
                language = value
        return cls(receive, send, authorization, address, wire.is_english(language))

    async def body(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            LengthError: It is longer than `limit` bytes.
            FormatError: It was cut.
        """
        message = await self.receive()
        body: bytes = message.get("body", b"")
        while message.get("more_body") and len(body) <= limit:
            message = await self.receive()
            body += message.get("body", b"")
        if len(body) > limit:
            raise LengthError(f"the body is longer than {limit} bytes")
        if message["type"] == "http.disconnect":
            raise FormatError("the body was cut")
        return body

    async def refuse(self, exc: ApplianceError) -> None:
        """Answer with an error, before anything else was sent."""
        refusal = wire.refusal(exc, english=self.english)
        await self.send(_head(refusal.status, refusal.headers))
        await self.send({"type": "http.response.body", "body": refusal.body})


class Reply:
    """The answer to one admitted request."""

    __slots__ = ("_asked", "_call", "_place", "begun")

    def __init__(self, call: Call, place: Place, asked: Asked) -> None:
        self._call, self._place, self._asked = call, place, asked
        self.begun = False  # the head has left

    async def begin(self, first: bytes) -> None:
        """Send the head of a stream, and its first events."""
        await self._send_head([wire.EVENTS, (b"cache-control", b"no-store")])
        await self.event(first)  # also when empty: the head leaves now

    async def event(self, events: bytes) -> None:
        """Send some events of a stream."""
        await self._asked.send(
            {"type": "http.response.body", "body": events, "more_body": True}
        )

    async def last(self, events: bytes) -> None:
        """Send the last events of a stream."""
        await self._asked.send({"type": "http.response.body", "body": events})

    async def whole(self, body: bytes, headers: tuple[wire.Header, ...] = ()) -> None:
        """Send an answer that is no stream."""
        length = (b"content-length", b"%d" % len(body))
        await self._send_head([wire.JSON, length, *headers])
        await self.last(body)

    async def fail(self, exc: ApplianceError) -> None:
        """Send an error: as an answer, or as the last event of one that has begun."""
        if self.begun:
            error = wire.error_body(exc, english=self._asked.english)
            await self.last(b"data: %b\n\n" % error)
        else:
            self.begun = True
            await self._asked.refuse(exc)

    async def _send_head(self, headers: list[wire.Header]) -> None:
        self.begun = True
        headers += self._call.headers(self._place.index, self._place.leaf, time.monotonic())
        await self._asked.send(_head(_OK, headers))


def _head(status: int, headers: list[wire.Header]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}
