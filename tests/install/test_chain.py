import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.install.chain import (
    EMPTY,
    BrokenChainError,
    Head,
    after,
    head_of,
    line,
    read,
    whole,
)

AT = "2026-11-23T10:00:00.000+00:00"


def journal(count: int = 4) -> bytes:
    head, stored = EMPTY, b""
    for number in range(count):
        written = line(head, AT, "task", {"task": f"Tâche {number}", "outcome": "ok"})
        head, stored = after(head, written), stored + written
    return stored


def test_a_journal_reads_back_in_order() -> None:
    entries = list(read(journal()))
    assert [entry["n"] for entry in entries] == [0, 1, 2, 3]
    assert entries[2]["task"] == "Tâche 2"


@given(data=st.data())
def test_an_edited_byte_is_found_by_the_chain_or_by_its_head(data: st.DataObject) -> None:
    stored = journal()
    place = data.draw(st.integers(0, len(stored) - 2))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != stored[place]))
    edited = stored[:place] + bytes([other]) + stored[place + 1 :]
    try:
        head = head_of(edited)
    except BrokenChainError:
        return
    assert head != head_of(stored)


def test_an_edited_line_is_named() -> None:
    lines = journal().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"ok"', b'"no"')
    with pytest.raises(BrokenChainError, match="ligne 3"):
        list(read(b"".join(lines)))


@pytest.mark.parametrize(
    "order",
    [
        pytest.param([0, 2, 3], id="removed"),
        pytest.param([0, 2, 1, 3], id="moved"),
        pytest.param([0, 1, 1, 2, 3], id="repeated"),
        pytest.param([1, 2, 3], id="beginning cut"),
    ],
)
def test_lines_that_are_not_in_their_place_are_found(order: list[int]) -> None:
    lines = journal().splitlines(keepends=True)
    with pytest.raises(BrokenChainError):
        list(read(b"".join(lines[number] for number in order)))


def test_another_form_of_the_same_line_is_not_what_was_written() -> None:
    with pytest.raises(BrokenChainError, match="ligne 1"):
        head_of(journal(1).replace(b'"at":', b'"at": '))


def test_lines_cut_at_the_end_change_the_head_that_the_report_holds() -> None:
    stored = journal()
    cut = b"".join(stored.splitlines(keepends=True)[:-1])
    assert head_of(stored).lines == 4
    assert head_of(cut) != head_of(stored)


def test_a_torn_last_line_is_left_out_and_nothing_else() -> None:
    assert whole(journal() + b'{"at":"20') == journal()
    assert whole(b'{"at') == b""
    assert whole(journal()) == journal()


def test_an_empty_journal_has_the_first_head() -> None:
    assert head_of(b"") == EMPTY == Head(0, "0" * 64)


def test_fields_of_the_chain_are_not_of_the_event() -> None:
    with pytest.raises(AssertionError):
        line(EMPTY, AT, "task", {"prev": "0"})
