"""Falsifies a copy of a log, as somebody would who has all of its files and not its key.

For demonstrations and tests: each kind is a row of the attack table, which `verify` refuses.
The log itself is only read, and the copy never holds its key.
"""

import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance.audit import journal, publisher
from appliance.audit.archive import Archive
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.key import SEED_BYTES, Signer
from appliance.audit.note import Note
from appliance.audit.publisher import CHECKPOINT, Publisher
from appliance.audit.tile import WIDTH, encode_bundle, tile_at, tiles_of
from appliance.audit.tree import HASH_BYTES, leaf_hash
from appliance.audit.volume import JOURNAL
from appliance.errors import ApplianceError

_SEGMENT = "0" * 16
_AROUND = 30  # bytes
_ANSWER = re.compile(rb'"type":"casemate\.llm\.(completion|error|interrupted)\.')
_NUMBERS = [  # what says how much, or when
    re.compile(rb'"%b":[0-9]*([0-9])' % name)
    for name in (b"completion_tokens", b"max_tokens", b"limit", b"at")
]


class FalsifyError(ApplianceError):
    """The log cannot be falsified as asked; the message says why."""

    code = "CM-JRN-06"


class Kind(StrEnum):
    """What the falsifier does."""

    RECORD = "record"  # one figure of a record, in bundle and journal, checksum included
    BUNDLE = "bundle"  # the same, in the bundle only
    JOURNAL = "journal"  # the same, in the journal only
    BIT = "bit"  # one bit of the journal
    HASH = "hash"  # a leaf hash
    SWAP = "swap"  # a record and the one before it change places
    DELETE = "delete"  # a record is taken out
    CUT = "cut"  # the records from here on are taken out
    REWRITTEN = "rewritten"  # one figure, and every hash recomputed
    FORGED = "forged"  # the same, and signed with a key of the falsifier's own


