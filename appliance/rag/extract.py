"""Extraction: the sentences of passages that answer a question best, quoted as they stand.

Scores and layout as measured on PIAF (docs/decisions): coverage of the question by the sentence
with its title, the passage's BM25, the expected type of answer, adjacent terms. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


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

    n: int  # of its passage, from 1, in the order given
    start: int  # characters in the passage's body
    end: int
    text: str  # body[start:end] with white space made single
    score: float


@dataclass(frozen=True, slots=True)
class Extract:
    """What is quoted. Best sentence first in `sentences`; `text` is the layout."""

    sentences: tuple[Sentence, ...]
    text: str  # paragraphs: « … » [n]; the best passage first, « […] » between gaps

    @property
    def citations(self) -> tuple[int, ...]:
        """Numbers of the passages quoted, in the order of the text."""
        return tuple(dict.fromkeys(s.n for s in self.sentences))


def extract(question: str, passages: Sequence[Source], *, most: int = 3) -> Extract:
    """Quote the best sentence, and up to `most` - 1 more. No passage: an empty extract."""
    raise NotImplementedError


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Return the ranges of the sentences of a French text."""
    raise NotImplementedError
