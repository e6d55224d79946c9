"""The little of OpenPGP that apt asks for: one Ed25519 key and one cleartext signature.

Written here because the bytes must depend on inputs only (a repository built twice is the
same), which no stock tool promises. Version 4 keys and signatures (RFC 4880) with the EdDSA of
draft-koch-eddsa-for-openpgp (algorithm 22, "EdDSALegacy" of RFC 9580), as gpgv and sqv read.
Neither key nor signature expires: the trust in a repository comes from the bundle's manifest.
"""

import base64
import hashlib
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

USER = b"Casemate (packages of a bundle)"
_CURVE = bytes.fromhex("2b06010401da470f01")  # Ed25519, 1.3.6.1.4.1.11591.15.1
_EDDSA, _SHA512 = 22, 10
_PUBLIC_KEY, _USER_ID, _SIGNATURE = 6, 13, 2
_TEXT, _CERTIFIES = 0x01, 0x13
_CREATED, _KEY_FLAGS, _ISSUER, _FINGERPRINT = 2, 27, 16, 33


@dataclass(frozen=True, slots=True)
class ArchiveKey:
    """The key that signs one repository. `created` in seconds since 1970."""

    key: Ed25519PrivateKey
    created: int

    @classmethod
    def from_seed(cls, seed: bytes, created: int) -> "ArchiveKey":
        """Return the key of a secret seed of 32 bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed), created)

    @property
    def _body(self) -> bytes:
        point = _integer(b"\x40" + self.key.public_key().public_bytes_raw())
        start = struct.pack(">BIB", 4, self.created, _EDDSA)
        return start + bytes([len(_CURVE)]) + _CURVE + point

    @property
    def fingerprint(self) -> bytes:
        """Return the 20 bytes that name the key."""
        body = self._body
        packed = b"\x99" + struct.pack(">H", len(body)) + body
        return hashlib.sha1(packed, usedforsecurity=False).digest()

    def public(self) -> bytes:
        """Return the public key, its user and its own certification, armoured."""
        body = self._body
        signed = b"\x99" + struct.pack(">H", len(body)) + body
        signed += b"\xb4" + struct.pack(">I", len(USER)) + USER
        flags = _subpacket(_KEY_FLAGS, b"\x03")  # certifies and signs
        packets = _packet(_PUBLIC_KEY, body) + _packet(_USER_ID, USER)
        packets += _packet(_SIGNATURE, self._sign(_CERTIFIES, signed, flags))
        return _armoured("PUBLIC KEY BLOCK", packets)

    def sign_text(self, text: str) -> bytes:
        """Return a text with its signature in clear, as `InRelease` is.

        Lines end in one newline and have no space at their end; none starts with a dash.
        """
        lines = text.rstrip("\n").split("\n")
        assert not any(line.startswith("-") or line != line.rstrip() for line in lines)
        signature = self._sign(_TEXT, "\r\n".join(lines).encode(), b"")
        head = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n" + "\n".join(lines) + "\n"
        return head.encode() + _armoured("SIGNATURE", _packet(_SIGNATURE, signature))

    def _sign(self, kind: int, signed: bytes, more: bytes) -> bytes:
        """Return the body of a signature packet over `signed`."""
        area = _subpacket(_CREATED, struct.pack(">I", self.created)) + more
        area += _subpacket(_FINGERPRINT, b"\x04" + self.fingerprint)
        hashed = struct.pack(">BBBBH", 4, kind, _EDDSA, _SHA512, len(area)) + area
        trailer = b"\x04\xff" + struct.pack(">I", len(hashed))
        digest = hashlib.sha512(signed + hashed + trailer).digest()
        made = self.key.sign(digest)
        issuer = _subpacket(_ISSUER, self.fingerprint[-8:])
        loose = struct.pack(">H", len(issuer)) + issuer
        return hashed + loose + digest[:2] + _integer(made[:32]) + _integer(made[32:])


def _integer(data: bytes) -> bytes:
    """Return a multiprecision integer: its bits, then its bytes without leading zeros."""
    value = int.from_bytes(data)
    return struct.pack(">H", value.bit_length()) + value.to_bytes((value.bit_length() + 7) // 8)


def _subpacket(kind: int, data: bytes) -> bytes:
    return bytes([len(data) + 1, kind]) + data


def _packet(tag: int, body: bytes) -> bytes:
    """Return a packet with a two-byte length (old format, which every reader knows)."""
    return bytes([0x80 | tag << 2 | 1]) + struct.pack(">H", len(body)) + body


def _armoured(what: str, data: bytes) -> bytes:
    lines = base64.b64encode(data).decode()
    wrapped = "\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
    check = base64.b64encode(_crc24(data).to_bytes(3)).decode()
    text = f"-----BEGIN PGP {what}-----\n\n{wrapped}\n={check}\n-----END PGP {what}-----\n"
    return text.encode()


def _crc24(data: bytes) -> int:
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc
