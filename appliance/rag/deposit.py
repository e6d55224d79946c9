"""Deposits: a file becomes an encrypted original, a row and a durable job, or none of them.

Bytes are encrypted as they arrive: no clear text touches the disk, whatever the size.
"""

from collections.abc import AsyncIterable
from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection

from appliance.errors import ApplianceError
from appliance.rag.objects import Objects

MAX_BYTES = 64 * 1024 * 1024  # of one file


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


async def deposit(
    conn: AsyncConnection,
    objects: Objects,
    slug: str,
    name: str,
    chunks: AsyncIterable[bytes],
) -> Deposit:
    """Deposit a file in a collection and leave the rest to the worker.

    The owner is the subject of the transaction (`identity/store.act_as`), which the caller
    commits. `name` may be a relative path, such as `2026/charte.pdf`.

    Raises:
        UnknownCollectionError: The collection is hidden or does not exist.
        ForbiddenError: The caller may read it, not write.
        TooLargeError: More than MAX_BYTES.
        EmptyFileError: No byte.
    """
    raise NotImplementedError
