"""How many events when: bars of one period, and the table that says the same. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from appliance.console.trail.search import Query, midnight

COUNTED = 20_000  # events at most: never a count over all
DAYS_MAX = 92  # bars of one day each
WIDTH, HEIGHT = 240.0, 28.0  # of the drawing
_WEEK = 7  # days drawn by the hour


@dataclass(frozen=True, slots=True)
class Bar:
    """One part of the period."""

    at: datetime
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars of equal time, from `start` to before `end`."""

    start: datetime
    end: datetime
    daily: bool  # a bar is a day
    bars: tuple[Bar, ...]
    whole: bool  # false: the latest `COUNTED` events only

    @property
    def total(self) -> int:
        """Return how many events the bars show."""
        return sum(bar.count for bar in self.bars)

    @property
    def highest(self) -> Bar | None:
        """Return the bar of most events; of several the first."""
        top = max(self.bars, key=lambda bar: bar.count)
        return top if top.count else None


def days_of(query: Query, today: date) -> tuple[date, date]:
    """Return the first and the last day that are drawn: those asked for, or today.

    A longer period than is drawn keeps its end.
    """
    last = query.until or (today if query.since is None else max(today, query.since))
    first = query.since or (last if query.until is None else last - timedelta(days=30))
    return max(first, last - timedelta(days=DAYS_MAX - 1)), last


def edges(first: date, last: date, zone: ZoneInfo) -> list[datetime]:
    """Return where bars begin, and where the last one ends: quarters, hours or days."""
    start, end = midnight(first, zone), midnight(last + timedelta(days=1), zone)
    days = (last - first).days + 1
    if days > _WEEK:
        return [midnight(first + timedelta(days=n), zone) for n in range(days + 1)]
    step = timedelta(minutes=15 if days == 1 else 60)
    count = int((end - start) / step)  # days of 23 and 25 hours too
    return [start + step * n for n in range(count + 1)]


def histogram(at: list[datetime], counts: Mapping[int, int]) -> Histogram:
    """Return the bars between edges.

    Args:
        at: Edges, one more than there are bars.
        counts: Number of the bar, from 1, to events.
    """
    top, width = max(counts.values(), default=0), WIDTH / (len(at) - 1)
    bars = [
        _bar(begin, place * width, width, counts.get(place + 1, 0), top)
        for place, begin in enumerate(at[:-1])
    ]
    total = sum(counts.values())
    daily = at[1] - at[0] > timedelta(hours=2)
    return Histogram(at[0], at[-1], daily, tuple(bars), total < COUNTED)


def _bar(at: datetime, x: float, width: float, count: int, top: int) -> Bar:
    height = (HEIGHT - 1) * count / top if count else 0.4
    place = (round(v, 2) for v in (x, HEIGHT - height, width * 0.72, height))
    return Bar(at.astimezone(UTC), count, *place)
