from datetime import date

import pytest

from appliance.ledger.budget import Budget, BudgetError, Limit, family, standing
from appliance.ledger.period import Period, Starts, starts_of

MONDAY, TUESDAY = starts_of(date(2026, 11, 23)), starts_of(date(2026, 11, 24))
NEXT_MONTH = starts_of(date(2026, 12, 1))


def used(budget: Budget, starts: Starts) -> list[int | None]:
    found = [of.get(start) for of, start in zip(budget.counts, starts, strict=True)]
    return [count.used if count else None for count in found]


def spend(budget: Budget, amount: int, starts: Starts) -> None:
    budget.reserve(amount, starts)
    budget.settle(amount, amount, starts)


@pytest.mark.parametrize("name", ["user:ada", "user:", "user:a:b"])
def test_a_budget_follows_the_default_of_its_family(name: str) -> None:
    assert family(name) == "user:*"


def test_each_period_counts_what_was_used_in_it() -> None:
    budget = Budget()
    spend(budget, 5, MONDAY)
    spend(budget, 7, TUESDAY)
    spend(budget, 11, NEXT_MONTH)
    assert used(budget, MONDAY)[1:] == [12, 12, 23]  # Monday itself is two days ago
    assert used(budget, TUESDAY) == [7, 12, 12, 23]
    assert used(budget, NEXT_MONTH) == [11, 11, 11, 23]


def test_what_was_reserved_yesterday_is_counted_yesterday() -> None:
    budget = Budget()
    budget.reserve(10, MONDAY)
    budget.reserve(1, TUESDAY)
    budget.settle(10, 8, MONDAY)
    assert used(budget, MONDAY) == [8, 8, 8, 8]
    assert used(budget, TUESDAY) == [0, 8, 8, 8]
    limit = Limit(100, Period.DAY, hard=True)
    assert standing(budget, limit, TUESDAY).reserved == 1
    assert standing(budget, limit, MONDAY).reserved == 0


def test_a_period_is_kept_for_as_long_as_something_is_reserved_in_it() -> None:
    budget = Budget()
    budget.reserve(10, MONDAY)
    for day in range(24, 30):
        spend(budget, 1, starts_of(date(2026, 11, day)))
    assert MONDAY[0] in budget.counts[Period.DAY]
    budget.settle(10, 3, MONDAY)
    spend(budget, 1, starts_of(date(2026, 11, 30)))
    assert sorted(map(date.fromordinal, budget.counts[Period.DAY])) == [
        date(2026, 11, 29),
        date(2026, 11, 30),
    ]


def test_a_clock_that_goes_back_finds_the_counts_of_yesterday_again() -> None:
    budget = Budget()
    spend(budget, 90, MONDAY)
    spend(budget, 1, TUESDAY)
    limit = Limit(100, Period.DAY, hard=True)
    budget.check("site", 10, limit, MONDAY)
    with pytest.raises(BudgetError, match="site"):
        budget.check("site", 11, limit, MONDAY)


def test_one_glitch_to_a_far_year_neither_frees_nor_freezes_today() -> None:
    budget = Budget()
    spend(budget, 90, MONDAY)
    spend(budget, 1, starts_of(date(2099, 1, 1)))
    limit = Limit(100, Period.DAY, hard=True)
    assert standing(budget, limit, MONDAY).used == 90
    assert standing(budget, limit, TUESDAY).remaining == 100


@pytest.mark.parametrize("amount", [0, 40])
def test_the_last_token_of_a_limit_may_be_reserved(amount: int) -> None:
    budget = Budget()
    budget.reserve(60, MONDAY)
    budget.check("site", amount, Limit(100, Period.MONTH, hard=True), TUESDAY)


@pytest.mark.parametrize("period", list(Period))
def test_one_token_more_than_a_hard_limit_is_refused(period: Period) -> None:
    budget = Budget()
    budget.reserve(60, MONDAY)
    with pytest.raises(BudgetError, match="site"):
        budget.check("site", 41, Limit(100, period, hard=True), MONDAY)


def test_a_soft_limit_is_reported_and_not_enforced() -> None:
    budget = Budget()
    limit = Limit(100, Period.TOTAL, hard=False)
    budget.check("site", 500, limit, MONDAY)
    spend(budget, 500, MONDAY)
    found = standing(budget, limit, MONDAY)
    assert (found.remaining, found.hard) == (-400, False)


def test_a_budget_without_a_limit_is_counted_all_the_same() -> None:
    budget = Budget()
    budget.check("site", 10**9, None, MONDAY)
    spend(budget, 10**9, MONDAY)
    found = standing(budget, None, MONDAY)
    assert (found.used, found.limit, found.remaining) == (10**9, None, None)


def test_a_change_of_period_is_exact_at_once() -> None:
    budget = Budget()
    spend(budget, 5, MONDAY)
    spend(budget, 7, TUESDAY)
    spent = [standing(budget, Limit(9, p, hard=True), TUESDAY).used for p in Period]
    assert spent == [7, 12, 12, 12]
