"""Tiles of the log on disk: names, contents, and which ones a tree of a given size has.

Format: https://c2sp.org/tlog-tiles. A hash tile holds up to 256 hashes of 32 bytes: hash i of
tile n at level l is the root of the complete subtree of 256**l leaves number n * 256 + i. An
entry bundle holds the entries under a tile of level 0, `(u16 length ‖ entry)*`, big-endian. The
last tile of a level is partial, and its name says how wide; a width of 0 is no file.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from appliance.audit.tree import HASH_BYTES, node_hash
from appliance.errors import FormatError

WIDTH = 256
_HEIGHT = 8  # of a tile: 2**8 hashes
ENTRY_BYTES_MAX = 0xFFFF

_LENGTH = struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: `width` hashes, the first of them number `index * 256` of its level."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """File of the hashes, below the directory of the log."""
        return f"tile/{self.level}/{_number(self.index)}{self._suffix()}"

    @property
    def bundle(self) -> str:
        """File of the entries under a tile of level 0."""
        assert self.level == 0
        return f"tile/entries/{_number(self.index)}{self._suffix()}"

    @property
    def full(self) -> "Tile":
        """The tile at this place once it is full."""
        return Tile(self.level, self.index)

    def _suffix(self) -> str:
        return "" if self.width == WIDTH else f".p/{self.width}"


def _number(index: int) -> str:
    """Return 1234067 as `x001/x234/067`."""
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    return "/".join(reversed(groups))


def tiles_of(size: int, old: int = 0) -> Iterator[Tile]:
    """Yield the tiles of the tree of `size` leaves that the tree of `old` leaves has not.

    Lowest level first, since a hash of a level is made from a full tile of the one below.
    """
    level = 0
    while count := size >> _HEIGHT * level:
        before = old >> _HEIGHT * level
        for index in range(before // WIDTH, -(-count // WIDTH)):
            tile = Tile(level, index, min(WIDTH, count - index * WIDTH))
            if index * WIDTH + tile.width > before:
                yield tile
        level += 1


def tile_at(level: int, index: int, size: int) -> Tile:
    """Return the tile, as wide as the tree of `size` leaves has it."""
    return Tile(level, index, min(WIDTH, (size >> _HEIGHT * level) - index * WIDTH))


def split_tile(data: bytes, tile: Tile) -> list[bytes]:
    """Return the hashes of a tile.

    Raises:
        FormatError: It does not hold as many as its name says.
    """
    if len(data) != tile.width * HASH_BYTES:
        raise FormatError(f"{tile.path}: {len(data)} bytes, expected {tile.width * HASH_BYTES}")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the bundle that holds these entries."""
    assert all(len(entry) <= ENTRY_BYTES_MAX for entry in entries)
    return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)


def split_bundle(data: bytes, tile: Tile) -> list[tuple[int, bytes]]:
    """Return the entries of a bundle, each with its offset in the file.

    Raises:
        FormatError: It does not hold as many as its name says, or something beside them.
    """
    entries: list[tuple[int, bytes]] = []
    offset = 0
    while offset < len(data) and len(entries) < tile.width:
        start = offset + _LENGTH.size
        if start > len(data):
            raise FormatError(f"{tile.bundle}: ends inside a length, byte {offset}")
        (length,) = _LENGTH.unpack_from(data, offset)
        if start + length > len(data):
            raise FormatError(f"{tile.bundle}: ends inside an entry, byte {offset}")
        entries.append((start, data[start : start + length]))
        offset = start + length
    if len(entries) != tile.width or offset != len(data):
        raise FormatError(
            f"{tile.bundle}: {len(entries)} entries and {len(data) - offset} bytes more, "
            f"expected {tile.width} entries"
        )
    return entries


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root above a power of two of neighbours."""
    assert hashes
    assert len(hashes) & (len(hashes) - 1) == 0
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def node_from_tiles(
    size: int, hashes: Callable[[Tile], Sequence[bytes]]
) -> Callable[[int, int], bytes]:
    """Return the `node` of `tree.py` for the tree of `size` leaves, from its tiles.

    Args:
        size: Leaves of the tree whose tiles are read.
        hashes: Gives the hashes of a tile; asked again for the same tile.
    """

    def node(height: int, n: int) -> bytes:
        level, above = divmod(height, _HEIGHT)
        first = n << above  # of the hashes of this level that are below the node
        row = hashes(tile_at(level, first // WIDTH, size))
        return complete_root(row[first % WIDTH : first % WIDTH + (1 << above)])

    return node
