"""Requests to a witness: one form, and one answer for each way to be wrong."""

import functools

import pytest

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.key import Signer
from appliance.audit.note import Note, sign
from appliance.audit.tree import Frontier, consistency_path, leaf_hash, node_hash
from appliance.audit.witness.request import RefusedError, Request, Status, judge
from appliance.errors import FormatError
from tests.audit import logs

KEYS = logs.SIGNER.verifiers
OTHER = Signer(logs.ORIGIN, bytes(32))


@functools.cache
def node(height: int, index: int) -> bytes:
    if height == 0:
        return leaf_hash(b"%d" % index)
    return node_hash(node(height - 1, 2 * index), node(height - 1, 2 * index + 1))


@functools.cache
def head(size: int) -> Checkpoint:
    frontier = Frontier()
    for n in range(size):
        frontier.add(b"%d" % n)
    return Checkpoint(logs.ORIGIN, size, frontier.root())


def request(old: int, size: int, signer: Signer = logs.SIGNER) -> Request:
    path = consistency_path(old, size, node) if 0 < old <= size else []
    return Request(old, tuple(path), sign(head(size).text(), signer).to_bytes())


def fork(size: int) -> bytes:
    return sign(Checkpoint(logs.ORIGIN, size, bytes(32)).text(), logs.SIGNER).to_bytes()


@pytest.mark.parametrize(("old", "size"), [(0, 1), (0, 600), (1, 600), (255, 256), (300, 300)])
def test_parse_is_the_inverse_of_to_bytes(old: int, size: int) -> None:
    asked = request(old, size)
    assert Request.parse(asked.to_bytes()) == asked
    assert asked.checkpoint == head(size)


GOOD = request(300, 600).to_bytes()
LINE = GOOD.split(b"\n")[1]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(GOOD[:-1], id="cut"),
        pytest.param(GOOD + b"\n", id="longer"),
        pytest.param(GOOD.replace(b"old 300", b"old 0300"), id="leading zero"),
        pytest.param(GOOD.replace(b"old 300", b"old -1"), id="negative"),
        pytest.param(GOOD.replace(b"old 300", b"old"), id="no size"),
        pytest.param(GOOD.replace(b"old 300", b"old 300 "), id="space after the size"),
        pytest.param(GOOD.replace(b"old 300", b"old " + b"9" * 30), id="size out of range"),
        pytest.param(GOOD.replace(b"old 300\n", b"old 300\r\n"), id="CRLF"),
        pytest.param(GOOD.replace(b"old 300", "old ٣".encode()), id="digit of another script"),
        pytest.param(GOOD.replace(b"\n\n", b"\n", 1), id="no empty line"),
        pytest.param(GOOD.replace(LINE, LINE[:-4]), id="short hash"),
        pytest.param(GOOD.replace(LINE, LINE[:-1]), id="hash without padding"),
        pytest.param(GOOD.replace(b"\n600\n", b"\n0600\n"), id="size of the checkpoint"),
        pytest.param(GOOD.replace(LINE, b"\n".join([LINE] * 64)), id="too many hashes"),
        pytest.param(b"x" * 100_000, id="too long"),
    ],
)
def test_parse_refuses(data: bytes) -> None:
    with pytest.raises(FormatError):
        Request.parse(data)


@pytest.mark.parametrize(
    ("asked", "latest"),
    [
        pytest.param(request(0, 3), None, id="first"),
        pytest.param(request(0, 3), head(0), id="after an empty log"),
        pytest.param(request(3, 600), head(3), id="grown"),
        pytest.param(request(600, 600), head(600), id="the same once more"),
    ],
)
def test_what_extends_the_last_checkpoint_is_cosigned(
    asked: Request, latest: Checkpoint | None
) -> None:
    note = judge(asked, KEYS, latest)
    assert Checkpoint.parse(note.text) == asked.checkpoint
    assert len(note.signatures) == 2


def _status(asked: Request, keys: object, latest: Checkpoint | None) -> Status:
    with pytest.raises(RefusedError) as refused:
        judge(asked, keys, latest)  # type: ignore[arg-type]
    return refused.value.status


def _changed(asked: Request, **changes: object) -> Request:
    values = {"old": asked.old, "path": asked.path, "note": asked.note} | changes
    return Request(**values)  # type: ignore[arg-type]


GROWN = request(300, 600)
REFUSALS = {
    "unknown log": (GROWN, (), head(300), Status.UNKNOWN),
    "key of another log": (
        GROWN, Signer("other", bytes(32)).verifiers, head(300), Status.UNKNOWN,
    ),
    "signed by another key": (request(300, 600, OTHER), KEYS, head(300), Status.NOT_SIGNED),
    "false signature": (
        _changed(GROWN, note=GROWN.note.replace(b"\n600\n", b"\n601\n")),
        KEYS, head(300), Status.NOT_SIGNED,
    ),
    "smaller than the old size": (
        _changed(request(0, 300), old=600), KEYS, head(600), Status.MALFORMED,
    ),
    "rollback": (request(0, 300), KEYS, head(600), Status.CONFLICT),
    "older than the last one": (request(300, 600), KEYS, head(400), Status.CONFLICT),
    "ahead of what was seen": (request(300, 600), KEYS, None, Status.CONFLICT),
    "fork": (_changed(GROWN, note=fork(600)), KEYS, head(300), Status.INCONSISTENT),
    "same size, another root": (
        Request(300, (), fork(300)), KEYS, head(300), Status.INCONSISTENT,
    ),
    "same size with a proof": (
        _changed(request(300, 300), path=GROWN.path), KEYS, head(300), Status.INCONSISTENT,
    ),
    "no proof": (_changed(GROWN, path=()), KEYS, head(300), Status.INCONSISTENT),
    "proof too long": (
        _changed(GROWN, path=(*GROWN.path, bytes(32))), KEYS, head(300), Status.INCONSISTENT,
    ),
    "proof from nothing": (
        _changed(request(0, 3), path=(bytes(32),)), KEYS, None, Status.INCONSISTENT,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "keys", "latest", "status"), REFUSALS.values(), ids=REFUSALS.keys()
)
def test_what_does_not_is_refused_with_its_status(
    asked: Request, keys: object, latest: Checkpoint | None, status: Status
) -> None:
    assert _status(asked, keys, latest) == status


def test_a_conflict_says_what_the_witness_has() -> None:
    with pytest.raises(RefusedError) as refused:
        judge(request(0, 300), KEYS, head(600))
    assert refused.value.known == 600
    assert str(refused.value).startswith("409")


def test_one_false_line_of_a_known_key_is_enough_to_refuse() -> None:
    note = sign(head(3).text(), logs.SIGNER)
    second = sign(head(2).text(), logs.SIGNER).signatures[1]
    asked = Request(0, (), Note(note.text, (note.signatures[0], second)).to_bytes())
    assert _status(asked, KEYS, None) == Status.NOT_SIGNED
    alone = judge(asked, KEYS[:1], None)  # who does not know the second key
    assert alone.signatures == note.signatures[:1]
