import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.audit import journal
from appliance.errors import FormatError

FIRST = 1_000
RECORDS = [[b"one"], [b"two", b"three" * 40], [b'{"last":1}', b"l" * journal.LEAF_BYTES_MAX]]
HEAD = journal.header(FIRST)
ENCODED = [journal.encode(leaves) for leaves in RECORDS]
FILE = HEAD + b"".join(ENCODED)
LEAVES = [leaf for leaves in RECORDS for leaf in leaves]
WHOLE = len(HEAD) + len(ENCODED[0]) + len(ENCODED[1])  # where the last record begins
AHEAD = bytes(100_000)


@pytest.mark.parametrize("zeros", [b"", AHEAD], ids=["no zeros", "zeros ahead"])
def test_leaves_are_read_back(zeros: bytes) -> None:
    assert journal.scan(FILE + zeros) == journal.Scan(FIRST, LEAVES, len(FILE), 0)
    assert journal.scan(HEAD + zeros) == journal.Scan(FIRST, [], len(HEAD), 0)


leaf = st.binary(min_size=1, max_size=50).map(lambda data: data + b"}")


@given(st.lists(st.lists(leaf, min_size=1, max_size=5), max_size=5), st.integers(0, 2**64 - 1))
def test_any_leaves_are_read_back(records: list[list[bytes]], first: int) -> None:
    data = journal.header(first) + b"".join(map(journal.encode, records)) + bytes(64)
    found = journal.scan(data)
    assert found.leaves == [one for record in records for one in record]
    assert (found.first, found.torn) == (first, 0)
    assert found.next == first + len(found.leaves)


@pytest.mark.parametrize("zeros", [b"", AHEAD], ids=["no zeros", "zeros ahead"])
def test_a_last_record_cut_anywhere_is_dropped(zeros: bytes) -> None:
    for cut in range(WHOLE, len(FILE)):
        found = journal.scan(FILE[:cut] + zeros)
        assert (found.leaves, found.end) == (LEAVES[:3], WHOLE), cut
        assert found.torn == len(FILE[WHOLE:cut].rstrip(b"\0")), cut


def test_a_last_record_of_which_one_byte_is_wrong_is_dropped() -> None:
    for at in range(WHOLE, len(FILE)):
        damaged = bytearray(FILE + AHEAD)
        damaged[at] ^= 0x40
        assert journal.scan(bytes(damaged)).end == WHOLE, at


def test_a_last_record_of_which_pages_are_missing_is_dropped() -> None:
    middle = WHOLE + 500
    torn = FILE[:WHOLE] + bytes(500) + FILE[middle:] + AHEAD
    assert journal.scan(torn).end == WHOLE


def test_damage_before_the_last_record_is_refused() -> None:
    for at in range(len(HEAD), WHOLE):
        damaged = bytearray(FILE + AHEAD)
        damaged[at] ^= 0x40
        with pytest.raises(FormatError, match="damaged"):
            journal.scan(bytes(damaged))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HEAD[:-1], id="no first index"),
        pytest.param(b"x" + FILE, id="another file"),
        pytest.param(FILE.replace(b"/v1", b"/v2"), id="another version"),
    ],
)
def test_what_is_no_journal_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="not a journal"):
        journal.scan(data)


def test_a_tail_longer_than_any_record_is_damage() -> None:
    with pytest.raises(FormatError, match="too much"):
        journal.scan(FILE + b"x" * (journal.PAYLOAD_BYTES_MAX + 10))


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\0", id="half a length"),
        pytest.param(b"\0\0", id="leaf without bytes"),
        pytest.param(b"\0\5abc", id="leaf past the end"),
    ],
)
def test_a_record_with_a_good_checksum_and_bad_leaves_is_refused(payload: bytes) -> None:
    record = len(payload).to_bytes(4, "big") + journal._checksum(payload).to_bytes(4, "big")
    with pytest.raises(FormatError, match="record"):
        journal.scan(HEAD + record + payload + b"}" * 9)
