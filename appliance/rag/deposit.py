"""Deposits: a file becomes an encrypted original, a row and a durable job, or none of them.

Bytes are encrypted as they arrive: no clear text touches the disk, whatever the size.
"""

import unicodedata
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from uuid import UUID

from psycopg import AsyncConnection

from appliance.errors import ApplianceError
from appliance.identity.principal import ForbiddenError
from appliance.rag import store
from appliance.rag.document import Shelf
from appliance.rag.objects import Incoming, Objects
from appliance.rag.retrieve import UnknownCollectionError

Begin = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
MAX_BYTES = 64 * 1024 * 1024  # of one file
_NAME_CHARS = 400


class TooLargeError(ApplianceError):
    """A file is larger than the limit of one deposit."""

    code = "CM-DOC-02"


class EmptyFileError(ApplianceError):
    """A file holds nothing."""

    code = "CM-DOC-03"


@dataclass(frozen=True, slots=True)
class Deposit:
    """What was done with one file."""

    document: UUID
    name: str
    present: bool  # the same bytes were in this collection already; nothing was added


@asynccontextmanager
async def received(
    begin: Begin, objects: Objects, slug: str, chunks: AsyncIterable[bytes]
) -> AsyncIterator[Incoming]:
    """Take a file in, while no connection is held, for `keep`; what is not kept is gone.

    `begin` opens a short transaction of the caller (`identity/store.act_as`).

    Raises:
        UnknownCollectionError: The collection is hidden or does not exist.
        ForbiddenError: The caller may read it, not write.
        TooLargeError: More than MAX_BYTES.
        EmptyFileError: No byte.
    """
    async with begin() as conn:
        shelf = await _shelf(conn, slug)
    incoming = await objects.receive(shelf.vault, bounded(chunks))
    try:
        yield incoming
    finally:
        incoming.discard()  # nothing, once it has its name


async def keep(conn: AsyncConnection, slug: str, name: str, incoming: Incoming) -> Deposit:
    """Make a document of a file that was received, and leave the rest to the worker.

    The owner is the subject of the transaction, which the caller commits. `name` may be a
    relative path, such as `2026/charte.pdf`.

    Raises:
        UnknownCollectionError: The collection is hidden or does not exist, by now.
        ForbiddenError: The caller may read it, not write, by now.
    """
    shelf, name = await _shelf(conn, slug), clean_name(name)
    await store.lock(conn, incoming.content_id)
    present = await store.find_content(conn, shelf.id, incoming.content_id)
    if present is not None:
        return Deposit(present, name, present=True)
    stored = incoming.keep()
    document = uuid.uuid4()
    await store.insert_document(
        conn,
        store.NewDocument(
            public_id=document,
            collection_id=shelf.id,
            name=name,
            title=title_of(name),
            size=stored.size,
            content_id=stored.content_id,
            wrapped_key=stored.wrapped_key,
        ),
    )
    await store.add_job(conn, "ingest", document)
    return Deposit(document, name, present=False)


async def deposit(
    begin: Begin, objects: Objects, slug: str, name: str, chunks: AsyncIterable[bytes]
) -> Deposit:
    """Receive and keep a file. Raises what both do."""
    async with received(begin, objects, slug, chunks) as incoming, begin() as conn:
        return await keep(conn, slug, name, incoming)


async def _shelf(conn: AsyncConnection, slug: str) -> Shelf:
    shelf = await store.find_shelf(conn, slug)
    if shelf is None:
        raise UnknownCollectionError
    if not shelf.writable:
        raise ForbiddenError("the groups of the caller may not write in this collection")
    return shelf


async def bounded(chunks: AsyncIterable[bytes], limit: int = MAX_BYTES) -> AsyncIterator[bytes]:
    """Pass on a file of 1 to `limit` bytes.

    Raises:
        TooLargeError: At the first byte too many.
        EmptyFileError: At the end of nothing.
    """
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise TooLargeError(f"a file may hold {limit} bytes")
        yield chunk
    if not size:
        raise EmptyFileError("the file is empty")


def clean_name(name: str) -> str:
    """Return a relative path for people: no way up, no control characters, bounded."""
    text = unicodedata.normalize("NFC", name.replace("\\", "/"))
    text = "".join(c for c in text if unicodedata.category(c)[0] != "C")
    parts = [part for part in text.split("/") if part.strip(". ")]
    return "/".join(parts)[-_NAME_CHARS:] or "document"


def title_of(name: str) -> str:
    """Return a title for a document that has not been read yet."""
    stem = PurePosixPath(name).stem.replace("_", " ").strip()
    return stem or name
