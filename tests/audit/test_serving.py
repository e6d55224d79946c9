import pytest

from appliance.audit.serving import Serving

GRACE = 10
A, B = object(), object()  # connections


@pytest.fixture
def serving() -> Serving:
    return Serving(GRACE)


def opened(serving: Serving, connection: object, *requests: str) -> None:
    for request in requests:
        serving.begin(connection, request)


def test_a_gateway_that_comes_back_in_time_keeps_what_it_still_serves(
    serving: Serving,
) -> None:
    assert serving.attach(A, "gateway-0", []) == []
    opened(serving, A, "r1", "r2", "r3")
    serving.leave(A, now=100)
    assert serving.expired(100 + GRACE - 0.1) == []
    assert serving.attach(B, "gateway-0", ["r1", "r3"]) == ["r2"]
    assert serving.expired(10_000) == []


def test_a_gateway_that_stays_away_loses_its_requests(serving: Serving) -> None:
    serving.attach(A, "gateway-0", [])
    opened(serving, A, "r1", "r2")
    serving.end("r1")
    serving.leave(A, now=100)
    assert serving.expired(100 + GRACE) == ["r2"]
    assert serving.expired(100 + GRACE) == []


def test_a_request_that_ends_while_its_gateway_is_away_is_not_lost(serving: Serving) -> None:
    opened(serving, A, "r1")
    serving.leave(A, now=100)
    serving.end("r1")
    assert serving.expired(10_000) == []


def test_another_gateway_takes_nothing_with_it(serving: Serving) -> None:
    serving.attach(A, "gateway-0", [])
    serving.attach(B, "gateway-1", [])
    opened(serving, A, "r1")
    opened(serving, B, "r2")
    serving.leave(A, now=100)
    assert serving.attach(B, "gateway-1", ["r2"]) == []
    assert serving.expired(100 + GRACE) == ["r1"]


def test_after_a_start_whoever_claims_a_request_has_it(serving: Serving) -> None:
    serving.restart(["r1", "r2", "r3"], now=100)
    assert serving.attach(A, "gateway-0", ["r1"]) == []
    assert serving.attach(B, "gateway-1", ["r2"]) == []
    assert serving.expired(100 + GRACE) == ["r3"]
    serving.leave(A, now=200)
    assert serving.expired(200 + GRACE) == ["r1"]


def test_a_new_connection_takes_over_before_the_end_of_the_old_one_is_noticed(
    serving: Serving,
) -> None:
    serving.attach(A, "gateway-0", [])
    opened(serving, A, "r1", "r2")
    assert serving.attach(B, "gateway-0", ["r1"]) == []
    serving.leave(A, now=100)
    assert serving.expired(100 + GRACE) == ["r2"]
    serving.leave(B, now=200)
    assert serving.expired(200 + GRACE) == ["r1"]


def test_a_claim_for_a_request_that_is_not_open_is_nothing(serving: Serving) -> None:
    serving.attach(A, "gateway-0", ["r9"])
    serving.leave(A, now=100)
    assert serving.expired(10_000) == []


def test_a_connection_without_a_name_has_the_same_grace(serving: Serving) -> None:
    opened(serving, A, "r1")
    serving.leave(A, now=100)
    assert serving.expired(100 + GRACE - 1) == []
    assert serving.expired(100 + GRACE) == ["r1"]
