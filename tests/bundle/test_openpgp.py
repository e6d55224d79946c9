"""Signatures are checked here by a reader of packets of its own; stock apt does in test_apt."""

import base64
import hashlib
import re
from dataclasses import dataclass

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.bundle.openpgp import USER, ArchiveKey

CREATED = 1_795_000_000
KEY = ArchiveKey.from_seed(b"s" * 32, CREATED)
TEXT = "Origin: Casemate\nSHA256:\n abc 6 Packages\n"


def unarmoured(text: bytes, what: str) -> bytes:
    found = re.search(
        rf"-----BEGIN PGP {what}-----\n\n(.*)\n=(....)\n-----END PGP {what}-----\n".encode(),
        text,
        re.DOTALL,
    )
    assert found is not None
    data = base64.b64decode(found[1], validate=False)
    assert base64.b64decode(found[2]) == crc24(data)
    return data


def crc24(data: bytes) -> bytes:
    """Return the check of RFC 4880, 6.1, by division of polynomials."""
    value = int.from_bytes(data + b"\0\0\0") ^ 0xB704CE << 8 * len(data)
    for place in range(8 * len(data) - 1, -1, -1):
        if value >> (place + 24) & 1:
            value ^= 0x1864CFB << place
    return value.to_bytes(3)


def packets(data: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while data:
        assert data[0] & 0b11000011 == 0b10000001, "old format, two bytes of length"
        size = int.from_bytes(data[1:3])
        found.append((data[0] >> 2 & 15, data[3 : 3 + size]))
        data = data[3 + size :]
    return found


def numbers(data: bytes) -> list[bytes]:
    found: list[bytes] = []
    while data:
        size = (int.from_bytes(data[:2]) + 7) // 8
        found.append(data[2 : 2 + size].rjust(32, b"\0"))
        data = data[2 + size :]
    return found


@dataclass(frozen=True)
class Signature:
    """What a signature packet holds."""

    kind: int
    hashed: bytes
    areas: dict[int, bytes]
    start: bytes
    value: bytes

    @classmethod
    def parse(cls, body: bytes) -> "Signature":
        assert body[:1] + body[2:4] == bytes([4, 22, 10])
        end = 6 + int.from_bytes(body[4:6])
        loose = end + 2 + int.from_bytes(body[end : end + 2])
        r, s = numbers(body[loose + 2 :])
        areas = {**areas_of(body[6:end]), **areas_of(body[end + 2 : loose])}
        return cls(body[1], body[:end], areas, body[loose : loose + 2], r + s)

    def check(self, key: Ed25519PublicKey, signed: bytes) -> None:
        trailer = b"\x04\xff" + len(self.hashed).to_bytes(4)
        digest = hashlib.sha512(signed + self.hashed + trailer).digest()
        assert digest[:2] == self.start
        key.verify(self.value, digest)


def areas_of(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while data:
        found[data[1]] = data[2 : 1 + data[0]]
        data = data[1 + data[0] :]
    return found


def public_key(body: bytes) -> Ed25519PublicKey:
    curve = 7 + body[6]
    (point,) = numbers(body[curve:])
    assert (body[0], int.from_bytes(body[1:5]), body[5], point[0]) == (4, CREATED, 22, 0x40)
    return Ed25519PublicKey.from_public_bytes(point[1:])


def test_the_public_key_certifies_its_user_and_itself() -> None:
    (key, user, certificate) = packets(unarmoured(KEY.public(), "PUBLIC KEY BLOCK"))
    assert (key[0], user, certificate[0]) == (6, (13, USER), 2)
    signed = b"\x99" + len(key[1]).to_bytes(2) + key[1]
    signed += b"\xb4" + len(USER).to_bytes(4) + USER
    found = Signature.parse(certificate[1])
    found.check(public_key(key[1]), signed)
    assert found.kind == 0x13
    assert found.areas[27] == b"\x03", "it may certify and sign"
    assert 9 not in found.areas, "it never expires"
    fingerprint = hashlib.sha1(signed[: 3 + len(key[1])], usedforsecurity=False).digest()
    assert KEY.fingerprint == fingerprint
    assert found.areas[33] == b"\x04" + fingerprint
    assert found.areas[16] == fingerprint[-8:]


def signature_of(text: bytes) -> Signature:
    ((kind, body),) = packets(unarmoured(text, "SIGNATURE"))
    assert kind == 2
    return Signature.parse(body)


def test_a_text_in_clear_is_signed_with_the_line_ends_of_the_network() -> None:
    signed = KEY.sign_text(TEXT)
    head, body = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n", TEXT.encode()
    assert signed.startswith(head + body + b"-----BEGIN PGP SIGNATURE-----\n")
    found, key = signature_of(signed), KEY.key.public_key()
    found.check(key, TEXT.rstrip("\n").replace("\n", "\r\n").encode())
    assert (found.kind, found.areas[2]) == (1, CREATED.to_bytes(4))
    with pytest.raises((AssertionError, InvalidSignature)):
        found.check(key, b"Origin: Another")


def test_the_same_seed_and_time_give_the_same_bytes_and_others_do_not() -> None:
    again = ArchiveKey.from_seed(b"s" * 32, CREATED)
    assert (again.public(), again.sign_text(TEXT)) == (KEY.public(), KEY.sign_text(TEXT))
    for other in (ArchiveKey.from_seed(b"t" * 32, CREATED), ArchiveKey.from_seed(b"s" * 32, 1)):
        assert other.fingerprint != KEY.fingerprint


@pytest.mark.parametrize("seed", range(8))
def test_numbers_that_start_with_zeros_are_written_as_the_format_says(seed: int) -> None:
    key = ArchiveKey.from_seed(bytes([seed]) * 32, CREATED)
    for number in range(40):
        text = f"A: {number}\n"
        signature_of(key.sign_text(text)).check(key.key.public_key(), text.rstrip().encode())


@pytest.mark.parametrize("text", ["-a\n", "a \n", "a\t\nb\n"], ids=["dash", "space", "tab"])
def test_a_text_that_would_need_escapes_is_a_defect(text: str) -> None:
    with pytest.raises(AssertionError):
        KEY.sign_text(text)
