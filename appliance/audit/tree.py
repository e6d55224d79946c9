"""The Merkle tree of RFC 6962 over SHA-256: growing it, proving from it, checking proofs.

Hashing: RFC 6962 section 2.1. Paths and their verification: RFC 9162 sections 2.1.3 and 2.1.4.
A complete subtree is named `(height, n)`: the leaves from n * 2**height, 2**height of them.
Who proves hands over `node`, which returns the hash of a complete subtree; where the hashes are
kept is no business of this module.
"""

import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import Self

from appliance.errors import FormatError, VerificationError

HASH_BYTES = 32
SIZE_MAX = 2**63 - 1
EMPTY_ROOT = hashlib.sha256(b"").digest()

Node = Callable[[int, int], bytes]  # (height, n) -> hash of the complete subtree

_SIZE = struct.Struct(">Q")
_sha256 = hashlib.sha256


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry into its leaf."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two children into their parent."""
    return _sha256(b"\x01" + left + right).digest()


class Frontier:
    """Hashes of the complete subtrees of a tree, largest first.

    Grows by leaves, gives the root. Two hashes a leaf on average, memory log2(size).
    """

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> bytes:
        """Append an entry and return its leaf hash."""
        digest = node = _sha256(b"\x00" + leaf).digest()
        size, peaks = self.size, self._peaks
        while size & 1:
            node = _sha256(b"\x01" + peaks.pop() + node).digest()
            size >>= 1
        peaks.append(node)
        self.size += 1
        return digest

    def root(self) -> bytes:
        """Return the Merkle tree hash."""
        return _fold(self._peaks) if self._peaks else EMPTY_ROOT

    def to_bytes(self) -> bytes:
        """Return `u64 size ‖ hash*`, big-endian, largest subtree first."""
        return _SIZE.pack(self.size) + b"".join(self._peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` returned.

        Raises:
            FormatError: Not a frontier.
        """
        if len(data) < _SIZE.size:
            raise FormatError("frontier is shorter than its size")
        (size,) = _SIZE.unpack_from(data)
        if size > SIZE_MAX or len(data) != _SIZE.size + HASH_BYTES * size.bit_count():
            raise FormatError("frontier does not hold one hash per complete subtree")
        frontier = cls()
        frontier.size = size
        frontier._peaks = [
            data[at : at + HASH_BYTES] for at in range(_SIZE.size, len(data), HASH_BYTES)
        ]
        return frontier

    @classmethod
    def from_nodes(cls, size: int, node: Node) -> Self:
        """Return the frontier of a tree whose complete subtrees are at hand."""
        frontier = cls()
        frontier.size = size
        frontier._peaks = [node(height, n) for height, n in _complete(0, size)]
        return frontier


def inclusion_path(index: int, size: int, node: Node) -> list[bytes]:
    """Return the siblings of leaf `index` in the tree of `size` leaves, leaf to root.

    RFC 9162 section 2.1.3.1.
    """
    assert 0 <= index < size
    start, end = 0, size
    path: list[bytes] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(start, middle, node))
            start = middle
    return path[::-1]


def consistency_path(old: int, size: int, node: Node) -> list[bytes]:
    """Return the proof that the tree of `old` leaves is a prefix of that of `size`.

    RFC 9162 section 2.1.4.1.
    """
    assert 0 < old <= size
    start, end = 0, size
    path: list[bytes] = []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(start, middle, node))
            start = middle
    if start:  # the old tree is not one of the nodes of the new one: its last part is given
        path.append(_range_root(start, end, node))
    return path[::-1]


def verify_inclusion(
    leaf: bytes, index: int, path: Sequence[bytes], *, size: int, root: bytes
) -> None:
    """Check that `leaf` is the hash of leaf `index` of the tree (`size`, `root`).

    The size comes from a signed checkpoint, never from the proof: a path alone does not
    determine it. RFC 9162 section 2.1.3.2.

    Raises:
        VerificationError: It is not.
    """
    if not 0 <= index < size:
        raise VerificationError(f"index {index} is outside a tree of {size} leaves")
    if len(leaf) != HASH_BYTES:
        raise VerificationError(f"a leaf hash is {HASH_BYTES} bytes")
    node = leaf
    for is_left, sibling in zip(_sides(index, size - 1, len(path)), path, strict=True):
        node = node_hash(sibling, node) if is_left else node_hash(node, sibling)
    if node != root:
        raise VerificationError("computed root differs from the checkpoint root")


def verify_consistency(
    old: tuple[int, bytes], new: tuple[int, bytes], path: Sequence[bytes]
) -> None:
    """Check that the tree `old` (size, root) is a prefix of the tree `new`.

    RFC 9162 section 2.1.4.2. A tree without leaves is a prefix of every tree and proves
    nothing: it is refused unless both are empty.

    Raises:
        VerificationError: It is not.
    """
    (size, root), (new_size, new_root) = old, new
    if not 0 <= size <= new_size:
        raise VerificationError(f"a tree of {new_size} leaves cannot extend one of {size}")
    if size == new_size:
        if path or root != new_root or (size == 0 and root != EMPTY_ROOT):
            raise VerificationError("trees of one size have two roots, or a proof too many")
        return
    if size == 0:
        raise VerificationError("nothing can be proved from an empty tree")
    if _old_and_new_root(size, new_size, root, path) != (root, new_root):
        raise VerificationError("the old tree is not a prefix of the new one")


def _old_and_new_root(
    size: int, new_size: int, root: bytes, path: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Recompute both roots from a consistency path, RFC 9162 section 2.1.4.2, 3 to 8."""
    if not path:
        raise VerificationError("proof is empty")
    rest = [root, *path] if size & (size - 1) == 0 else list(path)
    fn, sn = size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = rest[0]
    for is_left, sibling in zip(_sides(fn, sn, len(rest) - 1), rest[1:], strict=True):
        fr = node_hash(sibling, fr) if is_left else fr
        sr = node_hash(sibling, sr) if is_left else node_hash(sr, sibling)
    return fr, sr


def _sides(fn: int, sn: int, count: int) -> list[bool]:
    """Tell of each sibling, leaf to root, whether it stands to the left.

    The names are those of RFC 9162: `fn` is the place of a node in its row, `sn` the last one.

    Raises:
        VerificationError: The path has not `count` siblings.
    """
    sides: list[bool] = []
    while sn and len(sides) < count:
        sides.append(bool(fn & 1) or fn == sn)
        while sides[-1] and fn and not fn & 1:
            fn, sn = fn >> 1, sn >> 1
        fn, sn = fn >> 1, sn >> 1
    if sn or len(sides) != count:
        raise VerificationError(f"proof is too {'short' if sn else 'long'}")
    return sides


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _complete(start: int, end: int) -> list[tuple[int, int]]:
    """Return the complete subtrees, largest first, of an aligned range of leaves."""
    subtrees: list[tuple[int, int]] = []
    while start < end:
        height = (end - start).bit_length() - 1
        subtrees.append((height, start >> height))
        start += 1 << height
    return subtrees


def _range_root(start: int, end: int, node: Node) -> bytes:
    return _fold([node(height, n) for height, n in _complete(start, end)])


def _fold(peaks: Sequence[bytes]) -> bytes:
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = _sha256(b"\x01" + peak + root).digest()
    return root
