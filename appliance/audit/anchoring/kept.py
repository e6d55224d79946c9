"""The folder of the anchors: `<size>.note` is a checkpoint with all cosignatures known for it.

A new cosignature joins those that are there. Two checkpoints of one size are never joined: that
is a fork, and refused. A log that follows another one under a new origin begins its sizes anew;
the note of the former log then keeps its place under `<size>.<8 hex of its origin>.note`.
"""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from appliance.audit.anchoring.answer import Anchor, AnchorError, merge
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.note import Note
from appliance.audit.publisher import write_files
from appliance.errors import FormatError

SUFFIX = ".note"


def keep(folder: Path, anchor: Anchor) -> Path:
    """Write an anchor durably; return its file.

    Args:
        folder: Made when it is not there.
        anchor: That was accepted.

    Raises:
        AnchorError: Another checkpoint of this size is kept: the log was forked.
        OSError: It cannot be written.
    """
    if not folder.exists():
        folder.mkdir(parents=True)
        _give(folder)
    path = folder / f"{anchor.head.size}{SUFFIX}"
    note = anchor.note
    if path.exists():
        kept = _read(path)
        if kept.text != note.text:
            _set_aside(path, kept, anchor.head)
        else:
            note = merge(kept, note)
    write_files(folder, {path.name: note.to_bytes()})
    _give(path)
    return path


def _give(path: Path) -> None:
    """Let whose folder it is have what root wrote at the rack: the recorder reads it later."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _read(path: Path) -> Note:
    try:
        note = Note.parse(path.read_bytes())
        Checkpoint.parse(note.text)
    except FormatError as exc:
        raise AnchorError(f"{path} is damaged: {exc}") from exc
    return note


def _set_aside(path: Path, kept: Note, head: Checkpoint) -> None:
    former = Checkpoint.parse(kept.text).origin
    if former == head.origin:
        raise AnchorError(f"{path} holds another checkpoint of {head.size} records")
    mark = hashlib.sha256(former.encode()).hexdigest()[:8]
    path.rename(path.with_name(f"{head.size}.{mark}{SUFFIX}"))


def largest(folder: Path, origin: str, names: Collection[str] | None = None) -> int:
    """Return the size of the largest anchor that is kept: what a witness knows at least.

    Args:
        folder: Not trusted: a wrong size only makes a witness say which one it has.
        origin: Of the log.
        names: Key names of the witnesses that are meant; None: any.

    Returns:
        Leaves; 0: none.
    """
    sizes = [int(path.stem) for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal()]
    for size in sorted(sizes, reverse=True):
        try:
            note = _read(folder / f"{size}{SUFFIX}")
        except (AnchorError, OSError):
            continue
        cosigners = {line.name for line in note.signatures} - {origin}
        if note.text.startswith(f"{origin}\n") and cosigners & set(names or cosigners):
            return size
    return 0
