"""uvicorn's HTTP protocol, with the head of an answer and its first body in one write.

uvicorn writes them apart and uvloop writes at once: two system calls, and two packets, for each
answer. An application that wants its head to leave alone sends an empty body after it.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class _Joining:
    """A transport that keeps the head of an answer until something follows."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._write = transport.write
        self._head = b""
        self.close, self.is_closing = transport.close, transport.is_closing
        self.pause_reading, self.resume_reading = (
            transport.pause_reading,
            transport.resume_reading,
        )
        self.get_extra_info, self.set_protocol = (
            transport.get_extra_info,
            transport.set_protocol,
        )

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            return
        self._write(data)


class JoiningProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=…)`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wrap the transport."""
        joining: Any = _Joining(cast(asyncio.Transport, transport))
        super().connection_made(joining)
