"""Publishes the log: tiles, entry bundles and signed checkpoints; proves from them.

    checkpoint                 the signed note, replaced by rename
    tile/L/N, tile/entries/N   see `tile.py`; a partial one stays until its full one is there

In a folder of its own, on another volume and outside the backups:

    last-signed                text of the last checkpoint that was about to be signed

Order: `last-signed` is durable before the signature exists, the tiles before the checkpoint
that needs them. So no crash leads to two roots for one size, and a log restored from a backup
is seen: it is behind what was signed, or differs from it, and `open` refuses. The caller holds
the lock of the directory, and hands over durable leaves only.
"""

import fcntl
import functools
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from appliance.audit import pruned
from appliance.audit.checkpoint import Checkpoint, empty, open_checkpoint
from appliance.audit.key import Signer
from appliance.audit.note import sign
from appliance.audit.proof import Proof
from appliance.audit.tile import (
    WIDTH,
    Tile,
    complete_root,
    encode_bundle,
    node_from_tiles,
    split_bundle,
    split_tile,
    tile_at,
    tiles_of,
)
from appliance.audit.tree import HASH_BYTES, Frontier, consistency_path, inclusion_path
from appliance.errors import ApplianceError, FormatError, VerificationError

CHECKPOINT, LAST_SIGNED = "checkpoint", "last-signed"
_MODE = 0o640


class RollbackError(ApplianceError):
    """The log is behind what was signed, or differs from it. The recorder must not start."""

    code = "CM-JRN-03"


