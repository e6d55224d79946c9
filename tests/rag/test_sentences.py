"""Sentences of French texts: abbreviations, lists, headings, quotations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.rag.sentences import split_sentences
from bench.piaf import read


def _split(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Il vient. Il part.", ["Il vient.", "Il part."]),
        (
            "Selon l'art. 3 du décret, M. Durand signe.",
            ["Selon l'art. 3 du décret, M. Durand signe."],
        ),
        ("Voir le n. 4, p. 12 et s. Puis signer.", ["Voir le n. 4, p. 12 et s. Puis signer."]),
        ("Né en 50 av. J.-C. à Rome. Mort.", ["Né en 50 av. J.-C. à Rome.", "Mort."]),
        ("Reçu par MM. Roux et Blanc. Fin.", ["Reçu par MM. Roux et Blanc.", "Fin."]),
        ("Le prix est de 3.50 euros. Oui.", ["Le prix est de 3.50 euros.", "Oui."]),
        ("« Partez ! » dit-il. Elle part.", ["« Partez ! » dit-il.", "Elle part."]),
        ("Pourquoi ? Parce que. Ah… Bien.", ["Pourquoi ?", "Parce que.", "Ah…", "Bien."]),
        ("Il dit « oui. » Elle part.", ["Il dit « oui. »", "Elle part."]),
        (
            "Article 2 - Horaires\nLes agents badgent.",
            ["Article 2 - Horaires", "Les agents badgent."],
        ),
        ("Une ligne coupée au\nmilieu. Fin.", ["Une ligne coupée au\nmilieu.", "Fin."]),
        ("Il y a :\n- un ;\n- deux\nsuite.", ["Il y a :", "- un ;", "- deux\nsuite."]),
        ("1. Premier point\n2. Second point", ["1. Premier point", "2. Second point"]),
        ("Premier\n\nsecond", ["Premier", "second"]),
        ("", []),
        (" \n ", []),
    ],
    ids=[
        "two",
        "article",
        "page",
        "era",
        "messrs",
        "decimal",
        "said",
        "signs",
        "quoted",
        "heading",
        "wrapped",
        "list",
        "numbered",
        "blank-line",
        "empty",
        "space",
    ],
)
def test_sentences_of_a_text(text: str, sentences: list[str]) -> None:
    assert _split(text) == sentences


@given(st.text(alphabet="aA é.!?…«»()-\n0 1;:’'M"))
def test_ranges_are_in_order_and_leave_out_only_space(text: str) -> None:
    ranges = split_sentences(text)
    end = 0
    for start, stop in ranges:
        assert not text[end:start].strip()
        assert start < stop
        end = stop
    assert not text[end:].strip()


def test_a_text_without_a_stop_is_cut() -> None:
    assert max(end - start for start, end in split_sentences("mot " * 2_000)) <= 1_200
    assert max(end - start for start, end in split_sentences("x" * 5_000)) <= 1_200


@pytest.mark.parametrize("piece", ["a. ", "\n", "1. ", "x", "« ", "M. ", "- "])
def test_run_time_grows_with_the_length(piece: str) -> None:
    assert split_sentences(piece * 60_000) is not None  # seconds, were it the square


def test_few_answers_of_piaf_cross_the_end_of_a_sentence() -> None:
    piaf = read()
    ranges = [split_sentences(p.body) for p in piaf.passages]
    crossing = sum(
        not any(start <= q.start and q.end <= end for start, end in ranges[q.passage])
        for q in piaf.questions
    )
    assert crossing <= 12
    assert 3_200 < sum(map(len, ranges)) < 3_450
