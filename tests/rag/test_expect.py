"""What a question asks for, and what a sentence holds of it."""

import pytest

from appliance.rag.expect import expected


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Quand la campagne commence-t-elle ?", "date"),
        ("À partir de quand ?", "date"),
        ("Combien de jours ?", "number"),
        ("Quel est le montant de l’indemnité ?", "number"),
        ("Qui signe ?", "person"),
        ("Quel service répond ?", "person"),
        ("Où se trouve le site ?", "place"),
        ("Dans quelle ville est-il né ?", "place"),
        ("Pourquoi ce refus ?", "cause"),
        ("Que dit la note ?", None),
        ("", None),
    ],
)
def test_the_kind_of_answer(question: str, kind: str | None) -> None:
    assert expected(question).kind == kind


@pytest.mark.parametrize(
    ("question", "sentence", "held"),
    [
        ("Quand ouvre-t-il ?", "Il ouvre le 4 février.", True),
        ("Quand ouvre-t-il ?", "Il ouvre tôt.", False),
        ("Combien en 2024 ?", "En 2024, peu.", False),
        ("Combien en 2024 ?", "En 2024, douze agents.", True),
        ("Qui signe ?", "Le bon est signé par Martin.", True),
        ("Qui signe ?", "Le bon est signé.", False),
        ("Où est-il ?", "Il est à Montfaucon.", True),
        ("Pourquoi ?", "Il est fermé en raison des travaux.", True),
        ("Que dit-il ?", "Il dit 12.", False),
    ],
    ids=[
        "date",
        "no-date",
        "known-number",
        "number",
        "person",
        "nobody",
        "place",
        "cause",
        "none",
    ],
)
def test_what_a_sentence_holds(question: str, sentence: str, held: bool) -> None:  # noqa: FBT001
    assert expected(question).is_in(sentence) is held
