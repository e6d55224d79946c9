"""Others judge our checkpoints and proofs: Go, Node, Java, openssl, npm's sigstore, pymerkle.

A note carries the two signatures of the log and the cosignature of its witness; each judge has
to accept all three at every size at which a tile begins, and to refuse each tampering.
"""

import base64
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymerkle  # type: ignore[import-untyped]
import pytest

from appliance.audit.cosignature import WitnessKey
from appliance.audit.key import Signer
from appliance.audit.note import Note, Signature, sign
from appliance.audit.publisher import Publisher
from appliance.audit.tree import Frontier, leaf_hash
from tests.audit import judges, logs
from tests.audit.judges import Judge
from tests.audit.test_cosignature import AT, NOTE, VKEY

SIZES = [1, 2, 255, 256, 257, 65_537]
WITNESS = WitnessKey("rssi.example/w1", bytes(range(32, 64)))
LOG_KEYS = logs.VERIFIER_KEYS.split("\n")
KEYS = [*LOG_KEYS, WITNESS.cosigner.text()]


def record(n: int) -> bytes:
    return b'{"n":%d}' % n


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Publisher]:
    @functools.cache
    def publish(size: int) -> Publisher:
        folder = tmp_path_factory.mktemp(f"log{size}")
        return logs.publish(folder, [record(n) for n in range(size)])

    return publish


def cosigned(note: bytes) -> bytes:
    signed = Note.parse(note)
    line = WITNESS.cosign(signed.text, AT)
    return Note(signed.text, (*signed.signatures, line)).to_bytes()


@pytest.mark.parametrize("judge", judges.NOTES.values(), ids=judges.NOTES.keys())
def test_both_signatures_and_the_cosignature_are_accepted_at_each_size(
    judge: Judge, published: Callable[[int], Publisher]
) -> None:
    notes = [cosigned(published(size).note) for size in SIZES]
    assert judge(notes, KEYS) == [True] * len(SIZES)


@pytest.mark.parametrize("judge", judges.NOTES.values(), ids=judges.NOTES.keys())
def test_the_vector_of_the_design_is_accepted(judge: Judge) -> None:
    assert judge([NOTE.encode()], [logs.VERIFIER_KEY, VKEY]) == [True]


# notes that were tampered with

TEXT = f"{logs.ORIGIN}\n3\nLP73YnWX4AtWSXV3Stco7yEHBnWfym1kE4xt/By/LNo=\n"
GOOD = cosigned(sign(TEXT, logs.SIGNER).to_bytes())
ED, EC, CO = Note.parse(GOOD).signatures
OTHER = Signer(logs.ORIGIN, bytes(32), bytes(range(1, 33)))


def _lines(*lines: Signature) -> bytes:
    return Note(TEXT, lines).to_bytes()


def _flipped(line: Signature, at: int) -> Signature:
    data = bytearray(line.data)
    data[at] ^= 1
    return Signature(line.name, line.key_id, bytes(data))


def _as(line: Signature, data: bytes) -> Signature:
    return Signature(line.name, line.key_id, data)


_other_ed, _other_ec = (data for _, data in OTHER.sign_all(TEXT.encode()))
TAMPERED: dict[str, bytes] = {
    "size": GOOD.replace(b"\n3\n", b"\n2\n"),
    "size with a zero before": GOOD.replace(b"\n3\n", b"\n03\n"),
    "root": GOOD.replace(b"\nLP7", b"\nLQ7"),
    "origin": GOOD.replace(b"audit.example/demo\n3", b"audit.example/dem0\n3"),
    "a line more": GOOD.replace(b"LNo=\n", b"LNo=\nmore\n"),
    "bit of the Ed25519 signature": _lines(_flipped(ED, 5), EC, CO),
    "bit of the ECDSA signature": _lines(ED, _flipped(EC, 40), CO),
    "bit of the cosignature": _lines(ED, EC, _flipped(CO, 40)),
    "time of the cosignature": _lines(ED, EC, _flipped(CO, 7)),
    "Ed25519 signature of another key": _lines(_as(ED, _other_ed), EC, CO),
    "ECDSA signature of another key": _lines(ED, _as(EC, _other_ec), CO),
    "signatures of the two keys changed about": _lines(_as(ED, EC.data), _as(EC, ED.data), CO),
    "without the ECDSA line": _lines(ED, CO),
    "without the Ed25519 line": _lines(EC, CO),
    "without the cosignature": _lines(ED, EC),
    "cosignature cut": _lines(ED, EC, _as(CO, CO.data[:-1])),
    "name in a signature line": GOOD.replace(b"\x94 rssi.example/w1", b"\x94 rssi.example/w2"),
}


@pytest.mark.parametrize("judge", judges.NOTES.values(), ids=judges.NOTES.keys())
def test_each_tampering_is_refused(judge: Judge) -> None:
    assert len(set(TAMPERED.values()) - {GOOD}) == len(TAMPERED) >= 10
    found = judge([GOOD, *TAMPERED.values()], KEYS)
    assert found.pop(0)
    accepted = [name for name, ok in zip(TAMPERED, found, strict=True) if ok]
    assert accepted == []


# proofs, by npm's @sigstore/verify


def proof(published: Publisher, index: int) -> dict[str, Any]:
    found = published.prove(index)
    return {
        "Note": base64.b64encode(found.note).decode(), "Index": index,
        "Path": [base64.b64encode(one).decode() for one in found.path],
        "Leaf": base64.b64encode(record(index)).decode(),
    }  # fmt: skip


