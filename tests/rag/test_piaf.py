"""Retrieval, abstention and extraction on PIAF, each fourth question; `make bench` asks all."""

from collections.abc import Mapping

import pytest

from bench.piaf import (
    KINDS,
    LEXICAL,
    MARGIN,
    NOTED,
    Index,
    abstention,
    extraction,
    read,
    scores,
)
from bench.piaf_search import fill, ndcg

EVERY = 4
LESS_CERTAIN = 0.01  # a quarter of the questions


@pytest.fixture(scope="module")
def figures() -> Mapping[str, float]:
    piaf = read()
    index = Index(piaf.passages)
    found = scores(piaf, index, EVERY)
    articles = [piaf.passages[q.passage].article for q in piaf.questions[::EVERY]]
    return {**abstention(found, articles), **extraction(piaf, index, EVERY)}


@pytest.mark.parametrize("name", NOTED)
def test_abstention_and_extraction_keep_what_was_measured(
    name: str, figures: Mapping[str, float]
) -> None:
    assert figures[name] >= NOTED[name] - MARGIN - LESS_CERTAIN


def test_wrong_abstention_is_what_the_threshold_was_read_for(
    figures: Mapping[str, float],
) -> None:
    assert abs(figures[KINDS[0]] - 0.15) < 0.03


def test_words_alone_find_the_passage(worker_database: str, gateway_database: str) -> None:
    fill(worker_database, {})
    assert ndcg(gateway_database, every=EVERY) >= LEXICAL
