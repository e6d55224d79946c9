import pytest

from appliance.audit.forward.cursor import CLAIM, Cursor, CursorError
from appliance.errors import FormatError

START = Cursor("log")


def test_parse_is_the_inverse_of_to_bytes() -> None:
    cursor = Cursor("log", received=3, claimed=9, seen=12, lost=4)
    assert Cursor.parse(cursor.to_bytes()) == cursor
    assert cursor.to_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"origin":"a","received":"1"}', id="a text"),
        pytest.param(b'{"origin":"a","more":1}', id="an unknown field"),
        pytest.param(b'{"origin":"a","received":2,"claimed":1}', id="more than was sent"),
        pytest.param(b'{"origin":"a","received":-1}', id="before the beginning"),
        pytest.param(b'{"origin":"a","lost":-1}', id="less than nothing lost"),
    ],
)
def test_what_is_no_cursor_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        Cursor.parse(data)


def test_a_claim_goes_ahead_so_that_not_each_line_costs_a_write() -> None:
    claimed = START.claim(10, 5_000)
    assert (claimed.claimed, claimed.seen) == (CLAIM, 5_000)
    assert claimed.claim(CLAIM, 6_000) is claimed
    assert START.claim(10, 10).claimed == 10
    assert START.claim(4_000, 5_000).claimed == 4_000


def test_what_arrived_never_becomes_less() -> None:
    cursor = START.claim(100, 100).receive(60)
    assert cursor.receive(40).received == 60
    with pytest.raises(AssertionError):
        cursor.receive(101)


def test_what_is_skipped_is_counted_once() -> None:
    cursor = START.claim(100, 100).receive(60).skip(90)
    assert (cursor.received, cursor.claimed, cursor.lost) == (90, 100, 30)
    assert cursor.skip(120).claimed == 120
    assert cursor.skip(120).lost == 60


def test_the_log_of_a_new_epoch_begins_anew_and_the_count_goes_on() -> None:
    cursor = START.claim(100, 130).receive(60).follow("log/e2")
    assert cursor == Cursor("log/e2", lost=70)


def test_a_log_shorter_than_what_was_received_is_refused() -> None:
    cursor = START.claim(100, 100).receive(60)
    cursor.check(60)
    with pytest.raises(CursorError, match="59 records, the collector received 60"):
        cursor.check(59)
