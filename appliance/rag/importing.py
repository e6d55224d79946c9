"""Import of a folder: each subfolder is a collection, each file in it a deposit.

Runs with the authority of the worker. A second run adds nothing: what is present stays.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from psycopg import AsyncConnection

from appliance.errors import ApplianceError
from appliance.rag.deposit import deposit
from appliance.rag.objects import SEGMENT, Objects


class FolderError(ApplianceError):
    """There is no such folder, or nothing in it to import."""

    code = "CM-DOC-03"


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file."""

    collection: str
    name: str
    document: UUID | None
    present: bool = False
    problem: str = ""


def files_of(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield collection, name and path of each file, in order. Links and dot files are left out.

    Raises:
        FolderError: There is nothing to import.
    """
    found = False
    for shelf in sorted(p for p in folder.glob("[!.]*") if p.is_dir() and not p.is_symlink()):
        for path in sorted(shelf.rglob("*")):
            inside = path.relative_to(shelf)
            hidden = any(part.startswith(".") for part in inside.parts)
            if path.is_file() and not path.is_symlink() and not hidden:
                found = True
                yield shelf.name, inside.as_posix(), path
    if not found:
        raise FolderError(f"{folder}: no file in a folder named as a collection")


async def import_folder(
    conn: AsyncConnection, objects: Objects, folder: Path
) -> AsyncIterator[Imported]:
    """Deposit each file by itself; one that is refused stops no other."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[AsyncConnection]:
        async with conn.transaction():
            yield conn

    for slug, name, path in files_of(folder):
        try:
            done = await deposit(begin, objects, slug, name, _chunks(path))
        except ApplianceError as exc:
            yield Imported(slug, name, None, problem=f"{exc.code}: {exc}")
        else:
            yield Imported(slug, name, done.document, done.present)


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(SEGMENT):
            yield chunk
