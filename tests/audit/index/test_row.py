import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from appliance.audit.event import TYPES, Kind, fact
from appliance.audit.index.row import (
    COLUMNS,
    MISSING,
    OUTCOMES,
    SLICE,
    SURPLUS,
    Slice,
    first_difference,
    in_a_row,
    moment,
    read,
    slices,
)
from appliance.audit.tree import leaf_hash
from appliance.errors import FormatError
from tests.audit.index.copies import ALICE, stored
from tests.audit.logs import completion, event_id, intent, leaf


def test_a_row_holds_the_words_of_a_search_and_both_digests() -> None:
    one = leaf(5, fact(Kind.AUTHZ_DENIED, ALICE, event_id(1, "d"), reason="CM-DRT-01"))
    row = read(one)

    assert (row.idx, row.subject, row.type) == (5, "authz", "authz.denied")
    assert (row.actor, row.code, row.outcome) == (ALICE, "CM-DRT-01", "refused")
    assert row.at == datetime(2026, 11, 23, 8, 0, 0, 100_000, tzinfo=UTC)
    assert row.leaf_hash == leaf_hash(one)
    assert row.digest == hashlib.sha256(one).digest()


def test_a_request_is_named_by_intent_and_end() -> None:
    begun, ended = read(leaf(0, intent(1))), read(leaf(1, completion(1)))

    assert begun.request == ended.request == event_id(1, "r")
    assert (begun.outcome, ended.outcome) == (None, "ok")
    assert begun.object == "extraits"


def test_a_name_is_kept_as_it_is_searched_for() -> None:
    one = fact(Kind.RAG_OPEN, ALICE, event_id(1, "o"), document="Élan-12")
    assert read(leaf(0, one)).object == "élan-12"


def test_no_row_holds_what_postgresql_cannot() -> None:
    one = fact(Kind.RAG_OPEN, "a\0b", event_id(1, "o"), document="x\0")
    row = read(leaf(0, one))
    assert (row.actor, row.object) == ("a�b", "x�")


def test_a_type_of_a_later_release_is_read_too() -> None:
    text = leaf(0, fact(Kind.TOOL_CALL, ALICE, event_id(1, "t"))).replace(
        b"casemate.tool.call.v1", b"casemate.tool.dream.v2"
    )
    assert read(text).type == "tool.dream.v2"


@pytest.mark.parametrize("at", [-(2**60), 2**62], ids=["before any", "after any"])
def test_a_clock_out_of_all_bounds_is_kept_at_the_nearest(at: int) -> None:
    assert 1970 <= moment(at).year <= 9999


def test_outcomes_are_of_types_that_exist() -> None:
    short = {name.removeprefix("casemate.").removesuffix(".v1") for name in TYPES}
    assert OUTCOMES.keys() <= short


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"[]", b'{"at":1,"index":0}', b"\xff", msgspec.json.encode({"at": "x"})],
    ids=["empty", "no field", "a list", "no event", "no text", "a text for a number"],
)
def test_what_is_no_leaf_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        read(text)


def test_bounds_of_the_clock_are_kept_by_run_whatever_the_clock_did() -> None:
    rows = [read(one) for one in stored()]
    back = replace(rows[1], at=rows[1].at - timedelta(hours=1))
    later = replace(rows[2], idx=SLICE)

    assert slices([rows[0], back, later]) == [
        Slice(0, back.at, rows[0].at),
        Slice(1, later.at, later.at),
    ]


def test_the_first_difference_names_row_and_columns() -> None:
    rows = [read(one) for one in stored()]
    edited = [*rows]
    edited[6] = replace(rows[6], actor="somebody else")
    edited[4] = replace(rows[4], outcome=None, digest=bytes(32))
    found = first_difference(rows, edited)

    assert first_difference(rows, rows) is None
    assert found is not None
    assert (found.idx, found.columns) == (4, ("outcome", "digest"))


@pytest.mark.parametrize("name", COLUMNS)
def test_no_column_can_be_edited_unseen(name: str) -> None:
    row = read(stored()[4])
    edited: dict[str, object] = {name: "edited"}
    found = first_difference([row], [replace(row, **edited)])  # type: ignore[arg-type]
    assert found is not None
    assert found.columns == (name,)


def test_a_row_too_few_or_too_many_is_a_difference() -> None:
    rows = [read(one) for one in stored()]
    short, long = first_difference(rows, rows[:-1]), first_difference(rows[:-1], rows)

    assert short is not None
    assert long is not None
    assert (short.idx, short.columns) == (8, MISSING)
    assert (long.idx, long.columns) == (8, SURPLUS)


def test_leaves_have_to_follow_one_another() -> None:
    all_of_them = stored()
    assert [row.idx for row in in_a_row(all_of_them[2:], 2)] == list(range(2, 9))
    with pytest.raises(FormatError):
        list(in_a_row(all_of_them[2:], 3))
