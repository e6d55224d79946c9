"""Compares the working copy with the files of the log: leaf hashes and rows made again.

The indexer compares through the recorder, all day. Here neither is asked: the files are read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from psycopg import AsyncConnection

from appliance.audit.archive import Archive
from appliance.audit.index import store
from appliance.audit.index.row import SURPLUS, Difference, Row, first_difference, read

BATCH = 1_024


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What the comparison said."""

    compared: int  # rows of the copy
    behind: int  # leaves of the log that the copy has not taken yet
    difference: Difference | None


async def reconcile(conn: AsyncConnection, directory: Path) -> Reconciled:
    """Compare the side that serves with the log in a folder, and note what was found.

    Args:
        conn: As `casemate_indexer`, in a transaction that sees one state of the copy.
        directory: Of the log; a recorder may be writing to it.

    Raises:
        TamperedError: The files of the log are damaged.
    """
    side = await store.read_side(conn, serving=True)
    rows = rows_of(directory, side.first)
    difference, at = await _compare(conn, side, rows)
    if difference is None and (beyond := await store.count_beyond(conn, side)) is not None:
        difference = Difference(beyond, SURPLUS)
    found = difference.idx if difference else None
    await store.note_comparison(conn, at - side.first, found)
    return Reconciled(at - side.first, sum(1 for _ in rows), difference)


async def _compare(
    conn: AsyncConnection, side: store.Side, rows: Iterator[Row]
) -> tuple[Difference | None, int]:
    at = side.first
    while at < side.next:
        end = min(at + BATCH, side.next)
        expected = list(islice(rows, end - at))
        found = await store.read_rows(conn, side, at, end)
        if difference := first_difference(expected, found):
            return difference, at
        at = end
    return None, at


def rows_of(directory: Path, start: int) -> Iterator[Row]:
    """Yield rows made from the files of a log, from an index on.

    Raises:
        TamperedError: A file is damaged.
        FormatError: A record is no leaf.
    """
    for record in Archive(directory).journal(0):
        if record.index >= start:
            yield read(record.leaf)
