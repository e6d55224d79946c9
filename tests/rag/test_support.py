"""Three outcomes, the veto on numbers, and that only what is visible and public decides."""

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.identity.policy import Outcome as Thresholds
from appliance.rag.support import Features, decide, measure, read_question

THRESHOLDS = Thresholds()


@dataclass(frozen=True)
class Passage:
    title: str
    body: str
    bm25: float = 1.0


NOTE = Passage(
    "Note de service sur le télétravail",
    "Le télétravail est possible dans la limite de deux jours par semaine. Un troisième jour"
    " par semaine peut être accordé à Mme Durand. La procédure PO-217 du 3 mars 2026 s'applique"
    ".",
    9.0,
)
OTHER = Passage("Véhicules", "Les véhicules de service se réservent trois semaines avant.", 2.0)


def test_a_question_that_a_passage_covers_is_answered() -> None:
    outcome = decide("Combien de jours de télétravail par semaine ?", [NOTE, OTHER], THRESHOLDS)
    assert outcome.kind == "answer"
    assert outcome.z > THRESHOLDS.answer


def test_a_question_about_something_else_is_not() -> None:
    outcome = decide("Quelle est la recette de la blanquette ?", [NOTE, OTHER], THRESHOLDS)
    assert outcome.kind == "none"


def test_between_the_thresholds_passages_are_near_and_nothing_is_asserted() -> None:
    question = "Combien de jours de télétravail par semaine ?"
    z = decide(question, [NOTE, OTHER], THRESHOLDS).z
    assert decide(question, [NOTE, OTHER], Thresholds(z - 1, z + 0.01)).kind == "nearby"
    assert decide(question, [NOTE, OTHER], Thresholds(z - 1, z)).kind == "answer"
    assert decide(question, [NOTE, OTHER], Thresholds(z, z + 1)).kind == "nearby"
    assert decide(question, [NOTE, OTHER], Thresholds(z + 0.01, z + 1)).kind == "none"


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Que dit la procédure PO-217 sur le télétravail en 2026 ?", "answer"),
        ("Que dit la procédure PO-218 sur le télétravail en 2026 ?", "none"),
        ("Que dit la procédure PO-217 sur le télétravail en 2025 ?", "none"),
    ],
    ids=["held", "code", "year"],
)
def test_a_number_or_code_that_no_passage_holds_is_never_answered(
    question: str, kind: str
) -> None:
    outcome = decide(question, [NOTE, OTHER], THRESHOLDS)
    assert outcome.kind == kind
    assert (outcome.z == -math.inf) == (kind == "none")


@pytest.mark.parametrize(
    ("question", "passages"),
    [("Combien de jours ?", []), ("Et ?", [NOTE]), ("", [NOTE]), ("« … »", [NOTE])],
    ids=["no-passage", "function-words", "empty", "signs"],
)
def test_nothing_to_compare_is_no_support(question: str, passages: list[Passage]) -> None:
    outcome = decide(question, passages, THRESHOLDS)
    assert (outcome.kind, outcome.z) == ("none", -math.inf)


def test_only_the_first_five_passages_count() -> None:
    far = [replace(OTHER, bm25=3.0 - i / 10) for i in range(5)]
    question = "Combien de jours de télétravail par semaine ?"
    alone = decide(question, far, THRESHOLDS)
    assert decide(question, [*far, NOTE], THRESHOLDS) == alone
    assert decide(question, [*far[:4], NOTE], THRESHOLDS).z > alone.z


def test_the_title_supports_too() -> None:
    untitled = replace(NOTE, title="Sans titre")
    question = "note de service télétravail deux jours"
    assert decide(question, [NOTE], THRESHOLDS).z > decide(question, [untitled], THRESHOLDS).z


def test_names_are_capitals_but_for_the_first_word() -> None:
    asked = read_question("Durand et Élise Martin en 2019, à l'État ?")
    assert asked.names == {"elis", "martin", "etat"}
    assert asked.numbers == {"2019"}


def test_each_feature_moves_the_score_its_way() -> None:
    base = Features(0.5, 0.5, 0.3, 0.2, 0, 0, 4)
    for better in (
        {"sentence": 0.6}, {"passage": 0.6}, {"bm25": 0.4}, {"gap": 0.3}, {"terms": 5},
    ):  # fmt: skip
        assert replace(base, **better).z > base.z
    assert replace(base, names=1).z < base.z
    assert replace(base, numbers=1).z == -math.inf
    assert base.z == pytest.approx(
        1.95 * 0.5 + 2.5 * 0.5 + 4.08 * 0.3 + 0.51 * 0.2 + 0.29 * 4 - 4.88
    )


def test_features_of_a_passage() -> None:
    features = measure(read_question("télétravail deux jours semaine"), [NOTE, OTHER])
    assert features.sentence == pytest.approx(1)
    assert features.passage == pytest.approx(1)
    assert 0 < features.bm25 < 1
    assert features.gap == 1
    assert (features.names, features.numbers, features.terms) == (0, 0, 4)


def test_a_near_form_counts_less_than_the_term() -> None:
    near = measure(
        read_question("administrativement"), [Passage("t", "Un acte administratif.")]
    )
    assert near.passage in {0.7, 1.0}
    far = measure(read_question("administrateur"), [Passage("t", "Une admission.")])
    assert far.passage == 0


def test_what_is_hidden_does_not_count() -> None:
    """The scale of the scores grows with the collection; the decision does not see it."""
    question = "Combien de jours de télétravail par semaine ?"
    scaled = [replace(p, bm25=p.bm25 * 7) for p in (NOTE, OTHER)]
    assert decide(question, scaled, THRESHOLDS) == decide(question, [NOTE, OTHER], THRESHOLDS)


@given(
    st.text(max_size=80),
    st.lists(st.builds(Passage, st.text(max_size=20), st.text(max_size=80)), max_size=6),
)
def test_any_text_gives_an_outcome(question: str, passages: list[Passage]) -> None:
    outcome = decide(question, passages, THRESHOLDS)
    assert not math.isnan(outcome.z)
    assert (outcome.kind == "none") == (outcome.z < THRESHOLDS.nearby)
