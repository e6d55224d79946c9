"""Periods of budgets: day, week, month and total, in the time zone of the site.

A period is named by the ordinal of its first local day (`date.toordinal`), so that a day of 23
or 25 hours is one day. Weeks begin on Monday. Pure: the moment is an argument.
"""

from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from appliance.errors import FormatError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Starts = tuple[int, int, int, int]  # first days of day, week, month; 0 for the total


class Period(IntEnum):
    """How long a limit counts. The value is the place in `Starts`."""

    DAY = 0
    WEEK = 1
    MONTH = 2
    TOTAL = 3

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the period that a `budget.change` names.

        Raises:
            FormatError: There is none of that name.
        """
        try:
            return cls[name.upper()]
        except KeyError as exc:
            raise FormatError(f"no period is called {name!r}") from exc


def starts_of(day: date) -> Starts:
    """Return the first days of the periods in which `day` is."""
    today = day.toordinal()
    return today, today - day.weekday(), day.replace(day=1).toordinal(), 0


class Calendar:
    """Turns moments into periods. Remembers the last local day: moments come in crowds."""

    def __init__(self, zone: str) -> None:
        """Read the zone.

        Raises:
            FormatError: This machine knows no such zone.
        """
        try:
            self._zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise FormatError(f"no time zone is called {zone!r}") from exc
        self._from = self._until = 0  # microseconds: [from, until) is the remembered day
        self._starts: Starts = 0, 0, 0, 0

    def starts(self, at: int) -> Starts:
        """Return the periods of a moment.

        Args:
            at: Microseconds since 1970, UTC.
        """
        if not self._from <= at < self._until:
            self._look_up(at)
        return self._starts

    def _look_up(self, at: int) -> None:
        moment = _EPOCH + timedelta(microseconds=at)
        day = moment.astimezone(self._zone).date()
        self._from, self._until = self._midnight(day), self._midnight(day + timedelta(days=1))
        self._starts = starts_of(day)

    def _midnight(self, day: date) -> int:
        local = datetime(day.year, day.month, day.day, tzinfo=self._zone)
        return (local - _EPOCH) // timedelta(microseconds=1)
