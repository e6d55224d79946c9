"""What is quoted, in which order, with which numbers."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from appliance.rag.extract import Extract, extract


@dataclass(frozen=True)
class Passage:
    title: str
    body: str


NOTE = Passage(
    "Note sur le télétravail",
    "1. Principe\nLe télétravail est volontaire. Il est possible deux jours\npar semaine."
    " Le mardi est un jour de présence. Le télétravail donne droit à 2,88 euros par jour.",
)
RULES = Passage("Règlement", "Les agents badgent. Un jour de télétravail n'est pas badgé.")
FAR = Passage("Véhicules", "Les clés sont dans le hall.")
QUESTION = "Combien de jours de télétravail par semaine ?"


def test_the_best_sentence_comes_first_with_the_number_of_its_passage() -> None:
    found = extract(QUESTION, [FAR, NOTE, RULES])
    assert found.sentences[0].text == "Il est possible deux jours par semaine."
    assert found.sentences[0].n == 2
    assert found.text.startswith("« ")
    assert "[2]" in found.text.split("\n\n")[0]
    assert set(found.citations) <= {2, 3}


def test_ranges_are_those_of_the_passage() -> None:
    for sentence in extract(QUESTION, [NOTE, RULES]).sentences:
        body = [NOTE, RULES][sentence.n - 1].body
        assert " ".join(body[sentence.start : sentence.end].split()) == sentence.text


def test_sentences_of_a_passage_are_in_its_order_with_a_mark_between_gaps() -> None:
    found = extract("télétravail volontaire 2,88 euros par jour", [NOTE], most=2)
    assert found.text == (
        "« Le télétravail est volontaire. […]"
        " Le télétravail donne droit à 2,88 euros par jour. » [1]"
    )
    near = extract("télétravail volontaire possible semaine", [NOTE], most=2)
    assert near.text == (
        "« Le télétravail est volontaire. Il est possible deux jours par semaine. » [1]"
    )


def test_a_heading_is_no_answer() -> None:
    texts = [s.text for s in extract("Quel est le principe du télétravail ?", [NOTE]).sentences]
    assert texts
    assert "1. Principe" not in texts


def test_numbers_may_be_those_of_the_caller() -> None:
    found = extract(QUESTION, [FAR, NOTE], numbers=[4, 9])
    assert {s.n for s in found.sentences} == {9}
    assert found.text.endswith("[9]")


def test_no_more_sentences_than_asked_for() -> None:
    assert len(extract(QUESTION, [NOTE, RULES]).sentences) == 3
    assert len(extract(QUESTION, [NOTE, RULES], most=1).sentences) == 1


def test_nothing_in_common_is_an_empty_extract() -> None:
    empty = Extract((), "")
    assert extract(QUESTION, []) == empty
    assert extract(QUESTION, [FAR]) == empty
    assert extract("et ?", [NOTE]) == empty
    assert extract("", [NOTE]) == empty
    assert empty.citations == ()


def test_the_expected_kind_breaks_ties() -> None:
    passage = Passage(
        "Budget",
        "Le budget de formation est voté. Le budget de formation est de 148 000 euros.",
    )
    assert (
        "148 000"
        in extract("Quel est le montant du budget de formation ?", [passage]).sentences[0].text
    )


@given(
    st.text(max_size=60),
    st.lists(st.builds(Passage, st.text(max_size=20), st.text(max_size=90)), max_size=6),
)
def test_whatever_is_quoted_stands_in_a_passage(question: str, passages: list[Passage]) -> None:
    for sentence in extract(question, passages).sentences:
        body = passages[sentence.n - 1].body
        assert " ".join(body[sentence.start : sentence.end].split()) == sentence.text
