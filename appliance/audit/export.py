"""Writes what an auditor takes away: a range of the log, in a folder that verifies by itself.

    export-<site>-<from>-<to>[-<label>]/
      checkpoint                 the signed head, with the cosignatures known for its size
      anchors/<size>.note        checkpoints that were witnessed
      checkpoints/<size>.note    those at which keys were changed
      tile/                      all hash tiles, and the entry bundles of the range only
      keys/                      keyring.json, POLICY.example: examples, trusted by nobody
      events.jsonl events.csv events.ocsf.jsonl rapport.pdf        derived
      export.json                what the folder says that it holds
      LISEZMOI.txt README.txt verify.py SHA256SUMS

The log is only read, also while its recorder runs; its published files are enough. Memory is
bounded by some rows of bundles. The folder is written under another name, `….part`: when that
is found, the export goes on where it stopped, under the head that it began with. What is read
is compared with the hash tiles on the way, so that a damaged log is not handed out as it is.
For one recipient the folder leaves encrypted, see `envelope.py`.
"""

import base64
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from appliance.audit import contents, envelope, papers
from appliance.audit.archive import Archive
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.contents import DERIVED, RESUME, Form, Order, Tally
from appliance.audit.derived import CSV_HEADER
from appliance.audit.key import parse_keys
from appliance.audit.keyring import Keyring
from appliance.audit.lineage import ANCHORS, KEYRING, read_keyring
from appliance.audit.lining import Task, lined
from appliance.audit.note import Note
from appliance.audit.papers import Paper
from appliance.audit.publisher import CHECKPOINT
from appliance.audit.tile import WIDTH, tiles_of
from appliance.audit.tree import HASH_BYTES
from appliance.audit.volume import VERIFIER_KEY
from appliance.errors import ApplianceError, FormatError
from appliance.printing.typeset import Template, typeset

Progress = Callable[[int, int], None]  # records done, records in all

PART, REPORT = ".part", "rapport.pdf"
KEPT = "checkpoints"  # of the log, and of the export
ROW = 16  # bundles that are made into lines together
SAVED = 4 * ROW  # between two points from which an export can go on
MANY = 50_000  # records from which on processes of their own make the lines
ANCHORS_MAX = 64


class ExportError(ApplianceError):
    """The export cannot be made as asked; the message says why."""

    code = "CM-JRN-25"


@dataclass(frozen=True, slots=True)
class Exported:
    """A folder that can be taken away."""

    folder: Path
    sums: str  # SHA-256 of SHA256SUMS, hex: stands for the whole folder
    head: Checkpoint
    anchors: tuple[int, ...]  # sizes
    tally: Tally
    slip: Path | None = None  # to be signed when the folder changes hands; beside it


def export(log: Path, out: Path, order: Order, progress: Progress | None = None) -> Exported:
    """Write an export, or go on with one that was begun. Records nothing.

    Args:
        log: Folder of the log; not changed.
        out: Folder in which the export is made.
        order: What is asked.
        progress: Is told how many records are done.

    Raises:
        ExportError: It is there already, or the range is not.
        EnvelopeError: It cannot be encrypted to its recipient.
        TamperedError: The log is damaged.
        PrintingError: The report cannot be set.
        OSError: A file cannot be written.
    """
    found = _notes(order.anchors or log / ANCHORS)  # first: the head covers them then
    archive, ring = Archive(log), _keyring(log)
    note = archive.checkpoint()
    if note is None:
        raise ExportError("the log has no signed checkpoint yet")
    origin = Checkpoint.parse(Note.parse(note).text).origin
    notes = _of(origin, found)
    final = out / contents.folder_name(order, origin)
    work = final.with_name(final.name + PART)
    if order.recipient:
        envelope.check(order.recipient.read_bytes(), order.made)
    if final.exists():
        raise ExportError(f"{final} exists and is not overwritten")
    begun = _Begun.of(work, order, note)
    head = begun.head
    if not archive.begins <= order.first <= order.last < head.size:
        raise ExportError(
            f"records {order.first} to {order.last} are not among the {head.size} signed ones"
            + (
                f", of which those before {archive.begins} were pruned"
                if archive.begins
                else ""
            )
        )
    _Export(log, work, order, begun).run(progress or _silent)
    sizes = _write_notes(work, head, begun.note, notes)
    for size, kept in _of(origin, _notes(log / KEPT)).items():  # where keys were changed
        _write(work / KEPT / f"{size}.note", kept)
    for name, data in contents.files(order, head, ring, begun.tally).items():
        _write(work / name, data)
    shown = [Note.parse(notes[size]) for size in sizes]
    keys = ring.keys_of(head.size)
    note = (work / CHECKPOINT).read_bytes()
    paper = Paper(final.name, order, head, keys, shown, begun.tally, note)
    return _finished(work, final, paper)


