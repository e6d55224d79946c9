"""Keys of the log: the signer that the recorder holds, the verifiers that auditors hold.

Format: verifier keys of https://c2sp.org/signed-note. A log signs with two keys of one name:
Ed25519 (type 0x01), and ECDSA P-256 (type 0x02) since many a card and many a national rule know
nothing else. Each signs on a line of its own, which carries the id of its key. A log made
before there were two goes on with one. A key of a type that is not known here (ML-DSA-44 is
0x06) is kept and printed, and says nothing.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from appliance.errors import FormatError, VerificationError

SEED_BYTES = 32
PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_BYTES = 4
KEYS_MAX = 16  # of one name in a file
_PUBLIC_BYTES_MAX = 4096
_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")  # then the point
_SPKI_BYTES = 91
_TYPE_MAX = 0xFF
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Algorithm(IntEnum):
    """Types of keys that can be checked here: the first byte of a public key."""

    ED25519 = 0x01
    ECDSA_P256 = 0x02
    COSIGNATURE = 0x04  # Ed25519 of a witness, with the time: see `cosignature.py`


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
    """A name and a public key: of a log, or of a witness.

    Public keys are 32 bytes (RFC 8032), for ECDSA the DER of the SPKI (RFC 5480), 91 bytes.
    """

    name: str
    public: bytes
    algorithm: int = Algorithm.ED25519

    def __post_init__(self) -> None:
        check_name(self.name)
        if not 0 <= self.algorithm <= _TYPE_MAX:
            raise FormatError("the type of a key is one byte")
        if self.algorithm == Algorithm.ECDSA_P256:
            _point(self.public)
        elif self.supported and len(self.public) != PUBLIC_BYTES:
            raise FormatError(f"public key is {len(self.public)} bytes, expected 32")
        elif not 0 < len(self.public) <= _PUBLIC_BYTES_MAX:
            raise FormatError(f"public key is {len(self.public)} bytes")

    @property
    def supported(self) -> bool:
        """Whether its signatures can be checked here."""
        return self.algorithm in Algorithm.__members__.values()

    @property
    def key_id(self) -> bytes:
        """Four bytes that stand before each signature of the key."""
        if self.algorithm == Algorithm.ECDSA_P256:  # c2sp.org/signed-note: not of the name
            return hashlib.sha256(self.public).digest()[:KEY_ID_BYTES]
        named = f"{self.name}\n".encode() + bytes([self.algorithm]) + self.public
        return hashlib.sha256(named).digest()[:KEY_ID_BYTES]

    def text(self) -> str:
        """Return the text that goes into the installation report."""
        public = base64.b64encode(bytes([self.algorithm]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{public}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a verifier key; a final newline, as files have, is let through.

        Raises:
            FormatError: Not the text of a key, or its id is another key's.
        """
        line = text.removesuffix("\n")
        match line.split("+", 2):  # base64 may hold a '+'
            case [name, _, public]:
                key = decode_base64(public)
            case _:
                raise FormatError("a verifier key is name+id+key")
        if not key:
            raise FormatError("the key has no type")
        verifier = cls(name, key[1:], key[0])
        if verifier.text() != line:
            raise FormatError("the id of the verifier key does not fit its name and key")
        return verifier

    def verify(self, text: bytes, signature: bytes) -> None:
        """Check a signature over `text`. That of a witness is over another text.

        Raises:
            VerificationError: It is not one of this key, or the type of key is not known.
        """
        try:
            match self.algorithm:
                case Algorithm.ED25519 | Algorithm.COSIGNATURE:
                    Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
                case Algorithm.ECDSA_P256:
                    _point(self.public).verify(signature, text, ec.ECDSA(hashes.SHA256()))
                case _:
                    raise VerificationError(f"keys of type {self.algorithm} are not known here")
        except InvalidSignature as exc:
            raise VerificationError(f"the signature is not that of {self.name}") from exc


