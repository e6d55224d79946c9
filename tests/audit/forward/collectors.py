"""A collector of a site, staged: TLS 1.3 with certificates of its own, octet counting."""

import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "localhost"
_COUNT = re.compile(rb"([1-9][0-9]{0,5}) ")
_VALUE = re.compile(rb' ([a-z]+)="((?:[^"\\\]]|\\.)*)"')


class Authority:
    """An authority, and the files of those that it vouches for."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = folder / f"{name}.crt"
        self.certificate.write_bytes(self._issue(name, self._key, authority=True))

    def member(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key of somebody with this name."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._folder / f"{self._name}-{name}.crt"
        certificate.write_bytes(self._issue(name, key, authority=False))
        private = certificate.with_suffix(".key")
        private.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ))  # fmt: skip
        return certificate, private

    def _issue(self, name: str, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> bytes:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(self._name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        )
        return made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Line:
    """A message as it arrived."""

    raw: bytes

    @property
    def values(self) -> dict[str, str]:
        """Its structured data."""
        start = self.raw.index(b"[")
        end = re.compile(rb"[^\\]\] ").search(self.raw, start)
        assert end is not None
        found = _VALUE.findall(self.raw[start : end.start() + 1])
        return {name.decode(): value.decode() for name, value in found}

    @property
    def body(self) -> bytes:
        """What follows the structured data."""
        found = re.search(rb"[^\\]\] ", self.raw)
        assert found is not None
        return self.raw[found.end() :]


class Collector:
    """Listens on one port for as long as it is told to; keeps what it reads."""

    def __init__(self, authority: Authority, *, answers: bool = True) -> None:
        """Prepare.

        Args:
            authority: Of its certificate, and of those that it lets in.
            answers: Whether it answers the end of a connection with its own.
        """
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_verify_locations(authority.certificate)
        self._context.load_cert_chain(*authority.member(NAME))
        self._answers = answers
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._alive: list[ssl.SSLSocket] = []
        self.port = 0
        self.lines: list[Line] = []
        self.connections = 0
        self.on_bytes: Callable[[int], bool] = lambda _: False  # true: the connection is cut
        self._read = 0
        self._gone = False

    def listen(self) -> None:
        """Take connections from now on, always on the same port."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._listener, self._gone = listener, False
        self._thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self._thread.start()

    def away(self) -> None:
        """Be gone: what was not read is lost, and nobody can connect."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self._gone = True
        for connection in list(self._alive):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        self.until(lambda: not self._alive)
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None

    @property
    def is_away(self) -> bool:
        """Whether nobody can connect."""
        return self._listener is None

    @property
    def idle(self) -> bool:
        """Whether no connection is served."""
        return not self._alive

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                plain = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(20)
        try:
            tls = self._context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        self.connections += 1
        self._alive.append(tls)
        try:
            with contextlib.suppress(OSError):
                self._take(tls)
            if self._gone:
                _reset(tls)
        finally:
            tls.close()
            self._alive.remove(tls)

    def _take(self, tls: ssl.SSLSocket) -> None:
        buffer = b""
        while (data := tls.recv(65_536)) and not self._gone:
            self._read += len(data)
            buffer = self._cut(buffer + data)
            if self.on_bytes(self._read):
                _reset(tls)
                return
        if self._answers and not self._gone:
            tls.unwrap().close()

    def _cut(self, buffer: bytes) -> bytes:
        while found := _COUNT.match(buffer):
            end = found.end() + int(found[1])
            if end > len(buffer):
                break
            self.lines.append(Line(buffer[found.end() : end]))
            buffer = buffer[end:]
        assert not buffer or _COUNT.match(buffer) or len(buffer) < 7, buffer[:40]
        return buffer

    # what it has

    def leaves(self) -> list[int]:
        """Return the indexes of the leaves, as they came; a leaf in parts counts once."""
        values = [line.values for line in list(self.lines)]
        return [int(v["idx"]) for v in values if v.get("part", "1/")[:2] == "1/" and "idx" in v]

    def kept(self) -> dict[int, bytes]:
        """Return the leaves by index, without those that came again."""
        found: dict[int, dict[str, bytes]] = {}
        for line in list(self.lines):
            values = line.values
            if "idx" in values:
                parts = found.setdefault(int(values["idx"]), {})
                parts.setdefault(values.get("part", ""), line.body)
        return {
            index: b"".join(parts[n] for n in sorted(parts)) for index, parts in found.items()
        }

    def has(self, index: int, seconds: float = 30) -> None:
        """Wait for a leaf."""
        name = str(index)
        self.until(
            lambda: any(line.values.get("idx") == name for line in self.lines[-300:]), seconds
        )

    def until(self, true: Callable[[], bool], seconds: float = 30) -> None:
        """Wait for something."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"{len(self.lines)} lines came"
            time.sleep(0.02)


def _reset(connection: ssl.SSLSocket) -> None:
    """End a connection as a crash does: the other side gets a reset."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain = socket.socket(fileno=connection.detach())
        plain.close()


@contextmanager
def collecting(folder: Path, *, answers: bool = True) -> Iterator[tuple[Collector, Authority]]:
    """Run a collector until the block ends."""
    authority = Authority(folder / "pki")
    collector = Collector(authority, answers=answers)
    collector.listen()
    try:
        yield collector, authority
    finally:
        collector.away()