class Publisher:
    """Writes below `directory`; keeps the last signed root in the folder `last_signed`."""

    def __init__(self, directory: Path, last_signed: Path, signer: Signer) -> None:
        self._directory = directory
        self._folder = last_signed
        self._signer = signer
        self._published = (
            empty(signer.verifier.name),
            b"",
        )  # replaced at once: threads read it
        self._signed = self._published[0]
        self._edge: list[list[bytes]] = []  # per level, the hashes of its unfinished tile
        self.kept = 0  # first record that was not pruned

    @property
    def head(self) -> Checkpoint:
        """What is published."""
        return self._published[0]

    @property
    def note(self) -> bytes:
        """The signed checkpoint; empty when nothing is published yet."""
        return self._published[1]

    def load(self) -> Checkpoint:
        """Read and verify what is published: the journal is needed from its size on only.

        Raises:
            RollbackError: It is not ours.
        """
        try:
            note = (self._directory / CHECKPOINT).read_bytes()
            head = open_checkpoint(note, *self._signer.verifiers)
        except FileNotFoundError:
            note, head = b"", empty(self._signer.verifier.name)
        except (FormatError, VerificationError) as exc:
            raise RollbackError(f"the published checkpoint is not ours: {exc}") from exc
        self._published, self.kept = (head, note), pruned.minimum(self._directory)
        return head

    def open(
        self, tail: Sequence[bytes], size: int, known: Sequence[Checkpoint] = ()
    ) -> Frontier:
        """Recover from the right edge of the tiles, and check the log against what was signed.

        Args:
            tail: The leaves of the journal from `load().size` on.
            size: Leaves in the journal.
            known: Signed checkpoints of this log that came back from elsewhere.

        Returns:
            The frontier of the whole log, the tail included.

        Raises:
            RollbackError: The log is behind the last signed root, or differs from it.
        """
        head, signed = self.load(), self._last_signed()
        if signed.size < head.size:
            raise RollbackError(
                f"{head.size} records are published, the last signed root knows {signed.size}"
            )
        if size < signed.size:
            raise RollbackError(f"the journal has {size} records, {signed.size} were signed")
        if (most := max((one.size for one in known), default=0)) > size:
            raise RollbackError(f"the journal has {size} records, {most} are known elsewhere")
        assert size == head.size + len(tail)
        frontier = self._recover(head)
        self.check_published(known)
        later = [signed, *(one for one in known if one.size > head.size)]
        for leaf in tail:
            for one in later:
                _check_root(frontier, one)
            frontier.add(leaf)
        for one in later:
            _check_root(frontier, one)
        self._signed = signed
        return frontier

    def sign_with(self, signer: Signer) -> None:
        """Sign from here on with these keys; those of `head` are among them."""
        self._signer = signer

    def publish(self, leaves: Sequence[bytes], hashes: Sequence[bytes]) -> bytes:
        """Sign and write the tree that these leaves complete; return the signed checkpoint.

        May run in a thread of its own, one call at a time; `prove` goes on meanwhile.

        Args:
            leaves: All that became durable since the last call, or since `load().size`.
            hashes: Their leaf hashes.

        Raises:
            RollbackError: Another process signed in the meantime.
            OSError: A write failed; end the process, the next one recovers.
        """
        if not leaves:
            return self.note
        old = self.head
        edge, files = _grow(self._edge, old.size, hashes)
        size = old.size + len(leaves)
        root = Frontier.from_nodes(size, node_from_tiles(size, lambda t: edge[t.level])).root()
        head = Checkpoint(old.origin, size, root)
        self._claim(head)
        note = sign(head.text(), self._signer).to_bytes()
        self._write(files | self._bundles(leaves, old.size))
        self._write({CHECKPOINT: note})
        self._published, self._edge = (head, note), edge
        self._drop_partial_tiles(old.size, size)
        return note

    def prove(self, index: int) -> Proof:
        """Return the proof of a published leaf, from two tiles per level at most.

        Raises:
            VerificationError: The leaf is not published.
        """
        head, note = self._published
        _check_published(index, head)
        node = node_from_tiles(head.size, functools.cache(self._hashes))
        return Proof(index, tuple(inclusion_path(index, head.size, node)), note)

    def extend(self, old: int) -> tuple[bytes, list[bytes]]:
        """Return the signed checkpoint, and the proof that it extends the tree of `old` leaves.

        Raises:
            VerificationError: It does not have as many, or nothing is published yet.
        """
        head, note = self._published
        if not note or old > head.size:
            raise VerificationError(f"{head.size} records are published, not {old}")
        node = node_from_tiles(head.size, functools.cache(self._hashes))
        return note, consistency_path(old, head.size, node) if old else []

    def entry(self, index: int) -> bytes:
        """Return a published leaf.

        Raises:
            VerificationError: The leaf is not published, or was pruned.
        """
        head = self.head
        self._check_kept(index, head)
        return self._entries(tile_at(0, index // WIDTH, head.size))[index % WIDTH]

    def entries(self, start: int, limit: int) -> list[bytes]:
        """Return published leaves from `start` on, at most `limit`; a bundle is read once.

        Raises:
            VerificationError: The first one is not published, or was pruned.
        """
        size = self.head.size
        self._check_kept(start, self.head)
        end = min(start + limit, size)
        found: list[bytes] = []
        for index in range(start // WIDTH, -(-end // WIDTH)):
            found += self._entries(tile_at(0, index, size))
        first = start - start % WIDTH
        return found[start - first : end - first]

    def _check_kept(self, index: int, head: Checkpoint) -> None:
        _check_published(index, head)
        if index < self.kept:
            raise VerificationError(f"record {index} was pruned, the log begins at {self.kept}")

    def _recover(self, head: Checkpoint) -> Frontier:
        levels = range(-(-head.size.bit_length() // 8))
        try:
            self._edge = [self._unfinished(level, head.size) for level in levels]
        except (OSError, FormatError) as exc:
            raise RollbackError(f"a tile of the checkpoint is not whole: {exc}") from exc
        node = node_from_tiles(head.size, lambda tile: self._edge[tile.level])
        frontier = Frontier.from_nodes(head.size, node)
        _check_root(frontier, head)
        return frontier

    def check_published(self, known: Sequence[Checkpoint]) -> None:
        """Check that the published log begins with each of these that is not longer.

        Raises:
            RollbackError: It does not, or a tile is not whole.
        """
        head = self.head
        node = node_from_tiles(head.size, functools.cache(self._hashes))
        for one in known:
            if one.size <= head.size:
                try:
                    frontier = Frontier.from_nodes(one.size, node)
                except (OSError, FormatError) as exc:
                    raise RollbackError(f"a tile is not whole: {exc}") from exc
                _check_root(frontier, one)

    def _unfinished(self, level: int, size: int) -> list[bytes]:
        tile = tile_at(level, (size >> 8 * level) // WIDTH, size)
        return self._hashes(tile) if tile.width else []

    def _hashes(self, tile: Tile) -> list[bytes]:
        """Read a tile; where the partial one was dropped meanwhile, from the full one."""
        try:
            data = (self._directory / tile.path).read_bytes()
        except FileNotFoundError:
            full = (self._directory / tile.full.path).read_bytes()
            data = full[: tile.width * HASH_BYTES]
        return split_tile(data, tile)

    def _entries(self, tile: Tile) -> list[bytes]:
        try:
            found = split_bundle((self._directory / tile.bundle).read_bytes(), tile)
        except FileNotFoundError:
            full = (self._directory / tile.full.bundle).read_bytes()
            found = split_bundle(full, tile.full)
        return [entry for _, entry in found]

    def _bundles(self, leaves: Sequence[bytes], start: int) -> dict[str, bytes]:
        first = start - start % WIDTH
        unfinished = self._entries(tile_at(0, start // WIDTH, start)) if start > first else []
        entries = [*unfinished, *leaves]
        size = start + len(leaves)
        return {
            tile.bundle: encode_bundle(entries[at : at + tile.width])
            for tile in tiles_of(size, start)
            if tile.level == 0
            for at in [tile.index * WIDTH - first]
        }

    def _drop_partial_tiles(self, old: int, size: int) -> None:
        for tile in tiles_of(old):
            full = tile.full
            if tile.width < WIDTH and tile_at(tile.level, tile.index, size) == full:
                names = [full.path, full.bundle] if tile.level == 0 else [full.path]
                for name in names:
                    shutil.rmtree(self._directory / f"{name}.p", ignore_errors=True)

    def _last_signed(self) -> Checkpoint:
        try:
            text = (self._folder / LAST_SIGNED).read_text("utf-8")
            return Checkpoint.parse(text)
        except (OSError, UnicodeDecodeError, FormatError) as exc:
            raise RollbackError(f"the last signed root cannot be read: {exc}") from exc

    def _claim(self, head: Checkpoint) -> None:
        """Write down that `head` is about to be signed, unless somebody signed another one."""
        assert head.size >= self._signed.size
        with _flocked(self._folder):
            if self._last_signed() != self._signed:
                raise RollbackError("another recorder signed in the meantime")
            write_files(self._folder, {LAST_SIGNED: head.text().encode()})
        self._signed = head

    def _write(self, files: Mapping[str, bytes]) -> None:
        write_files(self._directory, files)


def create(last_signed: Path, origin: str) -> None:
    """Write the last signed root of a new log. It is never overwritten.

    Raises:
        RollbackError: One is there: a log of that machine was signed before.
        OSError: The folder is not there.
    """
    if os.path.lexists(last_signed / LAST_SIGNED):
        raise RollbackError(f"{last_signed / LAST_SIGNED} exists and is not overwritten")
    write_files(last_signed, {LAST_SIGNED: empty(origin).text().encode()})


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Replace files below `directory`, durably: write all, sync all, rename all, sync folders.

    In this order the file system commits them together, not one after the other.

    Raises:
        OSError: Some may be written, none is half written.
    """
    folders = {directory}
    for name, data in files.items():
        path = directory / name
        if path.parent not in folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            folders.update(p for p in path.parents if p.is_relative_to(directory))
        fd = os.open(_temporary(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
    for name in files:
        sync(_temporary(directory / name))
    for name in files:
        _temporary(directory / name).rename(directory / name)
    for folder in folders:
        sync(folder)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def sync(path: Path) -> None:
    """Make a file or a folder durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _flocked(folder: Path) -> Iterator[None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _check_root(frontier: Frontier, signed: Checkpoint) -> None:
    if frontier.size == signed.size and frontier.root() != signed.root:
        raise RollbackError(f"the log does not have the root signed for {signed.size} records")


def _check_published(index: int, head: Checkpoint) -> None:
    if not 0 <= index < head.size:
        raise VerificationError(f"record {index} is not among the {head.size} published ones")


def _grow(
    edge: Sequence[Sequence[bytes]], size: int, hashes: Sequence[bytes]
) -> tuple[list[list[bytes]], dict[str, bytes]]:
    """Return the unfinished tiles after these leaf hashes, and the files that change."""
    grown: list[list[bytes]] = []
    files: dict[str, bytes] = {}
    new, level = list(hashes), 0
    while new or level < len(edge):
        row = [*edge[level], *new] if level < len(edge) else new
        first = (size >> 8 * level) // WIDTH  # the tile that `row` begins
        changed, new = bool(new), []
        for at in range(0, len(row), WIDTH):
            part = row[at : at + WIDTH]
            if len(part) == WIDTH:
                new.append(complete_root(part))
            if changed:
                files[Tile(level, first + at // WIDTH, len(part)).path] = b"".join(part)
        grown.append(row[len(row) - len(row) % WIDTH :])
        level += 1
    return grown, files
