"""Does a question have support in the passages found? Decided before any engine (invariant 11).

Six lexical features and a veto on missing numbers and codes; coverage is weighed by a fixed
background list that everyone may read, so thresholds carry over to small scopes, and hidden
rows cannot move the decision. Weights and figures: docs/decisions/0030. Pure.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, Protocol

from appliance.identity.policy import Outcome as Thresholds
from appliance.rag.analysis import terms
from appliance.rag.background import MOST, saturation, weight
from appliance.rag.sentences import split_sentences

Answerable = Literal["answer", "nearby", "none"]

TOP = 5  # passages that count
_PREFIX, _SHARE, _SOFT = 5, 0.7, 0.7  # letters, of the longer; what a near form counts
_FIRST_WORD = re.compile(r"\W*\w+['’]?")
_NAME = re.compile(r"\b[A-ZÀ-ÖØ-ÞŒ][\w\u0300-\u036f]*")


class Ranked(Protocol):
    """A passage that retrieval found. `retrieve.Passage` is one."""

    @property
    def title(self) -> str:
        """Title of its document."""
        ...

    @property
    def body(self) -> str:
        """Its text."""
        ...

    @property
    def bm25(self) -> float:
        """Its BM25 among the rows that the asker sees; 0 when only its vector was near."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision."""

    kind: Answerable
    z: float  # score; -inf where nothing could be compared or the veto spoke


@dataclass(frozen=True, slots=True)
class Question:
    """What of a question is looked for."""

    weights: dict[str, float]  # term to its weight in the background list
    names: frozenset[str]  # terms written with a capital, but for the first word
    numbers: frozenset[str]  # terms with a digit

    @property
    def total(self) -> float:
        """Return the weight of all terms."""
        return sum(self.weights.values())


@dataclass(frozen=True, slots=True)
class Features:
    """What the score is made of."""

    sentence: float  # share of the question in the best sentence with its title
    passage: float  # the same of the best passage, near forms included
    bm25: float  # best passage, as a share of what the question could reach
    gap: float  # between the first and the fifth passage
    names: int  # of the question, absent from the passage that covers it best
    numbers: int
    terms: int

    @property
    def z(self) -> float:
        """Return the score; -inf where a number or code of the question is nowhere."""
        if self.numbers or not self.terms:
            return -math.inf
        return (
            1.95 * self.sentence + 2.50 * self.passage + 4.08 * self.bm25 + 0.51 * self.gap
            - 1.11 * self.names + 0.29 * self.terms - 4.88
        )  # fmt: skip


def decide(question: str, passages: Sequence[Ranked], thresholds: Thresholds) -> Outcome:
    """Decide from the passages visible to the asker, best first (the first five count)."""
    asked, best = read_question(question), passages[:TOP]
    if not asked.weights or not best:
        return Outcome("none", -math.inf)
    z = measure(asked, best).z
    if z < thresholds.nearby:
        return Outcome("none", z)
    return Outcome("answer" if z >= thresholds.answer else "nearby", z)


def read_question(question: str) -> Question:
    """Return what of a question is looked for."""
    weights = {term: weight(term) for term in terms(question)}
    first = _FIRST_WORD.match(question)
    rest = question[first.end() :] if first else question
    names = {term for name in _NAME.findall(rest) for term in terms(name)}
    numbers = {term for term in weights if any(c.isdigit() for c in term)}
    return Question(weights, frozenset(names - numbers), frozenset(numbers))


def measure(asked: Question, passages: Sequence[Ranked]) -> Features:
    """Return the features of a question with terms and its first passages, at least one."""
    titles = [terms(p.title) for p in passages]
    sentences = [_sentences(p.body) for p in passages]
    counts = [
        Counter(chain(title, *parts)) for title, parts in zip(titles, sentences, strict=True)
    ]
    covered = [_soft_share(asked, count) for count in counts]
    best = counts[max(range(len(counts)), key=covered.__getitem__)]
    return Features(
        sentence=max(
            share(asked, [*title, *part])
            for title, parts in zip(titles, sentences, strict=True)
            for part in parts or [[]]
        ),
        passage=max(covered),
        bm25=max(attained(asked, count) for count in counts),
        gap=_gap([p.bm25 for p in passages]),
        names=len(asked.names - best.keys()),
        numbers=len(asked.numbers - best.keys()),
        terms=len(asked.weights),
    )


def attained(asked: Question, count: Counter[str]) -> float:
    """Return the BM25 of a passage under the background list, as a share of the possible."""
    length = count.total()
    score = sum(
        w * saturation(count[term], length)
        for term, w in asked.weights.items()
        if term in count
    )
    return score / (MOST * asked.total)


def share(asked: Question, found: Iterable[str]) -> float:
    """Return the share of the question, by weight, that is among the terms found."""
    held = set(found)
    return sum(w for term, w in asked.weights.items() if term in held) / asked.total


def _soft_share(asked: Question, count: Counter[str]) -> float:
    """Return the share of the question in a passage, a form that begins alike counting less."""
    starts: dict[str, list[str]] = {}
    for term in count:
        starts.setdefault(term[:_PREFIX], []).append(term)
    total = 0.0
    for term, w in asked.weights.items():
        if term in count:
            total += w
        elif len(term) >= _PREFIX and any(
            _alike(term, other) for other in starts.get(term[:_PREFIX], ())
        ):
            total += w * _SOFT
    return total / asked.total


def _alike(first: str, second: str) -> bool:
    least = math.ceil(_SHARE * max(len(first), len(second)))
    return first[:least] == second[:least]


def _sentences(body: str) -> list[list[str]]:
    """Return the terms of each sentence of a passage."""
    return [terms(body[start:end]) for start, end in split_sentences(body)]


def _gap(scores: Sequence[float]) -> float:
    ranked = sorted(scores, reverse=True)
    last = ranked[TOP - 1] if len(ranked) >= TOP else 0.0
    return (ranked[0] - last) / ranked[0] if ranked[0] > 0 else 0.0
