import pytest

from appliance.rag.formats import flow as module
from appliance.rag.formats.flow import SHEET_CHARS, SHEET_CHARS_MAX, Flow, single_spaced
from appliance.rag.parsed import Reason, UnreadableError


def test_blocks_and_headings_are_laid_out_with_their_places() -> None:
    flow = Flow()
    flow.block("Avant.")
    flow.heading(" Un  titre ")
    flow.block("Après\xa0le titre.\n  Suite")
    (page,) = flow.finish()
    assert page.text == "Avant.\n\nUn titre\n\nAprès le titre.\nSuite"
    (section,) = page.sections
    assert page.text[section.at :].startswith("Un titre\n")


def test_a_long_text_goes_over_sheets_and_loses_nothing() -> None:
    flow = Flow()
    words = [f"mot{n}" for n in range(20_000)]
    for start in range(0, len(words), 50):
        flow.block(" ".join(words[start : start + 50]))
    pages = flow.finish()
    assert len(pages) > 10
    assert max(len(page.text) for page in pages) <= SHEET_CHARS + SHEET_CHARS_MAX
    assert " ".join(page.text for page in pages).split() == words


def test_a_block_without_end_is_cut() -> None:
    flow = Flow()
    flow.block("x" * 100_000)
    pages = flow.finish()
    assert max(len(page.text) for page in pages) <= SHEET_CHARS_MAX
    assert sum(len(page.text) for page in pages) == 100_000


def test_a_heading_begins_a_new_sheet_when_one_is_half_full() -> None:
    flow = Flow()
    flow.block("x" * (SHEET_CHARS // 2 + 1))
    flow.heading("Titre")
    assert [page.text[:5] for page in flow.finish()] == ["xxxxx", "Titre"]


@pytest.mark.parametrize("text", ["", " \n ", "\u200b\u00ad"])
def test_no_text_is_no_document(text: str) -> None:
    flow = Flow()
    flow.block(text)
    flow.heading(text)
    with pytest.raises(UnreadableError) as caught:
        flow.finish()
    assert caught.value.reason is Reason.EMPTY


def test_a_text_without_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHARS_MAX", 1000)
    flow = Flow()
    flow.block("x" * 900)
    with pytest.raises(UnreadableError) as caught:
        flow.block("x" * 101)
    assert caught.value.reason is Reason.TOO_COMPLEX


def test_spaces_are_single() -> None:
    assert single_spaced(" a\t\u00a0 b \n\n c ") == "a b\n\nc"
