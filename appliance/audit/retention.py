"""How long contents have to be kept, and may be. Pure."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

MONTHS = (6, 12, 36, 60)  # what a site may choose
FLOOR_MONTHS = 6  # AI Act, articles 19 and 26(6)
_MICRO = 1_000_000


def before(at: int, months: int) -> int:
    """Return the time that many months earlier, microseconds since 1970.

    The day of a month that has it not is its last one, as PostgreSQL counts.
    """
    now = datetime.fromtimestamp(at / _MICRO, UTC)
    year, month = divmod(now.year * 12 + now.month - 1 - months, 12)
    for day in range(now.day, now.day - 4, -1):
        try:
            earlier = now.replace(year=year, month=month + 1, day=day)
        except ValueError:
            continue
        return int(earlier.timestamp()) * _MICRO + now.microsecond
    raise AssertionError("a month has 28 days")


def join(
    ranges: Iterable[tuple[int, int]], apart: Callable[[int, int], bool]
) -> list[tuple[int, int]]:
    """Return ranges in order, those joined between which nothing is left.

    Args:
        ranges: From the first record to before the end; they may overlap.
        apart: Tells whether something is left from a record to before another one.
    """
    joined: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if joined and (first <= joined[-1][1] or not apart(joined[-1][1], first)):
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((first, end))
    return joined
