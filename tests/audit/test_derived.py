"""Lines for other programs: short enough, one a record, and never a formula."""

import base64
import csv
import io
import json

import pytest

from appliance.audit.derived import (
    COLUMNS,
    CSV_HEADER,
    LINE_BYTES_MAX,
    cell,
    csv_line,
    json_line,
    moment,
)
from appliance.audit.event import FACTS, Event, Kind, Leaf, encode, fact
from appliance.audit.tree import leaf_hash
from tests.audit import logs


def digest(stored: bytes) -> bytes:
    return base64.b64encode(leaf_hash(stored))


def row(event: Event) -> dict[str, str]:
    leaf = Leaf.parse(logs.leaf(7, event))
    text = (CSV_HEADER + csv_line(leaf, digest(leaf.text()))).decode("utf-8-sig")
    header, cells = csv.reader(io.StringIO(text), delimiter=";")
    assert tuple(header) == COLUMNS
    return dict(zip(header, cells, strict=True))


def widest() -> Event:
    data: dict[str, str | int] = {f"field{n}": "é" * 104 for n in range(17)}
    event = FACTS[Kind.RAG_OPEN](actor="ada", id="fact-000000000001", data=data)
    assert 3_800 < len(encode(event)) <= 3_840
    return event


def test_a_line_of_json_holds_the_record_as_it_was_hashed() -> None:
    stored = logs.leaf(1234567, logs.intent(1))
    line = json_line(stored, digest(stored))
    assert json.loads(line)["idx"] == 1234567
    assert stored in line
    assert json.loads(line)["record"] == json.loads(stored)
    assert base64.b64decode(json.loads(line)["leaf"]) == leaf_hash(stored)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1


def test_a_longer_record_keeps_who_what_and_when_and_says_so() -> None:
    boot = "f3b0c2de-0000-4000-8000-000000000000"
    stored = Leaf(at=logs.START, boot=boot, event=widest(), index=3, mono=1, uid=880).text()
    line = json_line(stored, digest(stored))
    said = json.loads(line)
    assert len(line) <= LINE_BYTES_MAX
    assert said["truncated"] is True
    assert said["record"]["event"] == {
        "actor": "ada", "id": "fact-000000000001", "type": str(Kind.RAG_OPEN),
    }  # fmt: skip
    assert said["record"]["at"] == json.loads(stored)["at"]


def test_the_edge_of_the_length_is_the_length_itself() -> None:
    base = len(json_line(logs.leaf(3, _filled(1)), digest(b"")))
    exact = _filled(1 + LINE_BYTES_MAX - base)
    line = json_line(logs.leaf(3, exact), digest(b""))
    assert len(line) == LINE_BYTES_MAX
    assert b"truncated" not in line
    longer = json_line(logs.leaf(3, _filled(2 + LINE_BYTES_MAX - base)), digest(b""))
    assert b"truncated" in longer


def _filled(letters: int) -> Event:
    data: dict[str, str | int] = {
        f"field{n:02d}": "x" * min(200, max(0, letters - 200 * n)) for n in range(20)
    }
    return FACTS[Kind.RAG_OPEN](actor="ada", id="fact-000000000001", data=data)


def test_a_row_names_what_happened_and_keeps_the_rest_as_details() -> None:
    found = row(
        fact(Kind.AUTHZ_DENIED, "ada", "fact-000000000001", reason="CM-DRT-01", ip="::1")
    )
    assert (found["index"], found["actor"], found["reason"]) == ("7", "ada", "CM-DRT-01")
    assert found["type"] == "casemate.authz.denied.v1"
    assert json.loads(found["details"]) == {"data": {"ip": "::1"}}
    assert found["time"] == "2026-11-23T08:00:00.140000Z"
    ended = row(logs.completion(1))
    assert (ended["completion_tokens"], ended["prompt_tokens"], ended["status"]) == (
        "60", "240", "200",
    )  # fmt: skip
    assert json.loads(ended["details"])["spend"] == {"site": 300, "user:sub-of-agent": 300}


def test_data_never_hides_a_field_of_the_event() -> None:
    found = row(
        fact(Kind.RAG_OPEN, "ada", "fact-000000000001", label=2, model="x", outcome="y")
    )
    assert (found["label"], found["model"], found["outcome"]) == ("2", "x", "y")
    hidden = FACTS[Kind.RAG_OPEN](
        actor="ada", id="fact-000000000001", data={"actor": "eve", "type": "none"}
    )
    assert row(hidden)["actor"] == "ada"
    assert json.loads(row(hidden)["details"])["data"] == {"actor": "eve", "type": "none"}


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        " =1",
        "\t=1",
        "\r\n=cmd|' /C calc'!A0",
        "\uff1d1",
        "\u00a0=1",
    ],
)
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text).startswith("\"'")


def test_other_cells_stay_as_they_are_on_one_line() -> None:
    assert cell("a-b") == '"a-b"'
    assert cell('say "yes"; no') == '"say ""yes""; no"'
    assert cell("two\nlines\x00\u2028") == '"two lines  "'
    assert cell("") == '""'
    assert cell("   ") == '"   "'


def test_a_time_out_of_range_is_kept_as_a_number() -> None:
    assert moment(0) == "1970-01-01T00:00:00.000000Z"
    assert moment(2**63 - 1) == str(2**63 - 1)
    assert moment(-(2**62)) == str(-(2**62))