def _point(spki: bytes) -> ec.EllipticCurvePublicKey:
    """Return a key of the one form that P-256 has here: uncompressed, in its SPKI.

    Raises:
        FormatError: Any other bytes.
    """
    if not spki.startswith(_SPKI) or len(spki) != _SPKI_BYTES:
        raise FormatError("the key is not the SPKI of a P-256 key")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(
            ec.SECP256R1(), spki.removeprefix(_SPKI)
        )
    except ValueError as exc:
        raise FormatError("the key is not a point of P-256") from exc


def parse_keys(text: str) -> tuple[Verifier, ...]:
    """Read the keys of a log, one a line: all that has to sign.

    Keys of types that are not known here are left out.

    Raises:
        FormatError: Not keys of one log, none that is known here, or one of them twice.
    """
    lines = text.removesuffix("\n").split("\n")
    if len(lines) > KEYS_MAX:
        raise FormatError(f"a log has at most {KEYS_MAX} keys")
    keys = tuple(map(Verifier.parse, lines))
    known = tuple(key for key in keys if key.supported)
    if len({key.name for key in keys}) != 1 or len(set(keys)) != len(keys):
        raise FormatError("the keys of a log have one name, and each stands once")
    if not known or any(key.algorithm == Algorithm.COSIGNATURE for key in known):
        raise FormatError("a log signs with Ed25519 and ECDSA P-256")
    return known


def keys_text(keys: Sequence[Verifier]) -> str:
    """Return the keys, one a line, without a final newline."""
    return "\n".join(key.text() for key in keys)


class Signer:
    """The private keys of a log. They sign checkpoints only."""

    def __init__(self, origin: str, seed: bytes, p256: bytes | None = None) -> None:
        """Take the keys.

        Args:
            origin: Name of the log.
            seed: Of the Ed25519 key (RFC 8032, 5.1.5), 32 bytes.
            p256: Private scalar of the ECDSA key, 32 bytes big-endian; None: it has none.

        Raises:
            FormatError: One of them is no key.
        """
        if len(seed) != SEED_BYTES:
            raise FormatError(f"seed is {len(seed)} bytes, expected {SEED_BYTES}")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(origin, self._private.public_key().public_bytes_raw())
        self.verifiers: tuple[Verifier, ...] = (self.verifier,)
        self._p256 = None if p256 is None else _private(p256)
        if self._p256 is not None:
            spki = self._p256.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            self.verifiers += (Verifier(origin, spki, Algorithm.ECDSA_P256),)

    def sign(self, text: bytes) -> bytes:
        """Return the Ed25519 signature of `text`."""
        return self._private.sign(text)

    def sign_all(self, text: bytes) -> list[tuple[Verifier, bytes]]:
        """Return the signature of each key, in the order of `verifiers`."""
        signatures = [self.sign(text)]
        if self._p256 is not None:  # RFC 6979: no random number that could betray the key
            scheme = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
            signatures.append(self._p256.sign(text, scheme))
        return list(zip(self.verifiers, signatures, strict=True))


def _private(scalar: bytes) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(scalar, "big")
    if len(scalar) != SEED_BYTES or not 0 < number < _ORDER:
        raise FormatError("the private key of P-256 is 32 bytes, a number below its order")
    return ec.derive_private_key(number, ec.SECP256R1())


def scalar_from(random: bytes) -> bytes:
    """Return the private scalar of a P-256 key.

    Args:
        random: 40 bytes; 64 more bits than the order has leave no bias that could be used
            (FIPS 186-5, A.2.1).
    """
    assert len(random) == SEED_BYTES + 8
    return (int.from_bytes(random, "big") % (_ORDER - 1) + 1).to_bytes(SEED_BYTES, "big")


def verifier_key(origin: str, seed: bytes, p256: bytes | None = None) -> str:
    """Return the verifier keys that belong to private ones, one a line.

    Raises:
        FormatError: The origin cannot be the name of a key.
    """
    return keys_text(Signer(origin, seed, p256).verifiers)
