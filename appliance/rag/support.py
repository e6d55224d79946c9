"""Does a question have support in the passages found? Decided before any engine (invariant 11).

Seven lexical features and a veto on missing numbers and codes; coverage is weighed by a fixed
background list that everyone may read, so thresholds carry over to small scopes, and hidden rows
cannot move the decision. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from appliance.identity.policy import Outcome as Thresholds

Answerable = Literal["answer", "nearby", "none"]


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
        """Its BM25 score among the rows that the asker sees; 0 when only its vector was near."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision."""

    kind: Answerable
    z: float  # score; -inf where no comparison was possible or the veto spoke


def decide(question: str, passages: Sequence[Ranked], thresholds: Thresholds) -> Outcome:
    """Decide from the passages visible to the asker, best first (the first five count)."""
    raise NotImplementedError