def _finished(work: Path, final: Path, paper: Paper) -> Exported:
    """Write the papers and the sums, and give the folder its name."""
    printed = Form.PDF in paper.order.formats
    if printed:
        _write(work / REPORT, typeset(_template("rapport.typ"), papers.report(paper)))
    (work / RESUME).unlink()
    data = contents.sums(work)
    _write(work / contents.SUMS, data)
    sums = contents.digest(data)
    slip = _slip(paper, work, final, sums) if printed else None
    order = paper.order
    if order.recipient:
        final = envelope.seal(work, final.name, order.recipient, order.label)
        shutil.rmtree(work)
    else:
        work.rename(final)
    _sync(final.parent)
    return Exported(final, sums, paper.head, paper.sizes, paper.tally, slip)


def _slip(paper: Paper, work: Path, final: Path, sums: str) -> Path:
    """Write the slip beside the folder: it names the folder by its digest."""
    size = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    path = final.with_name(f"{final.name}.bordereau.pdf")
    _write(path, typeset(_template("bordereau.typ"), papers.slip(paper, sums, size)))
    return path


def _template(name: str) -> Template:
    return Template.of("appliance.audit", name)


def range_of(log: Path) -> tuple[int, int]:
    """Return the indexes of the first and of the last record that an export may hold.

    Raises:
        ExportError: Nothing is signed yet.
    """
    archive = Archive(log)
    note = archive.checkpoint()
    if note is None:
        raise ExportError("the log has no signed checkpoint yet")
    return archive.begins, Checkpoint.parse(Note.parse(note).text).size - 1


class _Begun:
    """Where an export stands: kept beside its files, replaced after they are durable."""

    def __init__(self, work: Path, order: Order, note: bytes) -> None:
        self._path, self._order = work / RESUME, order.described()
        self.note, self.bundle = note, order.first // WIDTH
        self.sizes: dict[str, int] = {}  # bytes of each derived file
        self.tally = Tally()

    @property
    def head(self) -> Checkpoint:
        """The checkpoint under which the export is made."""
        return Checkpoint.parse(Note.parse(self.note).text)

    @classmethod
    def of(cls, work: Path, order: Order, note: bytes) -> "_Begun":
        """Return where the export stands that is found, or a new beginning."""
        begun = cls(work, order, note)
        try:
            saved: dict[str, Any] = json.loads((work / RESUME).read_bytes())
            if saved["order"] != begun._order:
                raise ExportError(f"{work} was begun with another order: remove it first")
        except (FileNotFoundError, ValueError, KeyError):  # killed before the first point
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            return begun
        begun.note = base64.b64decode(saved["note"])
        begun.bundle, begun.sizes = saved["bundle"], saved["sizes"]
        begun.tally = Tally.of(saved["tally"])
        return begun

    def save(self) -> None:
        """Write it down."""
        said = {
            "order": self._order, "note": base64.b64encode(self.note).decode(),
            "bundle": self.bundle, "sizes": self.sizes, "tally": self.tally.described(),
        }  # fmt: skip
        new = self._path.with_suffix(".new")
        _write(new, json.dumps(said).encode())
        new.rename(self._path)


