from collections import Counter

from appliance.console.trail.draw import BATCH, TRIES_MAX, batches, numbers

SEED = "00112233445566778899aabbccddeeff"


def test_a_seed_always_draws_the_same_numbers() -> None:
    # As printf and sha256sum have it: the first 16 bytes, modulo a million.
    assert list(numbers(SEED, 0, 10**6))[:3] == [279432, 740034, 738521]
    assert list(numbers(SEED, 0, 50)) != list(numbers(SEED[::-1], 0, 50))


def test_each_number_of_a_range_is_drawn_once_and_no_other() -> None:
    assert sorted(numbers(SEED, 40, 340)) == list(range(40, 340))
    assert list(numbers(SEED, 7, 7)) == []


def test_each_number_is_as_likely_as_any_other() -> None:
    first = Counter(next(numbers(f"{n:032x}", 0, 8)) for n in range(4_000))
    assert all(420 < count < 580 for count in first.values())
    assert len(first) == 8


def test_a_long_range_is_tried_so_often_and_no_more() -> None:
    drawn = list(batches(SEED, 0, 2**50))
    assert sum(map(len, drawn)) == TRIES_MAX
    assert {len(batch) for batch in drawn[:-1]} == {BATCH}
