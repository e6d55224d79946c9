from collections.abc import Callable

import pytest

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.cosignature import TIME_MAX, Cosigner, WitnessKey, message
from appliance.audit.key import Signer
from appliance.audit.note import Note, Signature, sign
from appliance.audit.tree import Frontier
from appliance.errors import FormatError, VerificationError
from tests.audit import logs

# Notes of the design, 2.8: every byte is fixed.
WITNESS = WitnessKey("rssi.example/w1", bytes(range(32, 64)))
VKEY = "rssi.example/w1+214ee5b6+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
AT = 1_767_225_600
NOTE = """audit.example/demo
3
LP73YnWX4AtWSXV3Stco7yEHBnWfym1kE4xt/By/LNo=

— audit.example/demo ZAd0ihsgLxfv6zsiwV0b0faYubPkRz912uUkTcDrnkD9ZDj3R0OhQTDiPRzR5glWxXiicQ\
V/SlDkbGUzF6ECq7FypwY=
— rssi.example/w1 IU7ltgAAAABpVbkADjkLrmGVRyLQXCrkF9Y7sZxk+dGdgfY+HP+DyF2CiEi312vSMVKdCEgfH9\
s2bWNt4YvcCGGF+lpZwqsGfgdqBw==
"""


def demo() -> str:
    frontier = Frontier()
    for entry in (b'{"n":0}', b'{"n":1}', b'{"n":2}'):
        frontier.add(entry)
    return Checkpoint("audit.example/demo", 3, frontier.root()).text()


def test_the_vector_comes_out_byte_for_byte() -> None:
    assert WITNESS.cosigner.text() == VKEY
    signed = sign(demo(), Signer(logs.ORIGIN, logs.SEED))
    cosigned = Note(signed.text, (*signed.signatures, WITNESS.cosign(signed.text, AT)))
    assert cosigned.to_bytes().decode() == NOTE
    assert len(cosigned.to_bytes()) == 308


def test_the_time_of_a_cosignature_is_the_last_one_that_the_witness_gave() -> None:
    note = Note.parse(NOTE.encode())
    assert WITNESS.cosigner.time_of(note) == AT
    later = Note(note.text, (*note.signatures, WITNESS.cosign(note.text, AT + 60)))
    assert WITNESS.cosigner.time_of(later) == AT + 60
    assert WITNESS.cosigner.time_of(sign(note.text, logs.SIGNER)) is None


def test_another_witness_of_the_same_name_says_nothing() -> None:
    note = Note.parse(NOTE.encode())
    assert WitnessKey("rssi.example/w1", bytes(32)).cosigner.time_of(note) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda data: data[:-1], id="cut"),
        pytest.param(lambda data: data + b"\0", id="longer"),
        pytest.param(lambda data: data[:7] + bytes([data[7] ^ 1]) + data[8:], id="other time"),
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), id="other signature"),
        pytest.param(lambda data: b"\xff" + data[1:], id="time out of range"),
        pytest.param(lambda _: bytes(8), id="time alone"),
    ],
)
def test_a_false_line_of_a_known_witness_refuses_the_note(
    data: Callable[[bytes], bytes],
) -> None:
    note = Note.parse(NOTE.encode())
    line = note.signatures[1]
    false = Signature(line.name, line.key_id, data(line.data))
    with pytest.raises(VerificationError):
        WITNESS.cosigner.time_of(Note(note.text, (note.signatures[0], false)))
    with pytest.raises(VerificationError):  # beside a true one too
        WITNESS.cosigner.time_of(Note(note.text, (*note.signatures, false)))


def test_the_largest_time_is_signed_and_read_back() -> None:
    line = WITNESS.cosign("text\n", TIME_MAX)
    assert WITNESS.cosigner.verify(b"text\n", line.data) == TIME_MAX


def test_the_signature_of_a_text_is_not_a_cosignature_of_it() -> None:
    seed = bytes(range(32, 64))
    plain = Signer("rssi.example/w1", seed).sign(b"text\n")
    with pytest.raises(VerificationError):
        WITNESS.cosigner.verify(b"text\n", bytes(8) + plain)
    assert message(b"text\n", 7) == b"cosignature/v1\ntime 7\ntext\n"


def test_a_key_of_another_type_is_no_witness() -> None:
    assert Cosigner.parse(VKEY + "\n") == WITNESS.cosigner
    with pytest.raises(FormatError):
        Cosigner.parse(logs.VERIFIER_KEY)