class _Export:
    """The files of the tree, and the lines that are made from the records."""

    def __init__(self, log: Path, work: Path, order: Order, begun: _Begun) -> None:
        self._log, self._work, self._order, self._begun = log, work, order, begun
        self._archive, self._head = Archive(log), begun.head

    def run(self, progress: Progress) -> None:
        """Write all tiles, and the bundles of the range with their lines."""
        self._begun.save()
        for tile in tiles_of(self._head.size):
            path = self._work / tile.path
            if not path.exists() or path.stat().st_size != tile.width * HASH_BYTES:
                _write(path, self._archive.hashes(tile))
        with ExitStack() as stack:
            files = {form: stack.enter_context(self._open(form)) for form in self._forms()}
            self._bundles(files, progress)

    def _forms(self) -> Iterator[Form]:
        return (form for form in DERIVED if form in self._order.formats)

    def _open(self, form: Form) -> IO[bytes]:
        """Open a derived file, cut to what was durable at the last point."""
        name = DERIVED[form]
        descriptor = os.open(self._work / name, os.O_RDWR | os.O_CREAT, 0o640)
        file = os.fdopen(descriptor, "r+b", buffering=1 << 20)
        file.truncate(self._begun.sizes.get(name, 0))
        file.seek(0, os.SEEK_END)
        if form is Form.CSV and not file.tell():
            file.write(CSV_HEADER)
        return file

    def _bundles(self, files: dict[Form, IO[bytes]], progress: Progress) -> None:
        order, begun = self._order, self._begun
        count, end = order.last - order.first + 1, order.last // WIDTH + 1
        tasks = [self._task(row) for row in _rows(begun.bundle, end)]
        for task, made in zip(tasks, lined(tasks, apart=count >= MANY), strict=True):
            for form, lines in made.lines.items():
                files[form].write(lines)
            begun.tally.merge(made.tally)
            begun.bundle = task.bundles.stop
            if begun.bundle % SAVED == 0 or begun.bundle == end:
                self._save(files)
            progress(min(begun.bundle * WIDTH, order.last + 1) - order.first, count)

    def _task(self, bundles: range) -> Task:
        order, head = self._order, self._head
        return Task(
            self._log, self._work, (head.origin, head.size), (order.first, order.last),
            frozenset(self._forms()), bundles,
        )  # fmt: skip

    def _save(self, files: dict[Form, IO[bytes]]) -> None:
        for form, file in files.items():
            file.flush()
            os.fsync(file.fileno())
            self._begun.sizes[DERIVED[form]] = file.tell()
        self._begun.save()


def _rows(start: int, end: int) -> Iterator[range]:
    """Yield the bundles in rows; a point from which an export can go on ends a row."""
    while start < end:
        stop = min(end, start + ROW - start % ROW)
        yield range(start, stop)
        start = stop


def _of(origin: str, notes: dict[int, bytes]) -> dict[int, bytes]:
    """Return the notes of one log: those of an earlier epoch have another origin."""
    return {
        size: data for size, data in notes.items() if data.startswith(f"{origin}\n".encode())
    }


def _notes(folder: Path) -> dict[int, bytes]:
    """Return the notes of a folder by their size; nothing of them is checked."""
    if not folder.is_dir():
        return {}
    return {
        int(path.stem): path.read_bytes()
        for path in folder.glob("*.note")
        if path.stem.isdecimal()
    }


def _write_notes(
    work: Path, head: Checkpoint, note: bytes, notes: dict[int, bytes]
) -> tuple[int, ...]:
    """Write the head and a choice of the anchors; return the sizes of these."""
    _write(work / CHECKPOINT, notes.get(head.size, note))
    sizes = contents.choose(sorted(notes), ANCHORS_MAX)
    for size in sizes:
        _write(work / "anchors" / f"{size}.note", notes[size])
    return tuple(sizes)


def _keyring(log: Path) -> Keyring:
    """Return the keys that the log publishes, with their sizes when they were changed."""
    try:
        keys = parse_keys((log / VERIFIER_KEY).read_text("utf-8"))
        return read_keyring(log, keys)
    except (OSError, UnicodeDecodeError, FormatError) as exc:
        raise ExportError(f"{log}: {VERIFIER_KEY}, {KEYRING}: {exc}") from exc


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _silent(done: int, count: int) -> None:
    pass
