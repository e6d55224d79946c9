import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.audit.content import (
    EPHEMERAL_SECONDS,
    RECIPIENTS_MAX,
    SEALED_BYTES_MAX,
    ContentKey,
    Ephemeral,
    Part,
    commit,
    open_sealed,
)
from appliance.errors import FormatError, VerificationError

PARTS: tuple[Part, Part] = ("question", "answer")
TEXT = "Quel est le délai de réponse à une demande ?"


def pair() -> tuple[bytes, bytes]:
    private = X25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def sealed_to(*recipients: bytes) -> tuple[ContentKey, bytes]:
    key = ContentKey.new()
    return key, key.seal(recipients, Ephemeral.new(0))


@pytest.mark.parametrize("text", ["", TEXT, "x" * 200_000], ids=["empty", "french", "long"])
@pytest.mark.parametrize("part", PARTS)
def test_what_is_encrypted_is_read_back(part: Part, text: str) -> None:
    key = ContentKey.new()
    assert key.decrypt(part, key.encrypt(part, text)) == text
    assert not text or text.encode() not in key.encrypt(part, text)


def test_a_part_opens_as_itself_under_its_own_key_only() -> None:
    key, data = ContentKey.new(), b""
    data = key.encrypt("question", TEXT)
    with pytest.raises(VerificationError):
        key.decrypt("answer", data)
    with pytest.raises(VerificationError):
        ContentKey.new().decrypt("question", data)


def test_each_changed_byte_of_a_part_is_refused() -> None:
    key = ContentKey.new()
    data = key.encrypt("answer", TEXT)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(VerificationError):
            key.decrypt("answer", bytes(changed))
    with pytest.raises(FormatError):
        key.decrypt("answer", data[:20])


def test_two_texts_never_share_a_nonce_under_one_key() -> None:
    key = ContentKey.new()
    nonces = {key.encrypt(part, f"{n}")[:12] for n in range(100) for part in PARTS}
    assert len(nonces) == 200


@pytest.mark.parametrize("count", range(1, RECIPIENTS_MAX + 1))
def test_each_recipient_opens_the_key_and_the_sealed_form_is_small(count: int) -> None:
    pairs = [pair() for _ in range(count)]
    key, sealed = sealed_to(*(public for _, public in pairs))
    assert len(sealed) <= SEALED_BYTES_MAX
    data = key.encrypt("answer", TEXT)
    for private, _ in pairs:
        assert open_sealed(private, sealed).decrypt("answer", data) == TEXT


def test_nobody_else_opens_the_key() -> None:
    _, sealed = sealed_to(pair()[1])
    with pytest.raises(VerificationError, match="sealed to others"):
        open_sealed(pair()[0], sealed)


def test_each_changed_byte_of_a_sealed_key_is_refused() -> None:
    private, public = pair()
    _, sealed = sealed_to(public)
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises((FormatError, VerificationError)):
            open_sealed(private, bytes(changed))


@pytest.mark.parametrize("size", [0, 1, 44, 95, 97, 300])
def test_a_sealed_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(FormatError):
        open_sealed(pair()[0], b"\x01" + bytes(size))


def test_a_point_of_small_order_is_refused() -> None:
    private, public = pair()
    _, sealed = sealed_to(public)
    with pytest.raises(VerificationError):
        open_sealed(private, sealed[:1] + bytes(32) + sealed[33:])


def test_an_ephemeral_key_serves_many_requests_for_one_minute() -> None:
    private, public = pair()
    ephemeral = Ephemeral.new(100)
    keys = [ContentKey.new() for _ in range(50)]
    sealed = [key.seal([public], ephemeral) for key in keys]
    assert {s[1:33] for s in sealed} == {ephemeral.public}
    assert len({s[33:45] for s in sealed}) == 50  # nonces
    for key, one in zip(keys, sealed, strict=True):
        opened = open_sealed(private, one)
        assert opened.commitment_key("answer") == key.commitment_key("answer")
    assert not ephemeral.expired(100 + EPHEMERAL_SECONDS - 1)
    assert ephemeral.expired(100 + EPHEMERAL_SECONDS)


def test_two_ephemeral_keys_have_nothing_in_common() -> None:
    assert Ephemeral.new(0).public != Ephemeral.new(0).public


def test_a_commitment_is_opened_by_the_key_of_its_part_only() -> None:
    key = ContentKey.new()
    question, answer = (key.commitment_key(part) for part in PARTS)
    assert len({question, answer, ContentKey.new().commitment_key("question")}) == 3
    assert commit(question, TEXT) != commit(answer, TEXT)
    assert commit(question, TEXT) != commit(question, TEXT + " ")
    assert len(base64.b64decode(commit(question, TEXT))) == 32


def test_the_bytes_do_not_change_between_versions() -> None:
    key = ContentKey(bytes(range(32)))
    # openssl kdf -kdfopt mode:EXPAND_ONLY … HKDF; openssl dgst -sha256 -mac HMAC
    assert commit(key.commitment_key("question"), TEXT) == (
        "kM/ThZfFpb0Qszh0JRQzrVJrL7tAi3USpd2Ib1Xje4A="
    )
    assert key.encrypt("question", "a").hex() == (
        "12c0ce1689c78f95b45969c62790a22831b0ec40bf86a4821a3cd67a09"
    )
