"""The list that goes to the authority: same list, same bytes; no person, no content."""

import hashlib
from datetime import UTC, datetime

from appliance.rag.elimination.bordereau import Line, Proposal, digest_of, text_of, visa_data


def at(month: int, day: int) -> datetime:
    return datetime(2025, month, day, 8, 30, tzinfo=UTC)


LISTED = Proposal(
    3, datetime(2026, 11, 23, 14, 2, tzinfo=UTC), 12,
    (
        Line("2025-09", 5, 11, 2, at(9, 1), at(9, 30)),
        Line("2025-10", 14, 42, 9, at(10, 2), at(10, 31)),
    ),
)  # fmt: skip


def test_the_text_gives_ranges_counts_and_dates() -> None:
    text = text_of(LISTED, "Préfecture | essai")
    assert "# Bordereau d’élimination nº 3\n" in text
    assert "Site : Préfecture essai\n" in text
    assert "Proposé le 23/11/2026 à 14:02 (UTC)" in text
    assert "| 2025-09 | 5 à 10 | 2 | 01/09/2025 | 30/09/2025 |\n" in text
    assert "| 2025-10 | 14 à 41 | 9 | 02/10/2025 | 31/10/2025 |\n" in text
    assert "| **Total** | 5 à 41 | **11** | | |\n" in text


def test_the_record_of_the_visa_holds_what_was_read() -> None:
    text = text_of(LISTED, "Essai")
    assert visa_data(LISTED, "Essai", "AD 2026-117") == {
        "gate": "elimination", "list": 3, "first": 5, "end": 42, "count": 11,
        "sha256": hashlib.sha256(text.encode()).hexdigest(), "reference": "AD 2026-117",
    }  # fmt: skip
    assert digest_of(text_of(LISTED, "Autre")) != digest_of(text)
