"""Documents for tests: collections, documents and passages put in as the worker does."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from psycopg import AsyncConnection

from appliance.identity.principal import Principal
from appliance.identity.store import act_as
from appliance.rag import store
from appliance.rag.indexing import store as index

T = TypeVar("T")


def principal(
    subject: str = "alice", groups: Sequence[str] = ("/equipes/rh",), clearance: int = 1
) -> Principal:
    return Principal(
        subject=subject,
        name=subject,
        roles=frozenset({"utilisateur"}),
        scopes=frozenset(),
        groups=tuple(groups),
        clearance=clearance,
    )


ALICE = principal()
BOB = principal("bob", ("/equipes/dsi",), 2)


def transaction(
    dsn: str, caller: Principal | None, work: Callable[[AsyncConnection], Awaitable[T]]
) -> T:
    """Do `work` in one transaction of `caller`, on a connection of its own."""

    async def run() -> T:
        async with await AsyncConnection.connect(dsn) as conn:
            if caller is not None:
                await act_as(conn, caller)
            return await work(conn)

    return asyncio.run(run())


def opening(
    dsn: str, caller: Principal | None
) -> Callable[[], AbstractAsyncContextManager[AsyncConnection]]:
    """Return what opens transactions of a caller, each on a connection of its own."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[AsyncConnection]:
        async with await AsyncConnection.connect(dsn) as conn:
            if caller is not None:
                await act_as(conn, caller)
            yield conn

    return begin


@dataclass(frozen=True)
class Book:
    """A document with passages; each on a page of its own."""

    slug: str
    title: str
    passages: Sequence[str]
    vectors: Sequence[Sequence[float] | None] = ()
    kind: str = "text"
    progress: str = "ready"
    public_id: UUID = field(default_factory=uuid.uuid4)


def direction(*values: float) -> list[float]:
    """Return a vector of 384 numbers and of length 1 that begins with these."""
    length = sum(v * v for v in values) ** 0.5
    return [*(v / length for v in values), *([0.0] * (384 - len(values)))]


async def put(conn: AsyncConnection, book: Book) -> list[int]:
    """Put a book in, as the worker does."""
    shelf = await store.find_shelf(conn, book.slug)
    assert shelf is not None
    await store.insert_document(
        conn,
        store.NewDocument(
            public_id=book.public_id,
            collection_id=shelf.id,
            name=f"{book.title}.txt",
            title=book.title,
            size=sum(map(len, book.passages)),
            content_id=hashlib.sha256(book.public_id.bytes).digest(),
            wrapped_key=b"wrapped",
        ),
    )
    source = await store.find_original(conn, book.public_id)
    assert source is not None
    ids = await index.replace_text(
        conn,
        source.id,
        source.class_id,
        index.Text(
            kind=book.kind,
            title=book.title,
            pages=book.passages,
            passages=[
                index.NewPassage(n, "", 0, len(body), body)
                for n, body in enumerate(book.passages, 1)
            ],
            meta={},
        ),
    )
    pairs = zip(ids, book.vectors, strict=False)
    await index.insert_vectors(conn, {i: v for i, v in pairs if v is not None})
    await index.set_progress(conn, source.id, book.progress)
    return ids


async def declare(conn: AsyncConnection, slug: str, label: int, **groups: bool) -> None:
    """Declare a collection; a group `rh` stands for /equipes/rh and says whether it writes."""
    paths = {f"/equipes/{name}": may for name, may in groups.items()}
    await index.declare_collection(conn, index.Declared(slug, slug.title(), label, paths))
