"""One connection to the recorder: who calls, frames in, answers out.

An event that is not one is answered by itself: were the connection ended, a client would send
it again for ever, and everything behind it would wait. A frame that is not one ends the
connection.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from appliance.audit.event import Event
from appliance.audit.frame import Answer, Append, Request, Sealed, Unpacker, pack
from appliance.errors import FormatError

_UCRED = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Request).decode


class _Loose(msgspec.Struct, tag_field="op", tag="append"):
    """An append of which one event or key is wrong."""

    events: list[msgspec.Raw]
    ref: int
    sealed: dict[str, msgspec.Raw] = {}
    sent: int = 0


def uid_of(connection: socket.socket) -> int:
    """Return the user id that the client had when it connected."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(found)[1])


def parse(body: bytes) -> tuple[list[Request], list[Answer]]:
    """Read a frame: what it asks for, and the answers to those of its events that are none.

    Raises:
        FormatError: Not a frame.
    """
    try:
        return [_decode(body)], []
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _one_by_one(body)


def _one_by_one(body: bytes) -> tuple[list[Request], list[Answer]]:
    try:
        loose = msgspec.json.decode(body, type=_Loose)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FormatError(f"not a frame: {exc}") from exc
    good: list[Request] = []
    refused: list[Answer] = []
    for ref, raw in enumerate(loose.events, loose.ref):
        try:
            event = msgspec.json.decode(raw, type=Event)
            key = loose.sealed.get(event.id)
            sealed = {} if key is None else {event.id: msgspec.json.decode(key, type=Sealed)}
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            refused.append(Answer(ref, error=FormatError.code, detail=f"not an event: {exc}"))
        else:
            good.append(Append([event], ref, sealed, loose.sent))
    return good, refused


class Peer(asyncio.Protocol):
    """A client, as long as it is connected."""

    def __init__(
        self, receive: Callable[["Peer", Request], None], leave: Callable[["Peer"], None]
    ) -> None:
        """Prepare.

        Args:
            receive: Told each request.
            leave: Told the end.
        """
        self._receive, self._leave = receive, leave
        self._unpacker = Unpacker()
        self._transport: asyncio.Transport | None = None
        self.uid = -1
        self.attached = False
        self.questions = 0  # that are not answered

    def send(self, answers: Sequence[Answer]) -> None:
        """Write answers as one frame, if the client is still there."""
        if self._transport is not None:
            self._transport.write(pack(_encode(answers)))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask the kernel who it is."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.uid = uid_of(transport.get_extra_info("socket"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Tell the end."""
        self._transport = None
        self._leave(self)

    def pause_writing(self) -> None:
        """Take no more from a client that does not read its answers."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Pass on what is whole."""
        try:
            for body in self._unpacker.feed(data):
                requests, refused = parse(body)
                for request in requests:
                    self._receive(self, request)
                if refused:
                    self.send(refused)
        except FormatError:
            if self._transport is not None:
                self._transport.abort()
