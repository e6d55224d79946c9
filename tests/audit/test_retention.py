from datetime import UTC, datetime

import pytest

from appliance.audit.retention import before, join


@pytest.mark.parametrize(
    ("now", "months", "then"),
    [
        ("2026-11-23T12:30:00", 6, "2026-05-23T12:30:00"),
        ("2026-11-23T12:30:00", 12, "2025-11-23T12:30:00"),
        ("2026-11-23T12:30:00", 60, "2021-11-23T12:30:00"),
        ("2026-05-31T00:00:00", 6, "2025-11-30T00:00:00"),
        ("2024-08-31T00:00:00", 6, "2024-02-29T00:00:00"),
        ("2023-08-29T00:00:00", 6, "2023-02-28T00:00:00"),
        ("2026-01-15T00:00:00", 1, "2025-12-15T00:00:00"),
    ],
)
def test_months_are_those_of_the_calendar(now: str, months: int, then: str) -> None:
    at, expected = (datetime.fromisoformat(t).replace(tzinfo=UTC) for t in (now, then))
    found = before(int(at.timestamp() * 1_000_000) + 7, months)
    assert found == int(expected.timestamp() * 1_000_000) + 7


def test_ranges_are_joined_where_nothing_is_left_between() -> None:
    left = {15}

    def apart(first: int, end: int) -> bool:
        return any(first <= one < end for one in left)

    assert join([(8, 10), (0, 5), (3, 9)], apart) == [(0, 10)]
    assert join([(0, 5), (20, 30), (6, 8)], apart) == [(0, 8), (20, 30)]
    assert join([(0, 30), (2, 3)], apart) == [(0, 30)]
    assert join([], apart) == []
