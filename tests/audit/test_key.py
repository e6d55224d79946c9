import hashlib

import pytest

from appliance.audit.key import (
    Algorithm,
    Signer,
    Verifier,
    decode_base64,
    keys_text,
    parse_keys,
    scalar_from,
    verifier_key,
)
from appliance.errors import FormatError, VerificationError

SEED = bytes(range(32))
NAME = "audit.example/demo"
KEY = "audit.example/demo+6407748a+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
ALICE = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"  # C2SP


def test_vector_of_a_signed_note_key() -> None:
    assert verifier_key(NAME, SEED) == KEY


@pytest.mark.parametrize("text", [KEY, ALICE])
def test_parse_is_the_inverse_of_text(text: str) -> None:
    assert Verifier.parse(text).text() == text
    assert Verifier.parse(text + "\n") == Verifier.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\tb", "a\u2003b"])
def test_a_name_that_cannot_name_a_key_is_refused(name: str) -> None:
    with pytest.raises(FormatError):
        verifier_key(name, SEED)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(NAME, id="name only"),
        pytest.param(KEY[:-1], id="base64 cut"),
        pytest.param(KEY.replace("6407748a", "6407748b"), id="id of another key"),
        pytest.param(KEY.replace("6407748a", "6407748A"), id="id in capitals"),
        pytest.param(KEY.replace("demo", "dem0"), id="name of another log"),
        pytest.param(KEY + "\n\n", id="two final newlines"),
        pytest.param(" " + KEY, id="space before"),
        pytest.param(KEY[:-4], id="key too short"),
    ],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(FormatError):
        Verifier.parse(text)


def test_a_key_of_another_algorithm_is_told_apart() -> None:
    with pytest.raises(FormatError, match="not the SPKI of a P-256"):
        Verifier.parse(KEY.replace("AQOh", "AgOh"))


def test_what_the_signer_signs_its_verifier_accepts_and_nothing_else() -> None:
    signer = Signer(NAME, SEED)
    signature = signer.sign(b"text")
    signer.verifier.verify(b"text", signature)
    for text, data in ((b"Text", signature), (b"text", bytes(64)), (b"text", signature[:-1])):
        with pytest.raises(VerificationError):
            signer.verifier.verify(text, data)


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_a_seed_of_another_length_is_refused(seed: bytes) -> None:
    with pytest.raises(FormatError):
        Signer(NAME, seed)


@pytest.mark.parametrize(
    "text", ["QQ", "QQ=", "QR==", "QQ==\n", " QQ==", "QQ==QQ==", "Q-==", "é"]
)
def test_base64_has_one_form(text: str) -> None:
    assert decode_base64("QQ==") == b"A"
    with pytest.raises(FormatError):
        decode_base64(text)


# the second key

P256 = bytes(range(64, 96))
BOTH = Signer(NAME, SEED, P256)
SECOND = BOTH.verifiers[1]


def test_the_second_key_is_named_by_the_digest_of_its_spki() -> None:
    assert SECOND.algorithm == Algorithm.ECDSA_P256
    assert SECOND.key_id == hashlib.sha256(SECOND.public).digest()[:4]
    assert Verifier.parse(SECOND.text()) == SECOND
    assert Verifier("audit.example/other", SECOND.public, 2).key_id == SECOND.key_id


def test_signatures_of_the_second_key_need_no_random_number() -> None:
    (_, first), (_, second) = BOTH.sign_all(b"text\n")
    assert BOTH.sign_all(b"text\n")[1][1] == second
    assert first == Signer(NAME, SEED).sign(b"text\n")
    SECOND.verify(b"text\n", second)
    for text, data in ((b"Text\n", second), (b"text\n", first), (b"text\n", second[:-1])):
        with pytest.raises(VerificationError):
            SECOND.verify(text, data)


def _spki(point: str) -> bytes:
    return bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200" + point)


@pytest.mark.parametrize(
    "public",
    [
        pytest.param(SECOND.public[:-1], id="cut"),
        pytest.param(SECOND.public + b"\0", id="longer"),
        pytest.param(
            SECOND.public[:-1] + bytes([SECOND.public[-1] ^ 1]), id="not on the curve"
        ),
        pytest.param(_spki("00" * 65), id="no point"),
        pytest.param(_spki("02" + SECOND.public[27:59].hex()), id="compressed"),
        pytest.param(b"\x30\x58" + SECOND.public[2:], id="other length in the DER"),
        pytest.param(SECOND.public.replace(b"\x03\x01\x07", b"\x03\x01\x06"), id="other curve"),
        pytest.param(SECOND.public[26:], id="point alone"),
    ],
)
def test_a_second_key_in_another_form_is_refused(public: bytes) -> None:
    with pytest.raises(FormatError):
        Verifier(NAME, public, Algorithm.ECDSA_P256)


@pytest.mark.parametrize(
    "scalar", [b"", bytes(32), bytes(31), b"\xff" * 32, b"\0" * 32 + b"\1"], ids=len
)
def test_a_second_private_key_that_is_none_is_refused(scalar: bytes) -> None:
    with pytest.raises(FormatError):
        Signer(NAME, SEED, scalar)


def test_every_random_number_gives_a_second_key() -> None:
    for random in (bytes(40), b"\xff" * 40, bytes(range(40))):
        assert Signer(NAME, SEED, scalar_from(random)).verifiers[1].supported
    assert scalar_from(bytes(40)) == bytes(31) + b"\1"


def test_the_keys_of_a_log_are_read_back_from_their_lines() -> None:
    text = verifier_key(NAME, SEED, P256)
    assert parse_keys(text) == parse_keys(text + "\n") == BOTH.verifiers
    assert keys_text(BOTH.verifiers) == text
    assert parse_keys(KEY) == Signer(NAME, SEED).verifiers


def test_keys_of_a_type_to_come_are_kept_and_left_out() -> None:
    later = Verifier(NAME, bytes(1312), 6)
    assert Verifier.parse(later.text()) == later
    assert not later.supported
    with pytest.raises(VerificationError, match="type 6"):
        later.verify(b"text\n", bytes(2420))
    assert parse_keys(f"{KEY}\n{later.text()}\n") == Signer(NAME, SEED).verifiers


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(f"{KEY}\n{KEY}", id="twice"),
        pytest.param(f"{KEY}\n{ALICE}", id="two logs"),
        pytest.param(f"{KEY}\n\n{SECOND.text()}", id="empty line"),
        pytest.param(f"{KEY}\n\n", id="empty line at the end"),
        pytest.param(Verifier(NAME, bytes(1312), 6).text(), id="none that is known"),
        pytest.param(Verifier(NAME, bytes(32), 4).text(), id="that of a witness"),
        pytest.param("\n".join([KEY] * 17), id="too many"),
    ],
)
def test_parse_keys_refuses(text: str) -> None:
    with pytest.raises(FormatError):
        parse_keys(text)
