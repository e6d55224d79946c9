"""The folder of a log as an auditor finds it: read with names and offsets, trusted in nothing.

What is read here is compared in `verify.py`. A file that cannot be what its name says is a
`TamperedError`, which names the record, the file and the byte.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from appliance.audit import journal, pruned
from appliance.audit.publisher import CHECKPOINT
from appliance.audit.tile import WIDTH, Tile, split_bundle, split_tile
from appliance.audit.tree import HASH_BYTES
from appliance.audit.volume import JOURNAL
from appliance.errors import FormatError, VerificationError

_HEAD = struct.Struct(">II")
_LENGTH = struct.Struct(">H")


class Fault(StrEnum):
    """What is wrong with a log. The value is for programs."""

    ADMISSION = "E_ADMISSION"  # a record that the recorder would not have admitted
    CHECKPOINT = "E_SIG"  # not a checkpoint, or not signed by the key
    FORMAT = "E_FORMAT"  # a record that is none
    JOURNAL = "E_JOURNAL"  # the journal is damaged, or differs from what was signed
    LEAF = "E_LEAF"  # a record differs from what was signed
    ROLLBACK = "E_ROLLBACK"  # the log is not what was signed before
    ROOT = "E_ROOT"  # the tree differs from what was signed
    TILE = "E_TILE"  # a tile differs from the tiles above it


class TamperedError(VerificationError):
    """The log is not the one that was signed."""

    def __init__(
        self, fault: Fault, detail: str, *, file: str = "", record: int | None = None,
        offset: int | None = None,
    ) -> None:  # fmt: skip
        self.fault, self.detail, self.file = fault, detail, file
        self.record, self.offset = record, offset  # of the first byte of the record
        where = [
            f"record {record}" if record is not None else "",
            file,
            f"byte {offset}" if offset is not None else "",
        ]
        super().__init__(f"{fault} {', '.join(filter(None, where))}: {detail}")


@dataclass(frozen=True, slots=True)
class Record:
    """A record where it was found."""

    index: int
    leaf: bytes
    file: str  # below the folder of the log
    offset: int = -1  # -1: not looked for yet


class Archive:
    """A folder of a log. Also that of a running recorder: nothing is locked or changed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.begins = pruned.minimum(directory)  # first record that was not pruned

    def state(self) -> bytes:
        """Return the state of the budgets where a pruned log begins.

        Raises:
            TamperedError: It is not there.
        """
        name = pruned.name_of(self.begins)
        return _read(self._directory / name, name, Fault.ADMISSION, self.begins)

    def checkpoint(self) -> bytes | None:
        """Return the signed checkpoint, if there is one."""
        path = self._directory / CHECKPOINT
        return _read(path, CHECKPOINT, Fault.CHECKPOINT) if path.exists() else None

    def hashes(self, tile: Tile) -> bytes:
        """Return the hashes of a tile; a recorder may have dropped the partial one.

        Raises:
            TamperedError: It is not there, or not as long as it has to be.
        """
        if not (self._directory / tile.path).exists() and tile.width < WIDTH:
            return self.hashes(tile.full)[: tile.width * HASH_BYTES]
        first = tile.index * WIDTH << 8 * tile.level
        data = _read(self._directory / tile.path, tile.path, Fault.TILE, first)
        try:
            split_tile(data, tile)
        except FormatError as exc:
            raise TamperedError(Fault.TILE, str(exc), file=tile.path, record=first) from exc
        return data

    def entries(self, tile: Tile) -> Iterator[Record]:
        """Yield the records of a bundle; what can be read first, when it is damaged.

        Raises:
            TamperedError: It is not there, or holds another number of records.
        """
        if not (self._directory / tile.bundle).exists() and tile.width < WIDTH:
            yield from islice(self.entries(tile.full), tile.width)
            return
        index, end = tile.index * WIDTH, 0
        data = _read(self._directory / tile.bundle, tile.bundle, Fault.LEAF, index)
        for offset, leaf in islice(_lengths(data, 0, len(data)), tile.width):
            yield Record(index, leaf, tile.bundle, offset)
            index, end = index + 1, offset + len(leaf)
        try:
            split_bundle(data, tile)
        except FormatError as exc:
            raise TamperedError(
                Fault.LEAF, str(exc), file=tile.bundle, record=index, offset=end
            ) from exc

    def journal(self, signed: int) -> Iterator[Record]:
        """Yield the records of the journal, in order; of a pruned log, some that are old too.

        Where it is damaged before record `signed`, what can still be read is yielded first, so
        that the record is named which differs from what was signed.

        Raises:
            TamperedError: It is damaged, or a part is missing.
        """
        folder = self._directory / JOURNAL
        index = 0
        paths = sorted(folder.glob("[0-9]" * 16))
        if not paths:
            raise TamperedError(Fault.JOURNAL, "there is no journal", file=JOURNAL, record=0)
        if self.begins:
            index = min(self.begins, int(paths[0].name))
        for path in paths:
            name = f"{JOURNAL}/{path.name}"
            data = _read(path, name, Fault.JOURNAL, index)
            leaves, damage = _scan(data, index, signed, name)
            for leaf in leaves:
                yield Record(index, leaf, name)
                index += 1
            if damage:
                raise damage
        if index < signed:
            raise TamperedError(
                Fault.JOURNAL, f"the journal has {index} records, {signed} are signed",
                file=JOURNAL, record=index,
            )  # fmt: skip

    def offset(self, record: Record) -> int | None:
        """Return where in its file a record begins."""
        if record.offset >= 0:
            return record.offset
        offset = (self._directory / record.file).read_bytes().find(record.leaf)
        return offset if offset >= 0 else None


def _scan(
    data: bytes, index: int, signed: int, name: str
) -> tuple[list[bytes], TamperedError | None]:
    """Return the leaves of a segment, and what is wrong with it."""
    try:
        found = journal.scan(data)
    except FormatError as exc:
        error = TamperedError(Fault.JOURNAL, str(exc), file=name, record=index)
        return list(_lenient(data)), error
    if found.first != index:
        detail = f"the segment begins with record {found.first}"
        return [], TamperedError(Fault.JOURNAL, detail, file=name, record=index)
    if found.torn and found.next < signed:  # after a crash nothing is lost that was signed
        detail = "a signed record is damaged or missing"
        error = TamperedError(
            Fault.JOURNAL, detail, file=name, record=found.next, offset=found.end
        )
        return list(_lenient(data)), error
    return found.leaves, None


def _lenient(data: bytes) -> Iterator[bytes]:
    """Yield what looks like leaves, whatever the checksums say."""
    offset = journal.HEADER_BYTES
    while offset + _HEAD.size <= len(data):
        length, _ = _HEAD.unpack_from(data, offset)
        offset += _HEAD.size
        if not 0 < length <= len(data) - offset:
            return
        for _, leaf in _lengths(data, offset, offset + length):
            yield leaf
        offset += length


def _lengths(data: bytes, offset: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield `u16 length ‖ leaf` as far as they go: offset and leaf."""
    while offset + _LENGTH.size <= end:
        (length,) = _LENGTH.unpack_from(data, offset)
        start = offset + _LENGTH.size
        offset = start + length
        if offset > end:
            return
        yield start, data[start:offset]


def _read(path: Path, name: str, fault: Fault, record: int | None = None) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        detail = f"cannot be read: {exc.strerror}"
        raise TamperedError(fault, detail, file=name, record=record) from exc