def test_sigstore_accepts_checkpoints_and_proofs_at_each_size(
    published: Callable[[int], Publisher],
) -> None:
    asked = [
        proof(published(size), index)
        for size in SIZES
        for index in sorted({0, size // 3, size // 2, size - 1})
    ]
    assert judges.by_sigstore(asked, LOG_KEYS) == [True] * len(asked)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _in_note(old: bytes, new: bytes) -> Callable[[dict[str, Any]], None]:
    def change(asked: dict[str, Any]) -> None:
        note = base64.b64decode(asked["Note"])
        assert old in note
        asked["Note"] = _b64(note.replace(old, new))

    return change


def _signature(place: int) -> Callable[[dict[str, Any]], None]:
    def change(asked: dict[str, Any]) -> None:
        note = Note.parse(base64.b64decode(asked["Note"]))
        lines = list(note.signatures)
        lines[place] = _flipped(lines[place], 9)
        asked["Note"] = _b64(Note(note.text, tuple(lines)).to_bytes())

    return change


PROOFS: dict[str, Callable[[dict[str, Any]], object]] = {
    "record": lambda asked: asked.update(Leaf=_b64(record(8))),
    "one bit of the record": lambda asked: asked.update(Leaf=_b64(b'{"n":6}')),
    "index": lambda asked: asked.update(Index=8),
    "index outside": lambda asked: asked.update(Index=300),
    "first sibling": lambda asked: asked["Path"].__setitem__(0, _b64(bytes(32))),
    "last sibling": lambda asked: asked["Path"].__setitem__(-1, _b64(bytes(32))),
    "siblings changed about": lambda asked: asked.update(Path=asked["Path"][::-1]),
    "path cut": lambda asked: asked["Path"].pop(),
    "path longer": lambda asked: asked["Path"].append(_b64(bytes(32))),
    "size": _in_note(b"\n300\n", b"\n301\n"),
    "origin": _in_note(b"demo\n300", b"dem0\n300"),
    "root": lambda asked: _in_note(
        base64.b64decode(asked["Note"]).split(b"\n")[2], _b64(bytes(32)).encode()
    )(asked),
    "Ed25519 signature": _signature(0),
    "ECDSA signature": _signature(1),
}


def test_sigstore_refuses_each_tampering(published: Callable[[int], Publisher]) -> None:
    asked = [proof(published(300), 7) for _ in range(len(PROOFS) + 1)]
    for change, one in zip(PROOFS.values(), asked[1:], strict=True):
        change(one)
    found = judges.by_sigstore(asked, LOG_KEYS)
    assert found.pop(0)
    assert [name for name, ok in zip(PROOFS, found, strict=True) if ok] == []


# trees, by pymerkle


@functools.cache
def other(size: int) -> pymerkle.InmemoryTree:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for n in range(size):
        tree.append_entry(record(n))
    return tree


@dataclass
class Claim:
    """That a record is at its place in a tree, and that an earlier tree is a prefix."""

    leaf: bytes
    path: list[bytes]
    root: bytes
    old_root: bytes

    def holds(self, tree: pymerkle.InmemoryTree, index: int, old: int) -> bool:
        """Ask pymerkle, with our path in the place of its own; it counts from one.

        Its proofs of consistency are of another form than RFC 9162's: with its own it says
        whether our earlier root and our root are those of one tree that grew.
        """
        size = tree.get_size()
        inside, grown = tree.prove_inclusion(index + 1, size), tree.prove_consistency(old, size)
        inside.path = [leaf_hash(self.leaf), *self.path]
        try:
            pymerkle.verify_inclusion(leaf_hash(self.leaf), self.root, inside)
            pymerkle.verify_consistency(self.old_root, self.root, grown)
        except pymerkle.InvalidProof:
            return False
        return True


def root(size: int) -> bytes:
    frontier = Frontier()
    for n in range(size):
        frontier.add(record(n))
    return frontier.root()


def claim(published: Publisher, index: int, old: int) -> Claim:
    return Claim(
        record(index), list(published.prove(index).path), published.head.root, root(old)
    )


@pytest.mark.parametrize("size", SIZES)
def test_pymerkle_has_the_same_trees_and_proofs(
    size: int, published: Callable[[int], Publisher]
) -> None:
    tree, old = other(size), max(1, size // 2)
    for index in sorted({0, size // 3, size - 1}):
        assert claim(published(size), index, old).holds(tree, index, old)


CLAIMS: dict[str, Callable[[Claim], object]] = {
    "record": lambda one: setattr(one, "leaf", record(8)),
    "one bit of the record": lambda one: setattr(one, "leaf", b'{"n":6}'),
    "first sibling": lambda one: one.path.__setitem__(0, bytes(32)),
    "a sibling in the middle": lambda one: one.path.__setitem__(4, bytes(32)),
    "last sibling": lambda one: one.path.__setitem__(-1, bytes(32)),
    "siblings changed about": lambda one: one.path.reverse(),
    "path cut": lambda one: one.path.pop(),
    "path longer": lambda one: one.path.append(bytes(32)),
    "root": lambda one: setattr(one, "root", bytes(32)),
    "root of one record fewer": lambda one: setattr(one, "root", root(299)),
    "earlier root": lambda one: setattr(one, "old_root", bytes(32)),
    "root of an earlier tree": lambda one: setattr(one, "old_root", root(149)),
}


@pytest.mark.parametrize("tamper", CLAIMS.values(), ids=CLAIMS.keys())
def test_pymerkle_refuses_each_tampering(
    published: Callable[[int], Publisher], tamper: Callable[[Claim], object]
) -> None:
    one = claim(published(300), 7, 150)
    assert one.holds(other(300), 7, 150)
    tamper(one)
    assert not one.holds(other(300), 7, 150)


def test_the_judges_are_programs_of_others() -> None:
    assert Path(judges.HERE / "go.sum").exists()
    assert set(judges.NOTES) == {"Go x/mod/sumdb/note", "Node crypto", "Java", "openssl"}