@dataclass(frozen=True, slots=True)
class Falsified:
    """What was changed."""

    kind: Kind
    record: int
    before: bytes  # the record
    after: bytes  # the same place in the copy; empty when nothing is there any more

    def excerpts(self) -> tuple[str, str]:
        """Return where the two differ, with what stands around it."""
        pairs = enumerate(zip(self.before, self.after, strict=False))
        at = next((n for n, (old, new) in pairs if old != new), 0)
        around = slice(max(0, at - _AROUND), at + _AROUND)
        return self.before[around].decode("utf-8", "replace"), self.after[around].decode(
            "utf-8", "replace"
        )


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy that is being falsified."""

    out: Path
    head: Checkpoint
    leaves: Sequence[bytes]  # of the whole journal, as they were
    index: int

    def edited(self) -> list[bytes]:
        """Return the leaves with one figure of one record changed."""
        leaves = list(self.leaves)
        leaves[self.index] = _edit(leaves[self.index])
        return leaves

    def write_bundles(self, leaves: Sequence[bytes]) -> None:
        """Write the entry bundles of the signed part."""
        for tile in tiles_of(self.head.size):
            if tile.level == 0:
                part = leaves[tile.index * WIDTH :][: tile.width]
                (self.out / tile.bundle).write_bytes(encode_bundle(part))

    def write_journal(self, leaves: Sequence[bytes]) -> None:
        """Write a journal whose checksums are right."""
        folder = self.out / JOURNAL
        for path in folder.iterdir():
            path.unlink()
        most = journal.LEAVES_MAX
        groups = (leaves[at : at + most] for at in range(0, len(leaves), most))
        data = journal.header(0) + b"".join(map(journal.encode, groups))
        (folder / _SEGMENT).write_bytes(data)

    def write_tree(self, leaves: Sequence[bytes]) -> None:
        """Publish these leaves anew, signed with a key of our own."""
        shutil.rmtree(self.out / "tile")
        (self.out / CHECKPOINT).unlink()
        signer = Signer(self.head.origin, secrets.token_bytes(SEED_BYTES))
        with tempfile.TemporaryDirectory() as folder:
            publisher.create(Path(folder), self.head.origin)
            forger = Publisher(self.out, Path(folder), signer)
            forger.open([], 0)
            signed = leaves[: self.head.size]
            forger.publish(signed, [leaf_hash(leaf) for leaf in signed])


def falsify(directory: Path, out: Path, kind: Kind, record: int | None = None) -> Falsified:
    """Copy a log and falsify the copy.

    Args:
        directory: The log; not changed.
        out: Folder to make.
        kind: What to do.
        record: Index of the record; the last recorded answer when not given.

    Raises:
        FalsifyError: The copy exists, or the log is too small.
        TamperedError: The log cannot be read.
    """
    archive = Archive(directory)
    note = archive.checkpoint()
    if note is None:
        raise FalsifyError("the log has no signed checkpoint yet")
    head = Checkpoint.parse(Note.parse(note).text)
    leaves = [found.leaf for found in archive.journal(head.size)]
    index = _choose(leaves, head.size, record)
    _copy(directory, out)
    copy = _Copy(out, head, leaves, index)
    after = KINDS[kind](copy)
    return Falsified(kind, index, leaves[index], after)


def _choose(leaves: Sequence[bytes], size: int, record: int | None) -> int:
    if record is None:
        answers = [n for n in range(1, size) if _ANSWER.search(leaves[n])]
        record = answers[-1] if answers else size - 1
    if not 1 <= record < size:
        raise FalsifyError(f"record {record} is not one of 1 to {size - 1}, the signed ones")
    return record


def _copy(directory: Path, out: Path) -> None:
    try:
        out.mkdir()
    except OSError as exc:
        raise FalsifyError(f"{out}: {exc.strerror}") from exc
    shutil.copyfile(directory / CHECKPOINT, out / CHECKPOINT)
    shutil.copytree(directory / "tile", out / "tile")
    (out / JOURNAL).mkdir()
    for path in (directory / JOURNAL).glob("[0-9]" * 16):
        data = path.read_bytes()  # without the zeros that were written ahead
        end = max(journal.HEADER_BYTES, len(data.rstrip(b"\0")))
        (out / JOURNAL / path.name).write_bytes(data[:end])


def _edit(leaf: bytes) -> bytes:
    """Change the last figure of a number that matters."""
    found = next(filter(None, (number.search(leaf) for number in _NUMBERS)), None)
    if found is None:
        raise FalsifyError("the record holds no number to change")
    at = found.start(1)
    return leaf[:at] + b"%d" % ((int(found[1]) + 1) % 10) + leaf[at + 1 :]


def _record(copy: _Copy) -> bytes:
    leaves = copy.edited()
    copy.write_bundles(leaves)
    copy.write_journal(leaves)
    return leaves[copy.index]


def _bundle(copy: _Copy) -> bytes:
    leaves = copy.edited()
    copy.write_bundles(leaves)
    return leaves[copy.index]


def _journal(copy: _Copy) -> bytes:
    leaves = copy.edited()
    copy.write_journal(leaves)
    return leaves[copy.index]


def _bit(copy: _Copy) -> bytes:
    leaf = copy.leaves[copy.index]
    at = len(leaf) // 2
    changed = leaf[:at] + bytes([leaf[at] ^ 1]) + leaf[at + 1 :]
    for path in (copy.out / JOURNAL).iterdir():
        path.write_bytes(path.read_bytes().replace(leaf, changed))
    return changed


def _hash(copy: _Copy) -> bytes:
    tile = tile_at(0, copy.index // WIDTH, copy.head.size)
    path, start = copy.out / tile.path, copy.index % WIDTH * HASH_BYTES
    data = path.read_bytes()
    path.write_bytes(data[:start] + bytes(HASH_BYTES) + data[start + HASH_BYTES :])
    return copy.leaves[copy.index]


def _swap(copy: _Copy) -> bytes:
    leaves, n = list(copy.leaves), copy.index
    leaves[n - 1], leaves[n] = leaves[n], leaves[n - 1]
    copy.write_bundles(leaves)
    copy.write_journal(leaves)
    return leaves[n]


def _delete(copy: _Copy) -> bytes:
    leaves = [*copy.leaves[: copy.index], *copy.leaves[copy.index + 1 :]]
    copy.write_bundles(leaves)
    copy.write_journal(leaves)
    return leaves[copy.index] if copy.index < len(leaves) else b""


def _cut(copy: _Copy) -> bytes:
    leaves = copy.leaves[: copy.index]
    copy.write_bundles(leaves)
    copy.write_journal(leaves)
    return b""


def _rewritten(copy: _Copy) -> bytes:
    note = (copy.out / CHECKPOINT).read_bytes()
    after = _forged(copy)
    (copy.out / CHECKPOINT).write_bytes(note)
    return after


def _forged(copy: _Copy) -> bytes:
    after = _record(copy)
    copy.write_tree(copy.edited())
    return after


KINDS: dict[Kind, Callable[[_Copy], bytes]] = {
    Kind.RECORD: _record,
    Kind.BUNDLE: _bundle,
    Kind.JOURNAL: _journal,
    Kind.BIT: _bit,
    Kind.HASH: _hash,
    Kind.SWAP: _swap,
    Kind.DELETE: _delete,
    Kind.CUT: _cut,
    Kind.REWRITTEN: _rewritten,
    Kind.FORGED: _forged,
}
