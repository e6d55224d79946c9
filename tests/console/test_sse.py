from hypothesis import given
from hypothesis import strategies as st

from appliance.console.sse import Events, event


def test_an_event_carries_its_lines() -> None:
    assert event("a\nb") == b"data: a\ndata: b\n\n"


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\r\n", codec="utf-8"))),
       st.integers(1, 7))  # fmt: skip
def test_what_was_sent_is_read_however_the_bytes_are_cut(texts: list[str], step: int) -> None:
    data = b"".join(event(text) for text in texts)
    reader, read = Events(), list[str]()
    for at in range(0, len(data), step):
        read += reader.feed(data[at : at + step])
    assert read == texts


def test_comments_and_other_fields_are_passed_over() -> None:
    assert list(Events().feed(b": hello\n\nevent: x\ndata: 1\nid: 3\n\n")) == ["1"]
