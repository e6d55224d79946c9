"""Retrieval: the passages that answer a question best, among those that the asker may read.

Who may read is decided by row security: everything here runs inside a transaction in which
`identity/store.act_as` was called. A collection that is hidden and one that does not exist are
the same error with the same text.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from uuid import UUID

from psycopg import AsyncConnection

from appliance.errors import ApplianceError
from appliance.rag import store
from appliance.rag.document import PAGED

PASSAGES = 8


class UnknownCollectionError(ApplianceError):
    """No such collection, or none that the caller may read: the answer does not tell."""

    code = "CM-DOC-01"

    def __init__(self) -> None:
        super().__init__("no such collection")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a passage stands: characters `start` to `end` of the text of a page."""

    page: int  # from 1: page of a PDF, sheet of the other formats
    section: str  # heading above it, or ""
    start: int
    end: int
    paged: bool  # the page number is one that a reader of the original knows

    @property
    def text(self) -> str:
        """Return it for people and prompts, such as « p. 3 · Durée »."""
        return " · ".join(
            part for part in (f"p. {self.page}" * self.paged, self.section) if part
        )


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that was found. Scores stay inside: the API returns ranks."""

    id: UUID
    document: UUID
    collection: str  # slug
    title: str  # of the document
    place: Place
    label: int
    dated: date | None
    state: str  # in_force, replaced, repealed
    body: str
    score: float  # fused
    bm25: float  # 0 when only its vector was near
    cosine: float | None  # None while it has no vector


@dataclass(frozen=True, slots=True)
class Near:
    """The embedding of a question, and what the cosine counts beside the words."""

    vector: Sequence[float]
    weight: float  # a setting per embedding model


async def retrieve(
    conn: AsyncConnection,
    question: str,
    slugs: Sequence[str],
    k: int = PASSAGES,
    near: Near | None = None,
) -> list[Passage]:
    """Return the best `k` passages of these collections, best first.

    Args:
        conn: In a transaction of the asker.
        question: As it was asked.
        slugs: Collections to search, at least one.
        k: How many at most.
        near: None answers by words alone.

    Raises:
        UnknownCollectionError: One of the collections is hidden or does not exist.
    """
    wanted = {slug for slug in slugs if "\0" not in slug}  # PostgreSQL's text holds no NUL
    found = await store.find_classes(conn, sorted(wanted))
    if not wanted or found.keys() != set(slugs):
        raise UnknownCollectionError
    classes = sorted(class_id for ids in found.values() for class_id in ids)
    question = question.replace("\0", " ")
    rows = await store.search(conn, question, classes, k, _unit(near))
    return [_passage(row) for row in rows]


def _unit(near: Near | None) -> tuple[list[float], float] | None:
    """Return the vector with length 1, so that its inner product is the cosine."""
    if near is None:
        return None
    length = math.hypot(*near.vector)
    return ([value / length for value in near.vector], near.weight) if length else None


def _passage(row: store.PassageRow) -> Passage:
    return Passage(
        id=row.id,
        document=row.document,
        collection=row.collection,
        title=row.title,
        place=Place(row.page, row.section, row.first_char, row.past_char, row.kind in PAGED),
        label=row.label,
        dated=row.dated,
        state=row.state,
        body=row.body,
        score=row.score,
        bm25=row.lexical,
        cosine=row.cosine,
    )


def public(passages: Sequence[Passage]) -> list[dict[str, object]]:
    """Return the passages as the API shows them: numbered from 1, without scores and bodies."""
    return [
        {
            "n": n,
            "passage": str(p.id),
            "document": str(p.document),
            "title": p.title,
            "place": {key: value for key, value in asdict(p.place).items() if key != "paged"},
            "label": p.label,
            "dated": p.dated.isoformat() if p.dated else None,
            "state": p.state,
        }
        for n, p in enumerate(passages, 1)
    ]
