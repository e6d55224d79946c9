"""Lines as a collector reads them: RFC 5424 by the letter, the leaf to the byte."""

import base64
import json
import re
from collections.abc import Mapping

import pytest

from appliance.audit.cosignature import WitnessKey
from appliance.audit.event import EVENT_BYTES_MAX, FACTS, Fact, Kind
from appliance.audit.forward.syslog import (
    LINE_BYTES_MAX,
    Voice,
    checkpoint_line,
    framed,
    index_of,
    leaf_lines,
)
from appliance.audit.key import Signer
from appliance.audit.note import Note, sign
from appliance.audit.tree import leaf_hash
from appliance.errors import FormatError
from tests.audit import logs
from tests.audit.forward.collectors import Line

VOICE = Voice("casemate.site.internal", logs.ORIGIN)
# RFC 5424, 6: PRI, version, time, host, application, process, message, data, text.
GRAMMAR = re.compile(
    rb"<110>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z|-) casemate\.site\.internal "
    rb"casemate-log - "
    rb"[!-~]{1,32} \[casemate@\d+( [a-z]{1,32}=\"([^\"\\\]]|\\[\"\\\]])*\")+\] (.+)\Z",
    re.DOTALL,
)


def change(actor: str, name: str, data: Mapping[str, str | int]) -> Fact:
    return FACTS[Kind.CONFIG_CHANGE](actor=actor, id=name, data=dict(data))


def leaf(index: int, **data: str | int) -> bytes:
    return logs.leaf(index, change("rssi", f"config-{index:016}", data))


def one(stored: bytes, *, again: bool = False) -> Line:
    (line,) = leaf_lines(VOICE, stored, again=again)
    assert GRAMMAR.match(line), line
    return Line(line)


def widest() -> bytes:
    """Return the longest leaf that the log takes, of letters of three bytes."""
    data = {f"v{n:02}": "€" * 60 for n in range(32)}
    stored = logs.leaf(10**15, change("€" * 60, "e" * 64, data))
    while len(stored) < EVENT_BYTES_MAX:
        name = next(name for name in sorted(data) if len(data[name]) == 60)
        data[name] += "€" * 60 if len(stored) < EVENT_BYTES_MAX - 240 else "x" * 7
        stored = logs.leaf(10**15, change("€" * 60, "e" * 64, data))
    return stored


def test_the_line_of_a_leaf_names_it_and_holds_its_bytes() -> None:
    stored = logs.leaf(41, logs.intent(7))
    line = one(stored)
    assert line.values == {
        "log": logs.ORIGIN, "idx": "41", "type": "casemate.llm.request.v1",
        "leaf": base64.b64encode(leaf_hash(stored)).decode(),
    }  # fmt: skip
    assert line.body == stored
    assert line.raw.split(b" ")[1] == b"2026-11-23T08:00:00.820000Z"
    assert line.raw.split(b" ")[5] == b"llm.request"


def test_a_line_that_may_have_been_sent_before_says_so() -> None:
    assert one(leaf(1), again=True).values["again"] == "1"
    assert "again" not in one(leaf(1)).values


def test_a_leaf_longer_than_a_line_comes_in_parts_that_are_text_and_join_to_its_bytes() -> None:
    stored = widest()
    lines = leaf_lines(VOICE, stored)
    assert len(stored) > 3_800
    assert len(lines) == 2
    assert all(len(line) <= LINE_BYTES_MAX and GRAMMAR.match(line) for line in lines)
    parts = [Line(line) for line in lines]
    assert [part.values["part"] for part in parts] == ["1/2", "2/2"]
    assert len({part.values["leaf"] for part in parts}) == 1
    assert b"".join(part.body for part in parts) == stored
    assert all(part.body.decode() for part in parts)


def test_no_part_ends_inside_a_letter() -> None:
    for shift in range(6):
        data: dict[str, str | int] = {f"v{n:02}": "€" * 60 for n in range(18)}
        stored = logs.leaf(1, change("x" * shift, "e" * 64, data | {"w": "€" * 130}))
        lines = leaf_lines(VOICE, stored)
        assert len(lines) == 2
        assert [Line(line).body.decode() for line in lines]
        assert b"".join(Line(line).body for line in lines) == stored


def test_no_leaf_of_any_length_makes_a_line_that_is_too_long() -> None:
    for size in range(2_800, 3_700, 13):
        data = {f"v{n:02}": "x" * 200 for n in range(size // 210)} | {"w": "y" * (size % 200)}
        stored = leaf(size, **data)
        lines = leaf_lines(VOICE, stored, again=True)
        assert all(len(line) <= LINE_BYTES_MAX for line in lines)
        assert b"".join(Line(line).body for line in lines) == stored


def test_what_could_end_the_structured_data_is_escaped() -> None:
    voice = Voice("h", 'a"b]c\\d', 41058)
    (line,) = leaf_lines(voice, leaf(1))
    assert rb'[casemate@41058 log="a\"b\]c\\d" idx="1"' in line


def test_a_clock_beyond_all_years_keeps_no_line_back() -> None:
    stored = leaf(1).replace(b'"at":1795', b'"at":99991795', 1)
    (line,) = leaf_lines(VOICE, stored)
    assert line.startswith(b"<110>1 - casemate")


def test_what_is_no_leaf_makes_no_line() -> None:
    assert index_of(leaf(12)) == 12
    for data in (b"", b"{}", b'{"at":1,"event":{},"index":2}', b"\xff"):
        with pytest.raises(FormatError):
            index_of(data)
        with pytest.raises(FormatError):
            leaf_lines(VOICE, data)


def note(witnesses: int) -> bytes:
    text = f"{logs.ORIGIN}\n7\n{base64.b64encode(bytes(32)).decode()}\n"
    signed = sign(text, Signer(logs.ORIGIN, logs.SEED))
    more = [WitnessKey("w" * 230 + str(n), bytes(32)).cosign(text, 1) for n in range(witnesses)]
    return Note(text, (*signed.signatures, *more)).to_bytes()


def test_the_line_of_a_checkpoint_gives_the_note_back_to_the_byte() -> None:
    line = checkpoint_line(VOICE, note(1), logs.START)
    assert GRAMMAR.match(line)
    read = Line(line)
    assert read.values == {
        "log": logs.ORIGIN, "size": "7", "root": base64.b64encode(bytes(32)).decode(),
        "type": "checkpoint",
    }  # fmt: skip
    assert json.loads(read.body)["note"].encode() == note(1)


def test_of_too_many_cosignatures_the_first_ones_stay_and_the_note_is_one() -> None:
    line = checkpoint_line(VOICE, note(15), logs.START)
    assert len(line) <= LINE_BYTES_MAX
    kept = Note.parse(json.loads(Line(line).body)["note"].encode())
    assert kept.signatures == Note.parse(note(15)).signatures[: len(kept.signatures)]
    kept.verify(Signer(logs.ORIGIN, logs.SEED).verifier)
    assert len(kept.signatures) > 5
    with pytest.raises(FormatError):
        checkpoint_line(VOICE, b"no note", logs.START)


def test_the_frame_counts_bytes_and_not_letters() -> None:
    assert framed("é".encode()) == "2 é".encode()
