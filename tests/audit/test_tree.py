import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.audit.tree import (
    EMPTY_ROOT,
    Frontier,
    Node,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from appliance.errors import FormatError, VerificationError

VECTORS = Path(__file__).parents[1] / "vectors" / "merkle"


def vectors(kind: str) -> list[Any]:
    rows = json.loads((VECTORS / f"{kind}.json").read_text())
    return [pytest.param(row, id=row["name"]) for row in rows]


def unbase64(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def slow_root(hashes: Sequence[bytes]) -> bytes:
    """RFC 9162 2.1.1, written the slow way so that it checks the fast one."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(slow_root(hashes[:k]), slow_root(hashes[k:]))


def entries(size: int) -> list[bytes]:
    return [b"%d" % n for n in range(size)]


def grown(size: int) -> Frontier:
    frontier = Frontier()
    for entry in entries(size):
        frontier.add(entry)
    return frontier


def nodes(size: int) -> Node:
    hashes = [leaf_hash(entry) for entry in entries(size)]
    return lambda height, n: slow_root(hashes[n << height : (n + 1) << height])


@pytest.mark.parametrize("case", vectors("inclusion"))
def test_published_inclusion_proofs_are_judged_as_their_authors_say(
    case: dict[str, Any],
) -> None:
    def verify() -> None:
        verify_inclusion(
            unbase64(case["leafHash"]),
            case["leafIdx"],
            [unbase64(text) for text in case["proof"] or []],
            size=case["treeSize"],
            root=unbase64(case["root"]),
        )

    if not case["wantErr"]:
        return verify()
    with pytest.raises(VerificationError):
        verify()
    return None


@pytest.mark.parametrize("case", vectors("consistency"))
def test_published_consistency_proofs_are_judged_as_their_authors_say(
    case: dict[str, Any],
) -> None:
    def verify() -> None:
        verify_consistency(
            (case["size1"], unbase64(case["root1"])),
            (case["size2"], unbase64(case["root2"])),
            [unbase64(text) for text in case["proof"] or []],
        )

    if not case["wantErr"]:
        return verify()
    with pytest.raises(VerificationError):
        verify()
    return None


def test_there_are_as_many_vectors_as_were_published() -> None:
    for kind in ("inclusion", "consistency"):
        rows = json.loads((VECTORS / f"{kind}.json").read_text())
        assert (len(rows), sum(row["wantErr"] for row in rows)) == (98, 92)


def test_leaves_and_roots_of_the_worked_example() -> None:
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT
    hashes = [frontier.add(b'{"n":%d}' % n).hex() for n in range(2)]
    assert hashes == [
        "f94070abfd2da0bf72902eb13a808e794f954d9e2745c682a158f6ed0d4ac036",
        "fb5d93e6cf90bc9470cd9ea9d9e12348993db3e854ab2b7660e3594767045f6c",
    ]
    assert frontier.root().hex() == (
        "3badc80537f029e1bb77280dc85203cf2ed9748dc8f571230fcba5c326c91068"
    )
    third = frontier.add(b'{"n":2}')
    assert third.hex() == "3d1de776df086c1ae9f7049d2bb0c0475ad14185f987e064e8d10dcb2db4a322"
    assert frontier.root().hex() == (
        "2cfef7627597e00b564975774ad728ef210706759fca6d64138c6dfc1cbf2cda"
    )


@pytest.mark.parametrize("size", range(40))
def test_the_frontier_has_the_root_of_the_definition(size: int) -> None:
    assert grown(size).root() == slow_root([leaf_hash(e) for e in entries(size)])
    assert Frontier.from_nodes(size, nodes(size)).to_bytes() == grown(size).to_bytes()


@given(st.integers(0, 300), st.integers(0, 40))
def test_a_frontier_read_back_grows_like_the_one_written(size: int, more: int) -> None:
    frontier, twin = grown(size), Frontier.from_bytes(grown(size).to_bytes())
    for n in range(more):
        assert frontier.add(b"%d" % n) == twin.add(b"%d" % n)
    assert (twin.size, twin.root()) == (frontier.size, frontier.root())


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(grown(3).to_bytes()[:-1], id="a hash one byte short"),
        pytest.param(grown(3).to_bytes() + bytes(32), id="a hash too many"),
        pytest.param((1 << 63).to_bytes(8, "big") + bytes(32), id="size above the limit"),
    ],
)
def test_bytes_that_are_no_frontier_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        Frontier.from_bytes(data)


@pytest.mark.parametrize("size", range(1, 20))
def test_a_path_proves_its_own_leaf_at_its_own_index_only(size: int) -> None:
    root = grown(size).root()
    for index, entry in enumerate(entries(size)):
        path = inclusion_path(index, size, nodes(size))
        leaf = leaf_hash(entry)
        verify_inclusion(leaf, index, path, size=size, root=root)
        for wrong in set(range(-1, 2 * size + 2)) - {index}:
            with pytest.raises(VerificationError):
                verify_inclusion(leaf, wrong, path, size=size, root=root)
        for tampered in (path[:-1] if path else [bytes(32)], [*path, bytes(32)]):
            with pytest.raises(VerificationError):
                verify_inclusion(leaf, index, tampered, size=size, root=root)


@pytest.mark.parametrize("size", range(1, 20))
def test_a_consistency_path_proves_its_own_prefix_only(size: int) -> None:
    new = (size, grown(size).root())
    for old in range(1, size + 1):
        path = consistency_path(old, size, nodes(size))
        root = grown(old).root()
        verify_consistency((old, root), new, path)
        for wrong in set(range(size + 2)) - {old}:
            with pytest.raises(VerificationError):
                verify_consistency((wrong, root), new, path)
        with pytest.raises(VerificationError):
            verify_consistency((old, bytes(32)), new, path)
        with pytest.raises(VerificationError):
            verify_consistency((old, root), new, [*path, bytes(32)])


@pytest.mark.parametrize("size", [-1, 6])
def test_a_tree_extends_no_larger_one(size: int) -> None:
    with pytest.raises(VerificationError, match="cannot extend"):
        verify_consistency((size, bytes(32)), (5, grown(5).root()), [bytes(32)])


def test_consistency_path_of_the_worked_example() -> None:
    hashes = [leaf_hash(b'{"n":%d}' % n) for n in range(3)]
    path = consistency_path(2, 3, lambda h, n: slow_root(hashes[n << h : (n + 1) << h]))
    assert [base64.b64encode(p) for p in path] == [
        b"PR3ndt8IbBrp9wSdK7DAR1rRQYX5h+Bk6NENyy20oyI="
    ]
