"""A copy of the log on a medium that is carried away: what grew is added, all is read again.

The medium holds what is published: tiles, entries, anchors, and last the checkpoint. Each file
is durable before the checkpoint that needs it, so an interrupted copy is the copy before,
and goes on where it ended. The medium is held against the log, and the log against the medium:
a log that does not begin with what the medium holds is refused. Names are those of the log,
which exFAT takes too. Sealed keys and the journal stay where they are.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.audit.archive import Archive, Fault, TamperedError
from appliance.audit.checkpoint import Checkpoint, empty, open_checkpoint
from appliance.audit.key import Verifier
from appliance.audit.lineage import keys_ever, open_known
from appliance.audit.publisher import CHECKPOINT
from appliance.audit.tile import (
    WIDTH,
    Tile,
    complete_root,
    encode_bundle,
    node_from_tiles,
    split_tile,
    tile_at,
    tiles_of,
)
from appliance.audit.tree import Frontier, leaf_hash
from appliance.errors import ApplianceError, FormatError, VerificationError

BESIDE = (
    "anchors/*.note",
    "checkpoints/*.note",
    "pruned/*.state",
    "verifier-key",
    "keyring.json",
)
_MODE = 0o644


class CopyError(ApplianceError):
    """The medium and the log do not go together, or the medium cannot be written."""

    code = "CM-JRN-61"


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy did."""

    note: bytes  # the checkpoint that is on the medium now
    head: Checkpoint
    before: int  # leaves that were there before
    files: int  # written
    begins: int  # first record that the log has not pruned


def copy(log: Path, to: Path, keys: Sequence[Verifier], anchors: Path | None = None) -> Copied:
    """Bring the copy in `to` up to the log. What is there is not read again: `check` does.

    Args:
        log: Folder of a log; its recorder may run.
        to: Folder on the medium; it is there, empty or with an earlier copy.
        keys: That sign the log now.
        anchors: Folder of the anchored checkpoints, where it is not below the log.

    Raises:
        CopyError: The medium holds another history, or cannot be written.
        VerificationError: The log is not signed by these keys, or damaged.
    """
    source = Archive(log)
    note = source.checkpoint() or b""
    head = open_checkpoint(note, *keys) if note else empty(keys[0].name)
    old = _on_medium(to, keys_ever(log, keys), head)
    _check_prefix(source, old, head)
    try:
        written = _write_all(source, to, old, head)
        written += _beside(log, to, anchors)
        written += _put(to / CHECKPOINT, note)
        _drop_stale(to, old, head)
    except OSError as exc:
        raise CopyError(f"{to}: {exc.strerror or exc}") from exc
    return Copied(note, head, old.size, written, source.begins)


def check(folder: Path, keys: Sequence[Verifier], begins: int = 0) -> int:
    """Read a copy, and hold every file against its signed checkpoint.

    Args:
        folder: Of the copy; not trusted.
        keys: Each of them has to have signed.
        begins: First record that the log had not pruned: from here on, all have to be there.

    Returns:
        Leaves that were read.

    Raises:
        TamperedError: A file is not what was signed; the error names it.
    """
    archive = Archive(folder)
    try:
        head = open_checkpoint(archive.checkpoint() or b"", *keys)
    except (FormatError, VerificationError) as exc:
        raise TamperedError(Fault.CHECKPOINT, str(exc), file=CHECKPOINT) from exc

    @functools.lru_cache(maxsize=16)
    def row(tile: Tile) -> list[bytes]:
        return split_tile(archive.hashes(tile), tile)

    root = Frontier.from_nodes(head.size, node_from_tiles(head.size, row)).root()
    if root != head.root:
        raise TamperedError(Fault.ROOT, "the last tiles do not lead to it", file="tile")
    read = 0
    for tile in sorted(tiles_of(head.size), key=lambda tile: -tile.level):
        _check_tile(tile, row, head.size)
        if tile.level == 0 and _is_there(folder, tile, begins):
            read += _check_bundle(archive, tile, row(tile))
    return read


