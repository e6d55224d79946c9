import base64

import pytest

from appliance.audit.checkpoint import Checkpoint, empty, open_checkpoint
from appliance.audit.key import Signer
from appliance.audit.note import Note, sign
from appliance.errors import FormatError, VerificationError

ROOT = base64.b64encode(bytes(32)).decode()
GOOD = f"example.org/log\n42\n{ROOT}\n"
SIGNER = Signer("audit.example/demo", bytes(range(32)))
# Worked example: byte for byte.
SIGNED = (
    "audit.example/demo\n3\nLP73YnWX4AtWSXV3Stco7yEHBnWfym1kE4xt/By/LNo=\n\n"
    "\u2014 audit.example/demo ZAd0ihsgLxfv6zsiwV0b0faYubPkRz912uUkTcDrnkD9ZDj3R0OhQTDiPRzR5glW"
    "xXiicQV/SlDkbGUzF6ECq7FypwY=\n"
)
HEAD = Checkpoint(
    "audit.example/demo",
    3,
    bytes.fromhex("2cfef7627597e00b564975774ad728ef210706759fca6d64138c6dfc1cbf2cda"),
)


def test_the_worked_example_is_signed_and_opened_to_the_byte() -> None:
    assert sign(HEAD.text(), SIGNER).to_bytes().decode() == SIGNED
    assert open_checkpoint(SIGNED.encode(), SIGNER.verifier) == HEAD


def test_a_second_signature_beside_ours_changes_nothing() -> None:
    witness = Signer("rssi.example/w1", bytes(range(32, 64)))
    signatures = (*sign(HEAD.text(), SIGNER).signatures, *sign("x\n", witness).signatures)
    note = Note(HEAD.text(), signatures).to_bytes()
    assert open_checkpoint(note, SIGNER.verifier) == HEAD


def test_a_checkpoint_of_another_origin_is_refused_though_our_key_signed_it() -> None:
    note = sign(GOOD, SIGNER).to_bytes()
    with pytest.raises(VerificationError, match="is of log example"):
        open_checkpoint(note, SIGNER.verifier)


def test_an_edited_size_is_refused() -> None:
    with pytest.raises(VerificationError):
        open_checkpoint(SIGNED.replace("\n3\n", "\n2\n").encode(), SIGNER.verifier)


def test_parse_is_the_inverse_of_text() -> None:
    assert Checkpoint.parse(GOOD) == Checkpoint("example.org/log", 42, bytes(32))
    assert Checkpoint.parse(GOOD).text() == GOOD
    assert Checkpoint.parse(empty("o").text()) == empty("o")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD[:-1], id="no final newline"),
        pytest.param(f"\n42\n{ROOT}\n", id="no origin"),
        pytest.param(f"a b\n42\n{ROOT}\n", id="origin of two words"),
        pytest.param(GOOD + "extra\n", id="extension line"),
        pytest.param(f"o\n-5\n{ROOT}\n", id="negative size"),
        pytest.param(f"o\n0\n{ROOT}\n", id="empty tree with a root of its own"),
        pytest.param(f"o\n{2**63}\n{ROOT}\n", id="size above the limit"),
        pytest.param(f"o\n{'9' * 5000}\n{ROOT}\n", id="size of 5000 digits"),
        pytest.param(f"o\n 4_2 \n{ROOT}\n", id="size that int() would accept"),
        pytest.param(f"o\n042\n{ROOT}\n", id="leading zero"),
        pytest.param(f"o\n+42\n{ROOT}\n", id="sign"),
        pytest.param(f"o\n٤\n{ROOT}\n", id="digit that is not ASCII"),
        pytest.param(f"o\nten\n{ROOT}\n", id="size in words"),
        pytest.param("o\n4\neA==\n", id="short hash"),
        pytest.param("o\n4\n!!!\n", id="not base64"),
        pytest.param(f"o\n4\n{ROOT[:-2]}B=\n", id="base64 with stray bits"),
        pytest.param(f"o\n4\n{ROOT[:-1]}\n", id="base64 without padding"),
        pytest.param(GOOD.replace("\n", "\r\n"), id="CRLF"),
    ],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(FormatError):
        Checkpoint.parse(text)
