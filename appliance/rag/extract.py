"""Extraction: the sentences of passages that answer a question best, quoted as they stand.

Score and layout are those measured on PIAF (docs/decisions/0030): coverage of the question by
the sentence with its title, the passage's BM25, the expected kind of answer, adjacent terms.
The BM25 is that of the background list, so that an engine that only sees passages scores
alike. Pure.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from typing import Protocol

from appliance.rag.analysis import terms
from appliance.rag.expect import expected
from appliance.rag.sentences import split_sentences
from appliance.rag.support import TOP, Question, attained, read_question, share

_BM25, _KIND, _PAIRS = 2.0, 0.25, 0.15  # beside coverage, which counts 1
_HEADING = re.compile(r"(?:[\dIVX]+[.)] ?)*[^\d.!?…;:|]{1,60}")  # what names, and says nothing
_WITHIN = 3  # words: terms of the question this near count as a pair


class Source(Protocol):
    """A passage, whatever else is known of it. `retrieve.Passage` is one."""

    @property
    def title(self) -> str:
        """Title of its document."""
        ...

    @property
    def body(self) -> str:
        """Its text."""
        ...


@dataclass(frozen=True, slots=True)
class Sentence:
    """One quoted sentence."""

    n: int  # of its passage: from 1, in the order given, or as `numbers` says
    start: int  # characters in the passage's body
    end: int
    text: str  # body[start:end] with white space made single
    score: float


@dataclass(frozen=True, slots=True)
class Extract:
    """What is quoted. Best sentence first in `sentences`; `text` is the layout."""

    sentences: tuple[Sentence, ...]
    text: str  # paragraphs « … » [n]: the best sentence's passage first, « […] » between gaps

    @property
    def citations(self) -> tuple[int, ...]:
        """Numbers of the passages quoted, in the order of the text."""
        return tuple(dict.fromkeys(s.n for s in self.sentences))


def extract(
    question: str,
    passages: Sequence[Source],
    *,
    most: int = 3,
    numbers: Sequence[int] | None = None,
) -> Extract:
    """Quote the best sentence, and up to `most` - 1 more. No passage: an empty extract."""
    asked = read_question(question)
    if not asked.weights:
        return Extract((), "")
    given = dict(zip(numbers or range(1, len(passages) + 1), passages, strict=True))
    best = dict(list(given.items())[:TOP])
    scored = sorted(_score(question, asked, best), key=lambda s: -s.score)
    kept = scored[:most]
    return Extract(tuple(kept), _lay_out(kept, best))


def _score(
    question: str, asked: Question, passages: Mapping[int, Source]
) -> Iterable[Sentence]:
    titles = {n: terms(p.title) for n, p in passages.items()}
    parts = {n: list(_sentences(p.body)) for n, p in passages.items()}
    bm25 = {
        n: attained(asked, Counter(chain(titles[n], *(found for *_, found in parts[n]))))
        for n in passages
    }
    best = max(bm25.values(), default=0) or 1
    wanted = expected(question)
    order = list(dict.fromkeys(terms(question)))
    for n in passages:
        for start, end, text, found in parts[n]:
            covered = share(asked, [*titles[n], *found])
            if not found or not covered or _HEADING.fullmatch(text):
                continue
            score = covered + _BM25 * bm25[n] / best
            score += _KIND * wanted.is_in(text) + _PAIRS * _pairs(order, found)
            yield Sentence(n, start, end, text, score)


def _sentences(body: str) -> Iterable[tuple[int, int, str, list[str]]]:
    """Yield each sentence: its range, its text on one line, its terms."""
    for start, end in split_sentences(body):
        text = " ".join(body[start:end].split())
        yield start, end, text, terms(text)


def _pairs(asked: Sequence[str], found: Sequence[str]) -> float:
    """Return the share of neighbours of the question that are near each other in a sentence."""
    if len(asked) < 2:  # noqa: PLR2004 - a pair
        return 0
    places: dict[str, list[int]] = {}
    for place, term in enumerate(found):
        places.setdefault(term, []).append(place)
    near = sum(
        any(abs(i - j) <= _WITHIN for i in places.get(a, ()) for j in places.get(b, ()))
        for a, b in pairwise(asked)
    )
    return near / (len(asked) - 1)


def _lay_out(kept: Sequence[Sentence], passages: Mapping[int, Source]) -> str:
    """Group by passage, in the order of the document within it."""
    groups = {n: list(group) for n, group in _by_passage(kept)}
    paragraphs = []
    for n in dict.fromkeys(s.n for s in kept):
        held = sorted(groups[n], key=lambda s: s.start)
        body = passages[n].body
        text = held[0].text
        for before, after in pairwise(held):
            gap = body[before.end : after.start].strip()
            text += f" […] {after.text}" if gap else f" {after.text}"
        paragraphs.append(f"« {text} » [{n}]")
    return "\n\n".join(paragraphs)


def _by_passage(kept: Sequence[Sentence]) -> Iterable[tuple[int, Iterable[Sentence]]]:
    return groupby(sorted(kept, key=lambda s: s.n), key=lambda s: s.n)