def _check_tile(tile: Tile, row: Callable[[Tile], list[bytes]], size: int) -> None:
    """Hold a tile against the one above it, which was checked before; the edge by the root."""
    hashes = row(tile)
    if tile.width < WIDTH:
        return
    above = row(tile_at(tile.level + 1, tile.index // WIDTH, size))[tile.index % WIDTH]
    if complete_root(hashes) != above:
        first = tile.index * WIDTH << 8 * tile.level
        detail = "its hashes are not those that were signed"
        raise TamperedError(Fault.TILE, detail, file=tile.path, record=first)


def _is_there(folder: Path, tile: Tile, begins: int) -> bool:
    """Tell whether a bundle has to be read; below `begins` it may be gone from the log."""
    return (tile.index + 1) * WIDTH > begins or (folder / tile.bundle).exists()


def _check_bundle(archive: Archive, tile: Tile, hashes: Sequence[bytes]) -> int:
    count = 0
    for record, known in zip(archive.entries(tile), hashes, strict=True):
        if leaf_hash(record.leaf) != known:
            raise TamperedError(
                Fault.LEAF, "this is not the record that was signed",
                file=record.file, record=record.index, offset=record.offset,
            )  # fmt: skip
        count += 1
    return count


def _on_medium(to: Path, keys: Sequence[Verifier], head: Checkpoint) -> Checkpoint:
    """Return the checkpoint of the copy that is there, if there is one."""
    try:
        note = (to / CHECKPOINT).read_bytes()
    except FileNotFoundError:
        return empty(head.origin)
    except OSError as exc:
        raise CopyError(f"{to}: {exc.strerror}") from exc
    try:
        return open_known(note, keys)
    except (FormatError, VerificationError) as exc:
        raise CopyError(f"{to / CHECKPOINT} is not of this log: {exc}") from exc


def _check_prefix(source: Archive, old: Checkpoint, head: Checkpoint) -> None:
    """Check that the log begins with what the medium holds.

    Raises:
        CopyError: It does not: it was changed, or brought back.
    """
    if old.origin != head.origin or old.size > head.size:
        raise CopyError(
            f"the medium holds {old.size} records of {old.origin}, "
            f"the log has {head.size} of {head.origin}"
        )
    node = node_from_tiles(head.size, lambda tile: split_tile(source.hashes(tile), tile))
    if old.size and Frontier.from_nodes(old.size, node).root() != old.root:
        raise CopyError(f"the log does not begin with the {old.size} records of the medium")


def _write_all(source: Archive, to: Path, old: Checkpoint, head: Checkpoint) -> int:
    """Write the files that are not there; a file that ended well is not written again."""
    written, new = 0, set(tiles_of(head.size, old.size))
    for tile in tiles_of(head.size):
        for path, content in _contents(source, to, tile):
            if tile in new or not path.exists():
                written += _put(path, content())
    return written


def _contents(
    source: Archive, to: Path, tile: Tile
) -> Iterator[tuple[Path, Callable[[], bytes]]]:
    yield to / tile.path, lambda: source.hashes(tile)
    if tile.level == 0 and (tile.index + 1) * WIDTH > source.begins:
        yield (
            to / tile.bundle,
            lambda: encode_bundle([record.leaf for record in source.entries(tile)]),
        )


def _beside(log: Path, to: Path, anchors: Path | None) -> int:
    written = 0
    for pattern in BESIDE:
        for path in sorted(log.glob(pattern)):
            written += _put(to / path.relative_to(log), path.read_bytes())
    for path in sorted(anchors.glob("*.note")) if anchors else []:
        written += _put(to / "anchors" / path.name, path.read_bytes())
    return written


def _put(path: Path, data: bytes) -> bool:
    """Write a file durably, unless it is there; the next reading comes from the medium."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    fresh.replace(path)
    fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # exFAT through FUSE syncs no folder
            os.fsync(fd)
    finally:
        os.close(fd)
    return True


def _drop_stale(to: Path, old: Checkpoint, head: Checkpoint) -> None:
    """Take away the partial tiles that the checkpoint before needed, and this one does not."""
    needed = set(tiles_of(head.size))
    for tile in tiles_of(old.size):
        if tile not in needed:
            names = [tile.path, tile.bundle] if tile.level == 0 else [tile.path]
            for name in names:
                (to / name).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # others of it are still needed
                    (to / name).parent.rmdir()
