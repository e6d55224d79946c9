import base64

import pytest

from appliance.audit.key import Signer, Verifier
from appliance.audit.note import SIGNATURES_MAX, Note, Signature, sign
from appliance.errors import FormatError, VerificationError

# The example of https://c2sp.org/signed-note.
FOO = Verifier.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
SIGNER = Signer("audit.example/demo", bytes(range(32)))
OTHER = Signer("rssi.example/w1", bytes(range(32, 64)))
TEXT = "first\n\nthird\n"
NOTE = sign(TEXT, SIGNER)
LINE = NOTE.signatures[0].line()
GOOD = NOTE.to_bytes().decode()


def test_parse_is_the_inverse_of_to_bytes() -> None:
    assert Note.parse(NOTE.to_bytes()) == NOTE
    NOTE.verify(SIGNER.verifier)


def test_signatures_of_unknown_keys_say_nothing() -> None:
    both = Note(TEXT, (*sign(TEXT, OTHER).signatures, *NOTE.signatures))
    Note.parse(both.to_bytes()).verify(SIGNER.verifier)
    with pytest.raises(VerificationError, match="not signed by example"):
        both.verify(FOO)


def test_a_false_signature_of_a_known_key_refuses_the_note_beside_a_true_one() -> None:
    true = NOTE.signatures[0]
    false = Signature(true.name, true.key_id, bytes(64))
    with pytest.raises(VerificationError):
        Note(TEXT, (true, false)).verify(SIGNER.verifier)


def test_a_signature_is_for_its_text_to_the_byte() -> None:
    for text in ("first\n\nthird \n", "first\n\nthird\n\n", "First\n\nthird\n"):
        with pytest.raises(VerificationError):
            Note(text, NOTE.signatures).verify(SIGNER.verifier)


def test_a_key_of_the_same_name_is_another_key() -> None:
    impostor = Signer("audit.example/demo", bytes(32))
    with pytest.raises(VerificationError):
        sign(TEXT, impostor).verify(SIGNER.verifier)


def _lines(count: int) -> str:
    return "".join(Signature("k", b"abcd", bytes([n]) * 64).line() for n in range(count))


def test_as_many_signatures_as_every_reader_accepts_are_accepted() -> None:
    note = Note.parse(f"text\n\n{_lines(SIGNATURES_MAX)}".encode())
    assert len(note.signatures) == SIGNATURES_MAX


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("", id="empty"),
        pytest.param(GOOD.replace("\n", "\r\n"), id="CRLF"),
        pytest.param("a\tb\n\n" + LINE, id="tabulator"),
        pytest.param("a\0b\n\n" + LINE, id="control character"),
        pytest.param(TEXT, id="no signature"),
        pytest.param("text\n" + LINE, id="no empty line"),
        pytest.param("text\n\n" + LINE + LINE, id="signature twice"),
        pytest.param("text\n\n" + _lines(SIGNATURES_MAX + 1), id="too many signatures"),
        pytest.param("text\n\n" + LINE + "\n", id="empty line after the signatures"),
        pytest.param("text\n\n" + LINE[1:], id="no dash"),
        pytest.param("text\n\n" + LINE.replace("\u2014", "-"), id="hyphen for a dash"),
        pytest.param("text\n\n" + LINE.replace("demo", "de+mo"), id="name with a plus"),
        pytest.param("text\n\n" + LINE.replace("demo", "de mo"), id="name of two words"),
        pytest.param("text\n\n" + LINE.replace(" ", "  "), id="two spaces"),
        pytest.param("text\n\n" + LINE.replace("=", ""), id="base64 without padding"),
        pytest.param("text\n\n\u2014 k YWJjZA==\n", id="key id without signature"),
        pytest.param("x" * 70_000 + "\n\n" + LINE, id="too long"),
    ],
)
def test_parse_refuses(data: str) -> None:
    with pytest.raises(FormatError):
        Note.parse(data.encode())


def test_a_note_without_its_final_newline_is_told_apart() -> None:
    with pytest.raises(FormatError, match="no final newline"):
        Note.parse(NOTE.to_bytes()[:-1])


def test_parse_refuses_bytes_that_are_not_utf8() -> None:
    with pytest.raises(FormatError):
        Note.parse(b"\xff" + NOTE.to_bytes())


def test_base64_with_stray_bits_is_refused() -> None:
    data = base64.b64encode(b"abcd" + bytes(64)).decode()
    assert data.endswith("AAA=")
    with pytest.raises(FormatError):
        Note.parse(f"text\n\n\u2014 k {data[:-2]}B=\n".encode())
