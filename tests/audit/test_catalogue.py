"""What the list of events says; `tests/test_trail_table.py` holds it against the code."""

import pytest

from appliance.audit import catalogue
from appliance.audit.verdict import Language


def test_a_field_is_documented_by_its_name_or_by_a_pattern() -> None:
    beat = "casemate.audit.heartbeat.v1"
    assert catalogue.is_documented(beat, "every")
    assert catalogue.is_documented(beat, "requests_3")
    assert not catalogue.is_documented(beat, "prompt")


def test_the_fields_of_a_request_are_those_of_its_struct() -> None:
    fields = catalogue.entries()["casemate.llm.request.v1"].fields
    assert {"model", "reserve", "stream"} <= set(fields)
    assert not {"actor", "id", "request", "label"} & set(fields)


@pytest.mark.parametrize("language", list(Language))
def test_each_type_has_one_row_in_both_languages(language: Language) -> None:
    page = catalogue.page(language)
    rows = [line for line in page.splitlines() if line.startswith("| `casemate.")]
    assert len(rows) == len(catalogue.entries())
    assert all(row.count("|") == 6 for row in rows)
    assert "| casemate" not in page
