"""Encrypts an export to one auditor: CMS under a certificate, as any openssl opens it.

The folder becomes one tar, cut into parts, since openssl holds a part in memory when it opens
one; each part is EnvelopedData with AES-256-GCM (RFC 5652, RFC 5084), one after the other:

    export-….chiffre/  001.p7m 002.p7m … OUVRIR.txt SHA256SUMS

The certificate is the auditor's own, of the site's PKI or his card. openssl does the work, in a
process of its own, and streams: neither the tar nor a part is ever whole here.
"""

import subprocess
import tarfile
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import IO, Self, cast

from cryptography import x509

from appliance.audit import contents
from appliance.errors import ApplianceError

SUFFIX = ".chiffre"
PART_BYTES = 256 << 20
OPENSSL = "/usr/bin/openssl"
_SAID_MAX = 300  # letters of what openssl says


class EnvelopeError(ApplianceError):
    """The export cannot be encrypted to this certificate; the message says why."""

    code = "CM-JRN-26"


def check(certificate: bytes, at: int) -> x509.Certificate:
    """Return the certificate, when something may be encrypted to it.

    Args:
        certificate: PEM.
        at: Microseconds since 1970.

    Raises:
        EnvelopeError: It is none, or not valid at that time.
    """
    try:
        found = x509.load_pem_x509_certificate(certificate)
    except ValueError as exc:
        raise EnvelopeError(f"not a certificate in PEM: {exc}") from exc
    now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
        raise EnvelopeError(
            f"the certificate holds from {found.not_valid_before_utc:%Y-%m-%d} to "
            f"{found.not_valid_after_utc:%Y-%m-%d} only"
        )
    return found


def seal(folder: Path, name: str, recipient: Path, label: str) -> Path:
    """Encrypt a folder; the plain one stays, its caller removes it.

    Args:
        folder: What is encrypted.
        name: That it has inside, and the encrypted one before its suffix.
        recipient: Certificate, checked.
        label: Protective marking.

    Raises:
        EnvelopeError: openssl refuses, for instance a key that cannot encrypt.
    """
    sealed = folder.with_name(name + SUFFIX)
    if sealed.exists():
        raise EnvelopeError(f"{sealed} exists and is not overwritten")
    work = sealed.with_name(f"{sealed.name}.part")
    work.mkdir(exist_ok=True)
    for left in work.iterdir():
        left.unlink()
    with (
        _Parts(work, recipient) as parts,
        tarfile.open(fileobj=cast(IO[bytes], parts), mode="w|") as archive,
    ):
        archive.add(folder, arcname=name, filter=_nobody)
    subject = x509.load_pem_x509_certificate(recipient.read_bytes()).subject.rfc4514_string()
    text = (files("appliance.audit") / "templates" / "OUVRIR.txt").read_text("utf-8")
    for word, value in {"NAME": name, "LABEL": label or "—", "SUBJECT": subject}.items():
        text = text.replace(f"@{word}@", value)
    (work / "OUVRIR.txt").write_text(text, "utf-8")
    (work / contents.SUMS).write_bytes(contents.sums(work))
    work.rename(sealed)
    return sealed


def _nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out who made it: the tar says the content alone."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


class _Parts:
    """A file to write to, whose bytes leave encrypted in parts."""

    def __init__(self, folder: Path, recipient: Path) -> None:
        self._folder, self._recipient = folder, recipient
        self._number = self._room = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self._end()
        elif self._process:
            self._process.kill()
            self._process.communicate()

    def write(self, data: bytes) -> int:
        """Encrypt the next bytes."""
        view = memoryview(b"" if self._failed else data)  # a tar that fails is still closed
        while view:
            if not self._room:
                self._end()
                self._begin()
            part = view[: self._room]
            try:
                self._input.write(part)
            except BrokenPipeError:
                self._end()
            self._room -= len(part)
            view = view[len(part) :]
        return len(data)

    @property
    def _input(self) -> IO[bytes]:
        assert self._process is not None
        assert self._process.stdin is not None
        return self._process.stdin

    def _begin(self) -> None:
        self._number, self._room = self._number + 1, PART_BYTES
        out = self._folder / f"{self._number:03d}.p7m"
        self._process = subprocess.Popen(  # noqa: S603 - stock program, no shell
            [
                OPENSSL, "cms", "-encrypt", "-binary", "-aes-256-gcm", "-stream",
                "-outform", "DER", "-out", str(out), "-recip", str(self._recipient),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip

    def _end(self) -> None:
        if self._process is None:
            return
        _, said = self._process.communicate()
        code, self._process = self._process.returncode, None
        if code:
            self._failed = True
            text = said.decode("utf-8", "replace").strip()[-_SAID_MAX:]
            raise EnvelopeError(f"openssl does not encrypt to this certificate: {text}")
