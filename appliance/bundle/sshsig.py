"""SSH signatures, Ed25519 only: what `ssh-keygen -Y sign` and `-Y verify` make and check.

Format: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig . A signature
carries its key: whether that key is trusted is said elsewhere (`trust.py`). The namespace stops
a signature made for one purpose from serving another. No validity dates: on a site the clock is
the first thing to be wrong, and an expired signature would bar the way to its own repair.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from appliance.errors import FormatError, VerificationError

MANIFEST_NAMESPACE, ROOT_NAMESPACE = "bundle@casemate", "root@casemate"
ARMOR_BYTES_MAX = 4096
_MAGIC, _VERSION, _TYPE = b"SSHSIG", 1, b"ssh-ed25519"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_WRAP = 70  # columns, as ssh-keygen
_ARMOR = re.compile(rf"{_BEGIN}\n((?:[A-Za-z0-9+/=]{{1,76}}\n)+){_END}\n?\Z")
_HASHES: dict[bytes, Callable[[bytes], "hashlib._Hash"]] = {
    b"sha256": hashlib.sha256, b"sha512": hashlib.sha512,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key, as its 32 bytes."""

    raw: bytes

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read `ssh-ed25519 BASE64`, with or without a comment.

        Raises:
            FormatError: Another kind of key, or not one.
        """
        words = line.split(maxsplit=2)
        if len(words) < 2 or words[0] != _TYPE.decode():  # noqa: PLR2004 - type and key
            raise FormatError("public key: expected a line ssh-ed25519 BASE64")
        return cls.from_blob(_decode(words[1]))

    @classmethod
    def from_blob(cls, blob: bytes) -> Self:
        """Read the key as OpenSSH stores it.

        Raises:
            FormatError: Another kind of key, or not one.
        """
        reader = _Reader(blob)
        kind, raw = reader.string(), reader.string()
        reader.end()
        if kind != _TYPE or len(raw) != 32:  # noqa: PLR2004 - RFC 8032
            raise FormatError("public key is not an Ed25519 key")
        return cls(raw)

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> Self:
        """Return the public half."""
        return cls(private.public_key().public_bytes_raw())

    def blob(self) -> bytes:
        """Return the key as OpenSSH stores it."""
        return _string(_TYPE) + _string(self.raw)

    def line(self) -> str:
        """Return the line of a `.pub` file, without comment or newline."""
        return f"{_TYPE.decode()} {base64.b64encode(self.blob()).decode()}"

    def digest(self) -> str:
        """Return the SHA-256 of the blob, by which a key is revoked."""
        return hashlib.sha256(self.blob()).hexdigest()

    def fingerprint(self) -> str:
        """Return what `ssh-keygen -l` shows."""
        digest = base64.b64encode(hashlib.sha256(self.blob()).digest()).decode()
        return "SHA256:" + digest.rstrip("=")


def load_private(data: bytes) -> Ed25519PrivateKey:
    """Read a private key file of `ssh-keygen -t ed25519`, without a password.

    A key with a password, in an agent or on a token signs by `ssh-keygen -Y sign` itself.

    Raises:
        FormatError: Not one, another kind, or protected.
    """
    try:
        private = load_ssh_private_key(data, None)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as exc:
        raise FormatError("private key cannot be read, or has a password") from exc
    if not isinstance(private, Ed25519PrivateKey):
        raise FormatError("private key is not an Ed25519 key")
    return private


def sign(private: Ed25519PrivateKey, message: bytes, namespace: str) -> bytes:
    """Return the armoured signature. Same key and message: same bytes."""
    signature = private.sign(_signed(namespace, b"sha512", message))
    blob = _MAGIC + _VERSION.to_bytes(4, "big") + _string(PublicKey.of(private).blob())
    blob += _string(namespace.encode()) + _string(b"") + _string(b"sha512")
    blob += _string(_string(_TYPE) + _string(signature))
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + _WRAP] for at in range(0, len(text), _WRAP)]
    return "\n".join([_BEGIN, *lines, _END, ""]).encode()


def verify(armour: bytes, message: bytes, namespace: str) -> PublicKey:
    """Return the key that signed the message in the namespace. Trust in that key is not judged.

    Raises:
        FormatError: Not a signature of this kind.
        VerificationError: Of another namespace, or not of these bytes.
    """
    reader = _Reader(_unarmoured(armour))
    if reader.take(len(_MAGIC)) != _MAGIC or reader.number() != _VERSION:
        raise FormatError("not an SSH signature of version 1")
    key, named = PublicKey.from_blob(reader.string()), reader.string()
    reserved, algorithm = reader.string(), reader.string()
    inner = _Reader(reader.string())
    reader.end()
    kind, signature = inner.string(), inner.string()
    inner.end()
    if reserved or algorithm not in _HASHES or kind != _TYPE:
        raise FormatError("SSH signature of a kind that is not accepted")
    if named != namespace.encode():
        raise VerificationError(f"signature of another namespace: {named[:40]!r}")
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(
            signature, _signed(namespace, algorithm, message)
        )
    except InvalidSignature as exc:
        raise VerificationError("the signature is not of these bytes") from exc
    return key


def _signed(namespace: str, algorithm: bytes, message: bytes) -> bytes:
    digest = _HASHES[algorithm](message).digest()
    fields = (namespace.encode(), b"", algorithm, digest)
    return _MAGIC + b"".join(map(_string, fields))


def _unarmoured(armour: bytes) -> bytes:
    try:
        match = _ARMOR.match(armour[: ARMOR_BYTES_MAX + 1].decode("ascii"))
    except UnicodeDecodeError as exc:
        raise FormatError("SSH signature is not ASCII") from exc
    if match is None or len(armour) > ARMOR_BYTES_MAX:
        raise FormatError("SSH signature: expected one armoured block")
    return _decode(match[1].replace("\n", ""))


def _decode(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise FormatError("not base64") from exc
    if base64.b64encode(data).decode() != text:
        raise FormatError("base64 with stray bits")
    return data


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


class _Reader:
    """The fields of RFC 4251, section 5, from the front."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def take(self, count: int) -> bytes:
        if count > len(self._rest):
            raise FormatError("SSH structure is cut short")
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def end(self) -> None:
        if self._rest:
            raise FormatError("SSH structure has bytes after its end")
