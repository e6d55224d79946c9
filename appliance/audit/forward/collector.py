"""One connection to the collector of the site: mutual TLS 1.3, and how it ends.

RFC 5425 has no receipt. What TLS has is its end: a collector that answers our `close_notify`
with its own, and lets the connection go without a reset, has read every line before it; the
kernel resets a connection that is closed over unread bytes. So `end` returning is the receipt,
and the only one. That the collector keeps what it read is its own business.

Blocking, with a time for each call: for a thread.
"""

import contextlib
import select
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_CHUNK = 4_096


@dataclass(frozen=True, slots=True)
class Place:
    """Where the collector is, and what proves it."""

    name: str  # as in its certificate, and in the hosts of the site
    port: int
    context: ssl.SSLContext
    patience: float  # seconds for each call

    @classmethod
    def of(cls, address: tuple[str, int], folder: tuple[Path, Path, Path], wait: float) -> Self:
        """Prepare.

        Args:
            address: Name and port of the collector.
            folder: Its authority, our certificate with its chain, our key: PEM files.
            wait: Seconds for each call.

        Raises:
            OSError: A file cannot be read, or is not what it should be.
        """
        authority, certificate, key = folder
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(authority)
        context.load_cert_chain(certificate, key)
        return cls(*address, context, wait)


class Link:
    """A connection. Whoever has it ends or drops it."""

    def __init__(self, place: Place) -> None:
        """Connect.

        Raises:
            OSError: It is not there, or is not the one that the certificate has to name.
        """
        plain = socket.create_connection((place.name, place.port), place.patience)
        try:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._tls = place.context.wrap_socket(plain, server_hostname=place.name)
        except BaseException:
            plain.close()
            raise
        self._patience = place.patience

    def send(self, data: bytes) -> None:
        """Hand bytes over. That they arrive is not known before `end`.

        Raises:
            OSError: The connection is lost, or the collector takes nothing any more.
        """
        self._tls.settimeout(self._patience)
        self._tls.sendall(data)

    def check(self) -> None:
        """Look whether the collector is still there: it says nothing but that it leaves.

        Raises:
            OSError: It left.
        """
        while self._tls.pending() or select.select([self._tls], [], [], 0)[0]:
            self._tls.settimeout(0)
            try:
                if not self._tls.recv(_CHUNK):
                    raise ConnectionResetError("the collector ended the connection")
            except ssl.SSLWantReadError:  # a ticket of TLS 1.3, not a word of the collector
                return

    def end(self) -> None:
        """End the connection; when this returns, the collector has read all that was sent.

        Raises:
            OSError: Whether it did is not known.
        """
        try:
            self._tls.settimeout(self._patience)
            plain = self._tls.unwrap()
            with contextlib.closing(plain):
                plain.shutdown(socket.SHUT_WR)
                while plain.recv(_CHUNK):
                    pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Let go without a word."""
        self._tls.close()
