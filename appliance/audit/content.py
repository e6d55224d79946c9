"""Content of a request (question, answer): encrypted, sealed, committed to; never in the log.

Each request has one random key. Its parts are encrypted under it with AES-256-GCM; the key is
sealed to a list of recipients, and the log holds keyed commitments only. Who has the commitment
key of a part (the owner, from the receipt) can prove its text to anyone; who has it not can not
even confirm a guess. Destroying the sealed key erases the content and touches no proof.

    part      nonce[12] ‖ AES-256-GCM(key, nonce, text, aad = "casemate/content/v1 <part>")
    sealed    0x01 ‖ ephemeral X25519 public[32] ‖ nonce[12] ‖ (recipient id[4] ‖ wrapped[48])+
    wrapped   AES-256-GCM(HKDF-SHA256(X25519, salt = ephemeral ‖ recipient, info), nonce, key)
    commitment key of a part    HKDF-Expand(key, "casemate/commitment/v1 <part>", 32)
    commitment                  base64(HMAC-SHA256(commitment key, text as UTF-8))

Nonces are synthetic: the part's is taken from its commitment, the sealed key's from its own
hash, so that one key never encrypts two texts under one nonce, without state or chance.
"""

import base64
import hashlib
import hmac
from binascii import b2a_base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import FormatError, VerificationError

Part = Literal["question", "answer"]
PARTS: tuple[Part, Part] = ("question", "answer")

KEY_BYTES = 32
SEALED_BYTES_MAX = 256
EPHEMERAL_SECONDS = 60  # a worker forgets what opens its last minute
RECIPIENTS_MAX = 4

_VERSION = b"\x01"
_NONCE_BYTES, _TAG_BYTES, _ID_BYTES, _PUBLIC_BYTES = 12, 16, 4, 32
_WRAPPED_BYTES = KEY_BYTES + _TAG_BYTES
_HEAD_BYTES = 1 + _PUBLIC_BYTES + _NONCE_BYTES
_SEAL = b"casemate/seal/v1"
_AAD = {part: b"casemate/content/v1 " + part.encode() for part in PARTS}
_COMMITMENT = {part: b"casemate/commitment/v1 %b\x01" % part.encode() for part in PARTS}


class Ephemeral:
    """An X25519 key that one worker seals with for a minute, then forgets.

    What is derived for a recipient is kept, so that a request costs no curve operation.
    """

    def __init__(self, private: X25519PrivateKey, made: float) -> None:
        self._private = private
        self._made = made
        self._wrapping: dict[bytes, AESGCM] = {}
        self.public = private.public_key().public_bytes_raw()

    @classmethod
    def new(cls, now: float) -> Self:
        """Make one at `now` (seconds of a monotonic clock)."""
        return cls(X25519PrivateKey.generate(), now)

    def expired(self, now: float) -> bool:
        """Tell whether its minute is over."""
        return now - self._made >= EPHEMERAL_SECONDS

    def wrapping(self, recipient: bytes) -> AESGCM:
        """Return what wraps keys for the recipient."""
        cipher = self._wrapping.get(recipient)
        if cipher is None:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(recipient))
            cipher = _wrapping(shared, self.public, recipient)
            self._wrapping[recipient] = cipher
        return cipher


