from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from appliance.console.trail.histogram import (
    COUNTED,
    DAYS_MAX,
    HEIGHT,
    WIDTH,
    days_of,
    edges,
    histogram,
)
from appliance.console.trail.search import Query

PARIS = ZoneInfo("Europe/Paris")
DAY = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("first", "last", "count"),
    [
        (DAY, DAY, 96),
        (date(2026, 10, 25), date(2026, 10, 25), 100),
        (date(2026, 3, 29), date(2026, 3, 29), 92),
        (date(2026, 11, 17), DAY, 7 * 24),
        (date(2026, 10, 20), DAY, 35),
    ],
    ids=["a day", "of 25 hours", "of 23 hours", "a week", "a month"],
)
def test_bars_cover_the_period_without_a_gap(first: date, last: date, count: int) -> None:
    at = edges(first, last, PARIS)
    assert len(at) == count + 1
    assert at[0].astimezone(PARIS).date() == first
    assert at[-1].astimezone(PARIS).date() == last + timedelta(days=1)
    assert at == sorted(set(at))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), (DAY, DAY)),
        (Query(since=date(2026, 11, 1), until=date(2026, 11, 2)),) * 1
        + ((date(2026, 11, 1), date(2026, 11, 2)),),
        (Query(since=date(2026, 11, 1)), (date(2026, 11, 1), DAY)),
        (Query(until=date(2026, 11, 1)), (date(2026, 10, 2), date(2026, 11, 1))),
        (Query(since=date(2026, 12, 1)), (date(2026, 12, 1), date(2026, 12, 1))),
    ],
    ids=["today", "both", "since", "until", "to come"],
)
def test_the_period_drawn_is_the_one_asked_for(
    query: Query, expected: tuple[date, date]
) -> None:
    assert days_of(query, DAY) == expected


def test_of_a_long_period_the_end_is_drawn() -> None:
    first, last = days_of(Query(since=date(2020, 1, 1), until=DAY), DAY)
    assert last == DAY
    assert (last - first).days + 1 == DAYS_MAX


def test_bars_are_as_high_as_their_counts() -> None:
    drawn = histogram(edges(DAY, DAY, PARIS), {1: 2, 5: 4, 96: 1})
    assert drawn.total == 7
    assert drawn.whole
    assert drawn.highest is drawn.bars[4]
    assert drawn.bars[4].height == HEIGHT - 1
    assert drawn.bars[0].height == (HEIGHT - 1) / 2
    assert all(bar.y + bar.height == pytest.approx(HEIGHT, abs=0.02) for bar in drawn.bars)
    assert drawn.bars[-1].x + drawn.bars[-1].width < WIDTH


def test_nothing_has_no_highest_bar_and_too_much_is_said() -> None:
    at = edges(DAY, DAY, PARIS)
    assert histogram(at, {}).highest is None
    assert not histogram(at, {1: COUNTED}).whole
    assert histogram(edges(DAY - timedelta(days=9), DAY, PARIS), {}).daily
