from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import FormatError
from appliance.ledger.period import Calendar, Period, starts_of

PARIS = "Europe/Paris"


def at(text: str) -> int:
    """Microseconds of a moment in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        pytest.param("2026-11-22T22:59:59", date(2026, 11, 22), id="last second, winter"),
        pytest.param("2026-11-22T23:00:00", date(2026, 11, 23), id="midnight, winter"),
        pytest.param("2026-07-14T21:59:59", date(2026, 7, 14), id="last second, summer"),
        pytest.param("2026-07-14T22:00:00", date(2026, 7, 15), id="midnight, summer"),
        pytest.param("2026-03-28T23:00:00", date(2026, 3, 29), id="a day of 23 hours begins"),
        pytest.param("2026-03-29T21:59:59", date(2026, 3, 29), id="it ends an hour early"),
        pytest.param("2026-10-25T22:59:59", date(2026, 10, 25), id="a day of 25 hours ends"),
        pytest.param("1969-12-31T22:59:59", date(1969, 12, 31), id="before 1970"),
    ],
)
def test_a_day_is_that_of_the_site(moment: str, day: date) -> None:
    assert Calendar(PARIS).starts(at(moment)) == starts_of(day)


def test_periods_are_named_by_their_first_day() -> None:
    day, week, month, total = starts_of(date(2026, 12, 3))  # a Thursday
    assert date.fromordinal(day) == date(2026, 12, 3)
    assert date.fromordinal(week) == date(2026, 11, 30)
    assert date.fromordinal(month) == date(2026, 12, 1)
    assert total == 0


@given(st.lists(st.integers(0, 2**52), min_size=1, max_size=20))
def test_what_is_remembered_of_one_moment_does_not_change_the_next(moments: list[int]) -> None:
    calendar = Calendar(PARIS)
    assert [calendar.starts(m) for m in moments] == [Calendar(PARIS).starts(m) for m in moments]


@given(st.integers(0, 2**52), st.sampled_from(["Europe/Paris", "Pacific/Apia", "UTC"]))
def test_the_day_equals_the_one_of_the_standard_library(moment: int, zone: str) -> None:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=moment)
    local = when.astimezone(ZoneInfo(zone)).date()
    assert Calendar(zone).starts(moment) == starts_of(local)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd"])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(FormatError, match="time zone"):
        Calendar(zone)


def test_a_period_has_one_name() -> None:
    assert [Period.named(name) for name in ("day", "week", "month", "total")] == list(Period)
    with pytest.raises(FormatError, match="year"):
        Period.named("year")
