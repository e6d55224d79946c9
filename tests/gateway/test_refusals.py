"""A flood of refusals is no flood of records."""

from itertools import count

import pytest

from appliance.audit.event import Kind, encode, parse
from appliance.gateway.refusals import (
    FIRST,
    MINUTE,
    NETWORKS_MAX,
    SUBJECTS_MAX,
    Refusals,
    network_of,
)


def refusals() -> Refusals:
    numbers = count()
    return Refusals(lambda: f"refusal-{next(numbers):012}", 0.0)


def test_the_first_refusals_of_somebody_are_records_the_rest_one_count() -> None:
    book = refusals()
    made = [book.known("s-1", "CM-BUD-02", "chat") for _ in range(1_000)]
    facts = [f for f in made if f]
    assert len(facts) == FIRST
    assert facts[0].kind == Kind.AUTHZ_DENIED
    assert facts[0].data == {"reason": "CM-BUD-02", "route": "chat"}
    assert book.due(MINUTE - 1) == []
    (summary,) = book.due(MINUTE)
    assert (summary.actor, summary.data) == ("s-1", {"count": 995, "CM-BUD-02": 995})


def test_a_flood_of_nobody_is_one_record_per_network_and_minute() -> None:
    book = refusals()
    for n in range(10_000):
        book.unknown(f"10.0.0.{n % 250}", "CM-IDE-01")
    book.unknown("10.0.1.1", "CM-IDE-03")
    facts = book.due(MINUTE)
    assert {f.data["network"]: f.data["count"] for f in facts} == {
        "10.0.0.0/24": 10_000,
        "10.0.1.0/24": 1,
    }
    assert {f.kind for f in facts} == {Kind.AUTH_DENIED}


def test_many_networks_and_many_subjects_have_bounded_records() -> None:
    book = refusals()
    for n in range(100_000):
        book.unknown(f"10.{n % 250}.{n // 250 % 250}.1", "CM-IDE-01")
        book.known(f"s-{n}", "CM-DRT-01", "chat")
        book.known(f"s-{n}", "CM-DRT-01", "chat")
    facts = book.due(MINUTE)
    networks = [f for f in facts if f.kind == Kind.AUTH_DENIED]
    subjects = [f for f in facts if f.kind == Kind.AUTHZ_DENIED]
    assert len(networks) == NETWORKS_MAX + 1
    assert len(subjects) <= SUBJECTS_MAX + 1
    assert sum(int(f.data["count"]) for f in networks) == 100_000


def test_a_new_minute_begins_anew() -> None:
    book = refusals()
    for _ in range(FIRST + 1):
        book.known("s-1", "CM-DRT-01", "chat")
    assert len(book.due(MINUTE)) == 1
    assert book.due(3 * MINUTE) == []
    assert book.known("s-1", "CM-DRT-01", "chat") is not None


def test_a_worker_that_ends_writes_what_it_counted() -> None:
    book = refusals()
    book.unknown("", "CM-IDE-01")
    assert len(book.due(1.0, last=True)) == 1


def test_a_summary_fits_in_a_leaf() -> None:
    book = refusals()
    for n in range(5_000):
        book.known("s" * 150, f"CM-XXX-{n % 100:02}", "chat")
    for summary in book.due(MINUTE):
        assert parse(encode(summary)) == summary


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::9", "2001:db8:1::/48"),
        ("", "local"),
        ("x, y", "local"),
        ("192.0.2.77:443", "local"),
    ],
)
def test_addresses_are_counted_by_network(address: str, network: str) -> None:
    assert network_of(address) == network
