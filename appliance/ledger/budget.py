"""Budgets: their limits, and what counts against them.

A name is such as `site`, `team:/equipes/x`, `user:<sub>`, `key:<id>`. A budget without a limit
of its own follows the default of its family (`team:*`, `user:*`, `key:*`).

Each budget counts per day, week, month and in total, so that a change of its period is exact at
once. Clocks may go back: the counts of the two latest periods of a kind are kept, and older
ones for as long as something is reserved in them.
"""

from functools import lru_cache

import msgspec

from appliance.errors import ApplianceError
from appliance.ledger.period import Period, Starts

_KEPT = 2  # periods of one kind


class BudgetError(ApplianceError):
    """A hard limit would be passed."""

    code = "CM-BUD-02"


class Limit(msgspec.Struct, frozen=True):
    """What a budget may not pass. Only reported when it is soft."""

    amount: int  # tokens in a period
    period: Period
    hard: bool


class Count(msgspec.Struct):
    """What counts in one period, in tokens."""

    used: int = 0
    reserved: int = 0


NOTHING = Count()  # never changed


Counts = tuple[dict[int, Count], dict[int, Count], dict[int, Count], dict[int, Count]]


class Stored(msgspec.Struct, array_like=True):
    """A budget in a snapshot."""

    own: Limit | None
    counts: Counts


class Budget:
    """Its own limit, if it has one, and its counts: for each kind of period, by first day.

    The counts of the current periods are at hand: three budgets are reserved and settled for
    each request, and a calendar returns the same tuple all day.
    """

    __slots__ = ("_now", "_starts", "counts", "own")

    def __init__(self, own: Limit | None = None, counts: Counts | None = None) -> None:
        self.own = own
        self.counts: Counts = counts or ({}, {}, {}, {})
        self._starts: Starts | None = None
        self._now = NOTHING, NOTHING, NOTHING, NOTHING

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Budget):
            return NotImplemented
        return (self.own, self.counts) == (other.own, other.counts)

    __hash__ = None  # type: ignore[assignment]

    def stored(self) -> Stored:
        """Return it for a snapshot."""
        return Stored(self.own, self.counts)

    def check(self, name: str, amount: int, limit: Limit | None, starts: Starts) -> None:
        """Check that `amount` more stays within `limit`, its own or its family's.

        Raises:
            BudgetError: It does not, and the limit is hard.
        """
        if limit is None or not limit.hard:
            return
        count = self.count(limit.period, starts)
        if count.used + count.reserved + amount > limit.amount:
            raise BudgetError(f"budget {name} would be passed")

    def count(self, period: Period, starts: Starts) -> Count:
        """Return what counts in a period. Not to be changed."""
        if starts is self._starts:
            return self._now[period]
        return self.counts[period].get(starts[period], NOTHING)

    def reserve(self, amount: int, starts: Starts) -> None:
        """Hold an amount that was checked."""
        if starts is not self._starts:
            self._begin(starts)
        day, week, month, total = self._now
        day.reserved += amount
        week.reserved += amount
        month.reserved += amount
        total.reserved += amount

    def settle(self, held: int, used: int, starts: Starts) -> None:
        """Release what was held in these periods, and count what was used.

        A period in which nothing is held any more may be forgotten; what is held keeps it.
        """
        for count in self._now if starts is self._starts else self._kept(starts):
            count.reserved -= held
            count.used += used

    def _kept(self, starts: Starts) -> list[Count]:
        found = (of.get(start) for of, start in zip(self.counts, starts, strict=True))
        return [count for count in found if count is not None]

    def _begin(self, starts: Starts) -> None:
        """Put the counts of these periods at hand, and forget old ones."""
        for of_kind, start in zip(self.counts, starts, strict=True):
            if start not in of_kind:
                _begin(of_kind, start)
        days, weeks, months, totals = self.counts
        self._now = days[starts[0]], weeks[starts[1]], months[starts[2]], totals[starts[3]]
        self._starts = starts


class Standing(msgspec.Struct, frozen=True):
    """How a budget stands in its own period. What `status` and `verify` report."""

    used: int
    reserved: int
    limit: int | None  # None: no limit
    period: str
    hard: bool

    @property
    def remaining(self) -> int | None:
        """What may still be reserved."""
        return None if self.limit is None else self.limit - self.used - self.reserved


@lru_cache(maxsize=4_096)
def family(name: str) -> str:
    """Return the name of the default of a budget: `user:*` for `user:abc`."""
    return name.partition(":")[0] + ":*"


def standing(budget: Budget, limit: Limit | None, starts: Starts) -> Standing:
    """Tell how a budget stands under its own limit, or its family's."""
    period = limit.period if limit else Period.TOTAL
    count = budget.count(period, starts)
    if limit is None:
        return Standing(count.used, count.reserved, None, period.name.lower(), hard=False)
    return Standing(
        count.used, count.reserved, limit.amount, period.name.lower(), hard=limit.hard
    )


def _begin(counts: dict[int, Count], start: int) -> None:
    """Begin a period, and forget the oldest in which nothing is reserved."""
    counts[start] = Count()
    for old in sorted(counts):
        if len(counts) <= _KEPT:
            break
        if old != start and not counts[old].reserved:
            del counts[old]
