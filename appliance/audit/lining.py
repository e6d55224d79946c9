"""Makes the derived lines of an export, in two processes when they are many.

A task is a row of bundles: copied, held against their hash tiles, and made into lines. Tasks
share nothing, so that processes of their own may do them; their answers are taken in order.
Where no process can be started, the lines are made here.
"""

import base64
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from appliance.audit.archive import Archive, Fault, TamperedError
from appliance.audit.contents import Form, Tally
from appliance.audit.derived import csv_line, json_line
from appliance.audit.event import Leaf
from appliance.audit.ocsf import line as ocsf_line
from appliance.audit.tile import WIDTH, Tile, encode_bundle, tile_at
from appliance.audit.tree import HASH_BYTES, leaf_hash
from appliance.errors import ApplianceError

PROCESSES = 2
_AHEAD = 2 * PROCESSES  # tasks that are under way or wait to be taken: what bounds the memory


@dataclass(frozen=True, slots=True)
class Task:
    """Bundles of which lines are to be made."""

    log: Path
    work: Path  # folder of the export
    head: tuple[str, int]  # origin and size of the log
    span: tuple[int, int]  # first and last record of the export
    forms: frozenset[Form]
    bundles: range


@dataclass(frozen=True, slots=True)
class Lined:
    """The lines of a task, in order."""

    lines: dict[Form, bytes]
    tally: Tally


def line_up(task: Task) -> Lined:
    """Copy the bundles of a task and make their lines.

    Raises:
        TamperedError: A record is not the one that was signed.
        FormatError: A record is none.
        OSError: A bundle cannot be written.
    """
    archive, made = Archive(task.log), Lined(dict.fromkeys(task.forms, b""), Tally())
    parts: dict[Form, list[bytes]] = {form: [] for form in task.forms}
    for bundle in task.bundles:
        start = bundle * WIDTH
        leaves = _bundle(archive, task.work, tile_at(0, bundle, task.head[1]))
        first, last = max(start, task.span[0]), min(start + WIDTH, task.span[1] + 1)
        for stored in leaves[first - start : last - start]:
            leaf = Leaf.parse(stored)
            made.tally.add(leaf)
            _record(stored, leaf, task.head[0], parts)
    for form, lines in parts.items():
        made.lines[form] = b"".join(lines)
    return made


def lined(tasks: Sequence[Task], *, apart: bool) -> Iterator[Lined]:
    """Yield the answer to each task, in order.

    Args:
        tasks: In the order of their bundles.
        apart: Whether they are many enough for processes of their own.

    Raises:
        TamperedError, FormatError, OSError: As `line_up`.
    """
    if not apart:
        yield from map(line_up, tasks)
        return
    try:
        pool = ProcessPoolExecutor(PROCESSES, get_context("spawn"))
    except OSError:  # a unit without shared memory
        yield from map(line_up, tasks)
        return
    waiting: deque[tuple[Task, Future[Lined | None]]] = deque()
    with pool:
        try:
            for task in tasks:
                waiting.append((task, _submitted(pool, task)))
                if len(waiting) > _AHEAD:
                    yield _taken(*waiting.popleft())
            while waiting:
                yield _taken(*waiting.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _submitted(pool: ProcessPoolExecutor, task: Task) -> "Future[Lined | None]":
    try:
        return pool.submit(_apart, task)
    except BrokenProcessPool as exc:
        broken: Future[Lined | None] = Future()
        broken.set_exception(exc)
        return broken


def _taken(task: Task, answer: "Future[Lined | None]") -> Lined:
    """Return an answer; a task that failed fails here once more, with its own error."""
    try:
        return answer.result() or line_up(task)
    except BrokenProcessPool:  # ended from outside: what is left is done here
        return line_up(task)


def _apart(task: Task) -> Lined | None:
    try:
        return line_up(task)
    except ApplianceError:
        return None


def _bundle(archive: Archive, work: Path, tile: Tile) -> list[bytes]:
    """Copy a bundle; return its records, each the one of the hash tile."""
    hashes = archive.hashes(tile)
    leaves: list[bytes] = []
    for record in archive.entries(tile):
        at = len(leaves) * HASH_BYTES
        if leaf_hash(record.leaf) != hashes[at : at + HASH_BYTES]:
            raise TamperedError(
                Fault.LEAF, "this is not the record that was signed",
                file=record.file, record=record.index, offset=record.offset,
            )  # fmt: skip
        leaves.append(record.leaf)
    path = work / tile.bundle
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_bundle(leaves))
    return leaves


def _record(stored: bytes, leaf: Leaf, origin: str, parts: dict[Form, list[bytes]]) -> None:
    digest = base64.b64encode(leaf_hash(stored))
    if Form.JSONL in parts:
        parts[Form.JSONL].append(json_line(stored, digest))
    if Form.CSV in parts:
        parts[Form.CSV].append(csv_line(leaf, digest))
    if Form.OCSF in parts:
        parts[Form.OCSF].append(ocsf_line(leaf, origin, digest.decode()))
