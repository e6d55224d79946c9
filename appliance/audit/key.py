"""Keys of the log: the signer that the recorder holds, the verifier that auditors hold.

Format: the verifier key of https://c2sp.org/signed-note, with Ed25519 (algorithm 0x01). Later
signatures stand beside it on lines of their own: each carries the id of its key.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from appliance.errors import FormatError, VerificationError

SEED_BYTES = 32
PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_BYTES = 4
_ED25519 = b"\x01"


def check_name(name: str) -> None:
    """Check that a text can name a key, which is also the origin of a log.

    Raises:
        FormatError: It cannot.
    """
    if not name or not name.isprintable() or "+" in name or any(map(str.isspace, name)):
        raise FormatError("the name of a key is one word without '+'")


def decode_base64(text: str) -> bytes:
    """Decode the one form that encoding gives back: padded, no stray bits, nothing else.

    Raises:
        FormatError: Any other text.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise FormatError("not base64") from exc
    if base64.b64encode(data).decode() != text:
        raise FormatError("base64 is not in canonical form")
    return data


@dataclass(frozen=True, slots=True)
class Verifier:
    """Name of a log and its public key."""

    name: str
    public: bytes  # RFC 8032, 32 bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public) != PUBLIC_BYTES:
            raise FormatError(f"public key is {len(self.public)} bytes, expected 32")

    @property
    def key_id(self) -> bytes:
        """Four bytes that stand before each signature of the key."""
        named = f"{self.name}\n".encode() + _ED25519 + self.public
        return hashlib.sha256(named).digest()[:KEY_ID_BYTES]

    def text(self) -> str:
        """Return the text that goes into the installation report."""
        public = base64.b64encode(_ED25519 + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{public}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a verifier key; a final newline, as files have, is let through.

        Raises:
            FormatError: Not the text of an Ed25519 key, or its id is another key's.
        """
        line = text.removesuffix("\n")
        match line.split("+", 2):  # base64 may hold a '+'
            case [name, _, public]:
                key = decode_base64(public)
            case _:
                raise FormatError("a verifier key is name+id+key")
        if not key.startswith(_ED25519):
            raise FormatError("the key is not of type Ed25519")
        verifier = cls(name, key.removeprefix(_ED25519))
        if verifier.text() != line:
            raise FormatError("the id of the verifier key does not fit its name and key")
        return verifier

    def verify(self, text: bytes, signature: bytes) -> None:
        """Check a signature over `text`.

        Raises:
            VerificationError: It is not one of this key.
        """
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature as exc:
            raise VerificationError(f"the signature is not that of {self.name}") from exc


class Signer:
    """The private key of a log. It signs checkpoints only."""

    def __init__(self, origin: str, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise FormatError(f"seed is {len(seed)} bytes, expected {SEED_BYTES}")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(origin, self._private.public_key().public_bytes_raw())

    def sign(self, text: bytes) -> bytes:
        """Return the signature of `text`."""
        return self._private.sign(text)


def verifier_key(origin: str, seed: bytes) -> str:
    """Return the verifier key that belongs to a seed.

    Raises:
        FormatError: The origin cannot be the name of a key.
    """
    return Signer(origin, seed).verifier.text()
