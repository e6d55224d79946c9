"""Folding: ASCII out of anything, places kept, in pieces as in the whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.gateway.folding import fold

ANY = st.text(st.characters(exclude_categories=[]), max_size=60)  # surrogates too


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("L’État — « œuvre » n° 2…", b"L'Etat - \" ouvre \" n? 2."),
        ("０６ １２", b"06 12"),
        ("٠٦ ०६ 𝟎𝟔", b"06 06 06"),
        ("0\u200b6\u00ad\u2060\ufeff1", b"061"),
        ("0\x006\x1b", b"06"),
        ("e\u0301", b"e"),
        ("06\u00a012\u202f34\u200956\t78", b"06 12 34 56 78"),
        ("06‑12–34−56", b"06-12-34-56"),
        ("А\u0420\u0406", b"API"),
        ("ﬁn ½ ① ㎏", b"fin 1/2 1 kg"),
        ("日本 \ud800", b"?? ?"),
        ("a\nb\rc\u2028d", b"a\nb\rc\nd"),
    ],
    ids=["french", "full-width", "digits", "invisible", "control", "nfd", "spaces", "dashes",
         "look-alike", "compatibility", "unknown", "lines"],
)  # fmt: skip
def test_it_reads_as_it_looks(text: str, folded: bytes) -> None:
    assert fold(text).text == folded


@given(ANY)
def test_each_byte_knows_its_character(text: str) -> None:
    folded = fold(text)
    assert folded.text.isascii()
    starts = [folded.start(i) for i in range(len(folded.text) + 1)]
    assert starts == sorted(starts)
    assert starts[-1] == len(text)
    for i, start in enumerate(starts[:-1]):
        assert bytes([folded.text[i]]) in fold(text[start]).text
        assert folded.splits(i) == (i > 0 and starts[i - 1] == start)


@given(ANY, ANY)
def test_pieces_fold_as_the_whole(first: str, second: str) -> None:
    assert fold(first).text + fold(second).text == fold(first + second).text
