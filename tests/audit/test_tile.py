import re
from collections.abc import Sequence

import pytest

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
from appliance.audit.tree import Frontier, leaf_hash
from appliance.errors import FormatError

THREE = Tile(0, 0, 3)
BUNDLE = bytes.fromhex("00077b226e223a307d00077b226e223a317d00077b226e223a327d")


def test_paths_are_those_of_the_specification() -> None:
    assert Tile(0, 1234067).path == "tile/0/x001/x234/067"
    assert Tile(1, 1, 17).path == "tile/1/001.p/17"
    assert Tile(0, 273, 112).bundle == "tile/entries/273.p/112"
    assert Tile(0, 1000).bundle == "tile/entries/x001/000"
    assert Tile(63, 999999).path == "tile/63/x999/999"


def test_a_tree_of_70000_leaves_has_the_tiles_of_the_specification() -> None:
    tiles = list(tiles_of(70_000))
    by_level = {level: [t for t in tiles if t.level == level] for level in range(4)}
    assert [t.width for t in by_level[0]] == [WIDTH] * 273 + [112]
    assert [t.path for t in by_level[1]] == ["tile/1/000", "tile/1/001.p/17"]
    assert [t.path for t in by_level[2]] == ["tile/2/000.p/1"]
    assert by_level[3] == []


@pytest.mark.parametrize("old", [0, 1, 255, 256, 257, 65_535, 65_536])
@pytest.mark.parametrize("more", [0, 1, 2, 255, 256, 300])
def test_growth_brings_the_tiles_that_the_old_tree_has_not(old: int, more: int) -> None:
    size = old + more
    assert list(tiles_of(size, old)) == [
        t for t in tiles_of(size) if t not in set(tiles_of(old))
    ]


def test_a_tile_is_as_wide_as_the_tree_has_it() -> None:
    for size in (1, 255, 256, 257, 65_536, 70_000):
        assert all(tile_at(t.level, t.index, size) == t for t in tiles_of(size))


def test_the_bundle_of_the_worked_example() -> None:
    entries = [b'{"n":0}', b'{"n":1}', b'{"n":2}']
    assert encode_bundle(entries) == BUNDLE
    assert split_bundle(BUNDLE, THREE) == [(2, entries[0]), (11, entries[1]), (20, entries[2])]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(BUNDLE[:-1], id="an entry one byte short"),
        pytest.param(BUNDLE + b"\0", id="one byte more"),
        pytest.param(BUNDLE + BUNDLE[:9], id="one entry more"),
        pytest.param(BUNDLE[:-9], id="one entry less"),
        pytest.param(BUNDLE[:19], id="half a length"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_bundle_of_another_width_is_refused_with_its_name(data: bytes) -> None:
    with pytest.raises(FormatError, match=re.escape("tile/entries/000.p/3")):
        split_bundle(data, THREE)


@pytest.mark.parametrize("size", [0, 95, 97, 128])
def test_a_tile_of_another_width_is_refused_with_its_name(size: int) -> None:
    with pytest.raises(FormatError, match=re.escape("tile/0/000.p/3")):
        split_tile(bytes(size), THREE)


def test_split_tile_gives_the_hashes_in_order() -> None:
    rows = [bytes([n]) * 32 for n in range(3)]
    assert split_tile(b"".join(rows), THREE) == rows


@pytest.mark.parametrize("size", [1, 255, 256, 257, 600, 65_537])
def test_nodes_from_tiles_give_the_root_of_the_tree(size: int) -> None:
    frontier = Frontier()
    rows = [[frontier.add(b"%d" % n) for n in range(size)]]
    while len(rows[-1]) >= WIDTH:
        full = len(rows[-1]) // WIDTH
        rows.append([complete_root(rows[-1][n * WIDTH : (n + 1) * WIDTH]) for n in range(full)])

    def hashes(tile: Tile) -> Sequence[bytes]:
        start = tile.index * WIDTH
        return rows[tile.level][start : start + tile.width]

    node = node_from_tiles(size, hashes)
    assert Frontier.from_nodes(size, node).root() == frontier.root()
    assert node(0, size - 1) == leaf_hash(b"%d" % (size - 1))
