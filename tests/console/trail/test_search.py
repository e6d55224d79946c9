from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from appliance.audit.index.row import OUTCOMES
from appliance.audit.index.row import read as row_of
from appliance.console.trail.search import (
    RESULTS,
    SUBJECTS,
    TYPE_NAMES,
    Query,
    name_in,
    read,
    terms,
    types_by_subject,
)
from appliance.errors import FormatError
from tests.audit.index.copies import ALICE, BOB, stored

PARIS = ZoneInfo("Europe/Paris")
ROWS = [row_of(one) for one in stored()]


def found(fields: dict[str, str], *people: str) -> list[int]:
    wanted = terms(read(fields), PARIS, people)
    return [row.idx for row in ROWS if wanted.match(row)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, list(range(9))),
        ({"q": "5"}, [5]),
        ({"q": "1 482"}, []),
        ({"q": "cm-drt-01"}, [5]),
        ({"q": ALICE}, [0, 5, 6]),
        ({"q": "r0000000000000001"}, [2, 3, 4]),
        ({"q": "NOTE-12"}, [6, 7]),
        ({"type": "llm"}, [2, 4]),
        ({"type": "llm.completion"}, [4]),
        ({"issue": "refused"}, [5]),
        ({"q": "note-12", "type": "rag.open"}, [6, 7]),
        ({"du": "2026-11-23", "au": "2026-11-23"}, list(range(9))),
        ({"du": "2026-11-24"}, []),
        ({"au": "2026-11-22"}, []),
    ],
    ids=str,
)
def test_what_is_asked_for_is_found_and_nothing_else(
    fields: dict[str, str], expected: list[int]
) -> None:
    assert found(fields) == expected


def test_a_name_stands_for_the_subjects_that_signed_in_under_it() -> None:
    assert name_in(Query("B.Bob")) == "b.bob"
    assert found({"q": "b.bob"}, BOB) == [1, 7, 8]
    assert name_in(Query("1 482")) == name_in(Query("CM-DRT-01")) == ""


def test_a_day_is_one_of_the_site() -> None:
    start, end = Query(since=date(2026, 11, 23), until=date(2026, 11, 23)).period(PARIS)
    assert start == datetime(2026, 11, 22, 23, tzinfo=UTC)
    assert end == datetime(2026, 11, 23, 23, tzinfo=UTC)


def test_days_in_disorder_are_put_in_order() -> None:
    query = read({"du": "2026-11-24", "au": "2026-11-20"})
    assert (query.since, query.until) == (date(2026, 11, 20), date(2026, 11, 24))


def test_an_address_holds_the_search_and_gives_it_back() -> None:
    query = read({"q": " l’été  &  après ", "type": "rag", "issue": "ok", "du": "2026-11-20"})
    assert query.words == "l’été & après"
    assert query.href(avant=7).endswith("&avant=7")
    assert read(query.fields()) == query
    assert Query().href() == "/journal"
    assert Query().empty


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "llm.dream"}, {"issue": "perhaps"}, {"q": "x" * 121}, {"q": "a\0"},
        {"du": "hier"}, {"du": "2026-13-01"}, {"au": "9999-01-01"}, {"du": "0001-01-01"},
    ],
    ids=str,
)  # fmt: skip
def test_what_the_form_does_not_give_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(FormatError):
        read(fields)


def test_a_number_past_every_index_finds_nothing() -> None:
    assert found({"q": "9" * 60}) == []


def test_each_type_has_a_subject_with_a_name_and_each_outcome_too() -> None:
    assert {name for names in types_by_subject().values() for name in names} == TYPE_NAMES
    assert {name.split(".")[0] for name in TYPE_NAMES} == SUBJECTS.keys()
    assert set(OUTCOMES.values()) == RESULTS.keys()
