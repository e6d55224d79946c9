import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.rag.chunk import BYTES_MAX, BYTES_WANTED, Chunk, chunks_of
from appliance.rag.parsed import Page, Section

SENTENCE = "Le règlement prévoit une durée de deux jours par semaine. "


def texts(pages: list[Page]) -> list[str]:
    return [pages[c.page - 1].text[c.start : c.end] for c in chunks_of(pages)]


def test_a_short_page_is_one_passage() -> None:
    assert list(chunks_of([Page("Une phrase. Une autre.")])) == [Chunk(1, "", 0, 22)]


def test_passages_end_with_sentences_and_are_of_the_wanted_size() -> None:
    found = texts([Page(SENTENCE * 200)])
    assert all(text.startswith("Le règlement") and text.endswith("semaine.") for text in found)
    assert all(BYTES_WANTED // 2 < len(text.encode()) <= BYTES_WANTED for text in found[:-1])


def test_a_short_rest_joins_the_passage_before_it() -> None:
    text = "x" * (BYTES_WANTED - 50) + ". Court. Bref."
    assert texts([Page(text)]) == [text]


def test_a_passage_stays_under_its_heading() -> None:
    text = f"Un\n\n{SENTENCE}\n\nDeux\n\n{SENTENCE}"
    page = Page(text, [Section(0, "Un"), Section(text.index("Deux"), "Deux")])
    found = list(chunks_of([page, Page(SENTENCE)]))
    assert [c.section for c in found] == ["Un", "Deux", "Deux"]
    assert [c.page for c in found] == [1, 1, 2]
    assert text[found[1].start :].startswith("Deux")


def test_a_heading_with_nothing_under_it_goes_with_the_next() -> None:
    page = Page(
        "Partie\n\nChapitre\n\nLe texte.", [Section(0, "Partie"), Section(8, "Chapitre")]
    )
    assert list(chunks_of([page])) == [Chunk(1, "Chapitre", 0, 27)]


def test_text_before_the_first_heading_belongs_to_the_one_before() -> None:
    pages = [
        Page("Un\n\nTexte.", [Section(0, "Un")]),
        Page("Suite.\n\nDeux\n\nTexte.", [Section(8, "Deux")]),
    ]
    assert [c.section for c in chunks_of(pages)] == ["Un", "Un", "Deux"]


@pytest.mark.parametrize(
    "text",
    ["é" * 10_000, "mot " * 5_000, "m" * 999 + " " + "é" * 3_000, "🙂" * 4_000],
    ids=["letters", "words", "both", "four bytes"],
)
def test_a_sentence_without_end_is_cut_between_characters(text: str) -> None:
    found = texts([Page(text)])
    assert max(len(part.encode()) for part in found) <= BYTES_MAX
    assert "".join("".join(found).split()) == "".join(text.split())


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_nothing_gives_nothing(text: str) -> None:
    assert list(chunks_of([Page(text)])) == []


@given(
    st.lists(
        st.text(st.sampled_from("aé .!?\n«»()-1A🙂\t"), max_size=400).map(lambda t: t * 20),
        max_size=4,
    ),
    st.lists(st.integers(0, 8_000), max_size=4),
)
@settings(max_examples=150, deadline=None)
def test_passages_cover_each_character_once_and_in_order(
    bodies: list[str], places: list[int]
) -> None:
    pages = [
        Page(body, [Section(at, "T") for at in sorted(p for p in places if p <= len(body))])
        for body in bodies
    ]
    before = (0, 0)
    covered = [""] * len(pages)
    for chunk in chunks_of(pages):
        text = pages[chunk.page - 1].text[chunk.start : chunk.end]
        assert before <= (chunk.page, chunk.start)
        assert text == text.strip() != ""
        assert len(text.encode()) <= BYTES_MAX
        covered[chunk.page - 1] += text
        before = (chunk.page, chunk.end)
    for page, text in zip(pages, covered, strict=True):
        assert "".join(text.split()) == "".join(page.text.split())
