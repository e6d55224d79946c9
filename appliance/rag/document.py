"""The nouns of the documents domain, as psycopg gives them. Pure."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

PAGED = frozenset({"pdf"})  # kinds whose page numbers a reader of the original knows


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection that the caller may read."""

    slug: str
    title: str
    label: int
    groups: list[str]  # those of the caller that open it
    writable: bool
    documents: int
    moving: int  # documents on their way to `ready`


@dataclass(frozen=True, slots=True)
class Document:
    """A document that the caller may read."""

    id: UUID
    collection: str  # slug
    label: int
    name: str  # path as it was deposited
    title: str
    kind: str | None  # pdf, docx, html, markdown, text; None until parsed
    owner: str
    reference: str | None
    version: str | None
    dated: date | None
    state: str  # in_force, replaced, repealed
    progress: str  # waiting, parsing, embedding (found by words already), ready, failed
    reason: str | None  # of the failure: a code of `parse.Reason`
    size: int  # bytes
    deposited_at: datetime
    pages: int
    writable: bool


@dataclass(frozen=True, slots=True)
class PageText:
    """A page of a source, with what is marked in it."""

    document: UUID
    collection: str  # slug
    label: int
    title: str
    kind: str
    dated: date | None
    state: str
    page: int
    pages: int
    section: str  # of the passage, or ""
    text: str
    start: int  # mark: text[start:end]; 0, 0 without a passage
    end: int

    @property
    def paged(self) -> bool:
        """Tell whether page numbers are those of the original."""
        return self.kind in PAGED


@dataclass(frozen=True, slots=True)
class Source:
    """A document that a job works on, with what opens its original."""

    id: int
    public_id: UUID
    vault: UUID  # public id of its collection
    slug: str
    label: int
    owner: str
    name: str
    title: str
    progress: str
    class_id: int
    content_id: bytes
    wrapped_key: bytes


@dataclass(frozen=True, slots=True)
class Shelf:
    """A collection into which a file is put."""

    id: int
    vault: UUID  # public id
    writable: bool


@dataclass(frozen=True, slots=True)
class Unread:
    """A passage that has no vector yet."""

    id: int
    ordinal: int
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is left to do of a deletion."""

    id: int
    vault: UUID
    slug: str
    label: int
    document: UUID
    actor: str
    content_id: bytes
    class_id: int
    passages: list[int]
    terms: list[int]
    content_kept: bool  # the same bytes were deposited again since
