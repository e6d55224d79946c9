import pytest

from appliance.audit.key import Signer, Verifier, decode_base64, verifier_key
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