class ContentKey:
    """The key of one request's content."""

    __slots__ = ("_cipher", "_key", "_macs")

    def __init__(self, key: bytes) -> None:
        assert len(key) == KEY_BYTES
        self._key = key
        self._cipher: AESGCM | None = None  # made when asked for: nobody waits by then
        self._macs: dict[Part, tuple[str, bytes]] = {}  # the last text of each part

    @classmethod
    def new(cls) -> Self:
        """Make the key of a new request."""
        return cls(AESGCM.generate_key(8 * KEY_BYTES))

    def commitment_key(self, part: Part) -> bytes:
        """Return the key that opens the commitment of a part, and nothing else."""
        return hmac.digest(self._key, _COMMITMENT[part], "sha256")

    def commit(self, part: Part, text: str) -> str:
        """Return the commitment of a part, as leaves hold it."""
        return b2a_base64(self._mac(part, text), newline=False).decode()

    def encrypt(self, part: Part, text: str) -> bytes:
        """Return the part encrypted."""
        nonce = self._mac(part, text)[:_NONCE_BYTES]
        return nonce + self._aes().encrypt(nonce, text.encode(), _AAD[part])

    def _aes(self) -> AESGCM:
        if self._cipher is None:
            self._cipher = AESGCM(self._key)
        return self._cipher

    def _mac(self, part: Part, text: str) -> bytes:
        """Return what commits to a text; a leaf and the ciphertext ask for the same one."""
        known = self._macs.get(part)
        if known is not None and known[0] == text:
            return known[1]
        mac = hmac.digest(self.commitment_key(part), text.encode(), "sha256")
        self._macs[part] = text, mac
        return mac

    def decrypt(self, part: Part, data: bytes) -> str:
        """Return the text of a part.

        Raises:
            FormatError: Too short to be one.
            VerificationError: Another part, another request's, or changed.
        """
        if len(data) < _NONCE_BYTES + _TAG_BYTES:
            raise FormatError("encrypted content is too short")
        nonce, rest = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
        try:
            return self._aes().decrypt(nonce, rest, _AAD[part]).decode()
        except (InvalidTag, UnicodeDecodeError) as exc:
            raise VerificationError(f"the content does not open as a {part}") from exc

    def seal(self, recipients: Sequence[bytes], ephemeral: Ephemeral) -> bytes:
        """Return the key, to be opened by each of the recipients.

        Args:
            recipients: X25519 public keys, 1 to 4.
            ephemeral: Of this worker and minute.
        """
        assert 1 <= len(recipients) <= RECIPIENTS_MAX
        nonce = hashlib.sha256(_SEAL + self._key).digest()[:_NONCE_BYTES]
        wrapped = [
            _recipient_id(r) + ephemeral.wrapping(r).encrypt(nonce, self._key, _SEAL)
            for r in recipients
        ]
        return b"".join([_VERSION, ephemeral.public, nonce, *wrapped])


def open_sealed(private: bytes, sealed: bytes) -> ContentKey:
    """Return the key that was sealed to the owner of `private` (X25519, 32 bytes).

    Raises:
        FormatError: Not a sealed key.
        VerificationError: Sealed to others, or changed.
    """
    body = len(sealed) - _HEAD_BYTES
    if len(sealed) > SEALED_BYTES_MAX or body <= 0 or body % (_ID_BYTES + _WRAPPED_BYTES):
        raise FormatError("not a sealed key")
    if sealed[:1] != _VERSION:
        raise FormatError("the sealed key is of another version")
    own = X25519PrivateKey.from_private_bytes(private)
    public = own.public_key().public_bytes_raw()
    ephemeral, nonce = sealed[1 : 1 + _PUBLIC_BYTES], sealed[1 + _PUBLIC_BYTES : _HEAD_BYTES]
    for at in range(_HEAD_BYTES, len(sealed), _ID_BYTES + _WRAPPED_BYTES):
        if sealed[at : at + _ID_BYTES] != _recipient_id(public):
            continue
        wrapped = sealed[at + _ID_BYTES : at + _ID_BYTES + _WRAPPED_BYTES]
        try:
            shared = own.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            key = _wrapping(shared, ephemeral, public).decrypt(nonce, wrapped, _SEAL)
        except (InvalidTag, ValueError) as exc:  # ValueError: a point of small order
            raise VerificationError("the sealed key was changed") from exc
        return ContentKey(key)
    raise VerificationError("the key is sealed to others")


def commit(key: bytes, text: str) -> str:
    """Return the commitment of a text, 44 characters, as leaves hold it."""
    return base64.b64encode(hmac.digest(key, text.encode(), "sha256")).decode()


@lru_cache(maxsize=16)
def _recipient_id(public: bytes) -> bytes:
    return hashlib.sha256(public).digest()[:_ID_BYTES]


def _wrapping(shared: bytes, ephemeral: bytes, recipient: bytes) -> AESGCM:
    kdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=ephemeral + recipient, info=_SEAL)
    return AESGCM(kdf.derive(shared))
