"""The four words between the console and the reader."""

import msgspec
import pytest

from appliance.audit.reading.frame import Note, Open, Pending, Question

_decode = msgspec.json.Decoder(Question).decode


@pytest.mark.parametrize("question", [Note(3), Pending(), Open(7)], ids=str)
def test_a_question_survives_the_way(question: Question) -> None:
    assert _decode(msgspec.json.encode(question)) == question


@pytest.mark.parametrize(
    "body",
    [
        b'{"op":"open"}', b'{"op":"open","record":-1}', b'{"op":"open","record":"7"}',
        b'{"op":"open","record":7,"force":true}', b'{"op":"read","record":7}', b"[]",
    ],
)  # fmt: skip
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        _decode(body)
