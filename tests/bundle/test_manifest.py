import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.bundle.manifest import (
    CHUNK_BYTES_MAX,
    EMPTY,
    Chunk,
    Component,
    File,
    Manifest,
    Revocation,
    chunk_path,
)
from appliance.errors import FormatError

ONE, TWO = hashlib.sha256(b"one").hexdigest(), hashlib.sha256(b"two").hexdigest()
BOTH = hashlib.sha256(b"onetwo").hexdigest()


def manifest(**changes: Any) -> Manifest:
    files = [
        File("debs/a_1.deb", 0o644, 3, ONE, [Chunk(ONE, 3)]),
        File("models/m/w.safetensors", 0o644, 6, BOTH, [Chunk(ONE, 3), Chunk(TWO, 3)]),
        File("playbooks/empty", 0o755, 0, EMPTY, []),
    ]
    usual = Manifest(
        version="1.4.0",
        release_seq=7,
        created=1_795_000_000,
        profile="cpu",
        components=[Component("sample", "deb", "1", "MIT", files)],
        files=["VERIFY.sh", "bootstrap/pip.whl"],
        sums="0" * 64,
    )
    return msgspec.structs.replace(usual, **changes)


def with_file(file: File) -> Manifest:
    return manifest(components=[Component("c", "model", "1", "MIT", [file])])


def test_a_manifest_has_one_form_and_comes_back_from_it() -> None:
    data = manifest().to_bytes()
    assert Manifest.parse(data) == manifest()
    assert (
        data
        == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode() + b"\n"
    )
    assert manifest().digest() == hashlib.sha256(data).hexdigest()


def test_chunks_are_listed_once_whatever_files_share_them() -> None:
    assert manifest().chunks() == {ONE: 3, TWO: 3}
    assert chunk_path(ONE) == f"chunks/{ONE[:2]}/{ONE}"


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d[:-1],
        lambda d: d + b"\n",
        lambda d: b" " + d,
        lambda d: d.replace(b'{"base":null,', b"{"),
        lambda d: d.replace(b'{"base":null,', b'{"base":null,"base":null,'),
        lambda d: d.replace(b'{"base":null,', b'{"added":1,"base":null,'),
        lambda d: d.replace(b'"mode":420', b'"mode":420.0'),
        lambda d: d.replace(b'"mode":420', b'"mode":"420"'),
        lambda d: d.replace(b"sample", b"s\\u0061mple"),
        lambda d: d.replace(b'"profile":"cpu"', b'"profile":"tpu"'),
        lambda d: d.replace(b"casemate.bundle/v1", b"casemate.bundle/v2"),
        lambda d: d.replace(b'"arch":"amd64"', b'"arch":"arm64"'),
        lambda d: d.replace(b'"release_seq":7', b'"release_seq":0'),
        lambda d: d[:200],
        lambda d: b"\xff" + d,
        lambda _: b"[" * 100_000,
    ],
)  # fmt: skip
def test_bytes_that_are_not_the_canonical_form_are_refused(change: Any) -> None:
    with pytest.raises(FormatError):
        Manifest.parse(change(manifest().to_bytes()))


@pytest.mark.parametrize(
    "wrong",
    [
        manifest(version="1 0"),
        manifest(version="1.0\n"),
        manifest(kind="delta"),
        manifest(base="0" * 64),
        manifest(kind="delta", base="0" * 63),
        manifest(sums="x"),
        manifest(files=["../up"]),
        manifest(files=["a", "A"]),
        manifest(revocations=[Revocation("key", "x", "lost")]),
        manifest(revocations=[Revocation("key", ONE, "lost\x1b[2J")]),
        manifest(components=[Component("c", "deb", "1", "MIT", [], "https://mirror/x")]),
        manifest(components=[Component("c\n", "deb", "1", "MIT", [])]),
        manifest(components=[*manifest().components, *manifest().components]),
        with_file(File("/abs", 0o644, 3, ONE, [Chunk(ONE, 3)])),
        with_file(File("a", 0o600, 3, ONE, [Chunk(ONE, 3)])),
        with_file(File("a", 0o4755, 3, ONE, [Chunk(ONE, 3)])),
        with_file(File("a", 0o644, 4, ONE, [Chunk(ONE, 3)])),
        with_file(File("a", 0o644, 3, TWO, [Chunk(ONE, 3)])),
        with_file(File("a", 0o644, 0, ONE, [])),
        with_file(File("a", 0o644, 7, BOTH, [Chunk(ONE, 3), Chunk(ONE, 4)])),
        with_file(File("a", 0o644, 3, ONE.upper(), [Chunk(ONE.upper(), 3)])),
    ],
    ids=range(21),
)
def test_a_manifest_that_breaks_a_rule_is_neither_written_nor_read(wrong: Manifest) -> None:
    with pytest.raises(FormatError):
        wrong.to_bytes()
    with pytest.raises(FormatError):
        Manifest.parse(msgspec.json.encode(wrong, order="sorted") + b"\n")


def test_a_chunk_is_at_most_one_gibibyte() -> None:
    fits = with_file(File("a", 0o644, CHUNK_BYTES_MAX, ONE, [Chunk(ONE, CHUNK_BYTES_MAX)]))
    assert Manifest.parse(fits.to_bytes()) == fits
    size = CHUNK_BYTES_MAX + 1
    over = with_file(File("a", 0o644, size, ONE, [Chunk(ONE, size)]))
    with pytest.raises(FormatError):
        Manifest.parse(msgspec.json.encode(over, order="sorted") + b"\n")


_names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=40)


@settings(deadline=None)
@given(_names, st.integers(1, 1 << 40), st.integers(0, 1 << 40))
def test_what_is_written_is_read_back(name: str, seq: int, created: int) -> None:
    one = manifest(
        components=[Component(name, "doc", name, name, [])], release_seq=seq, created=created
    )
    try:
        data = one.to_bytes()
    except FormatError:
        assert "://" in name
        return
    assert Manifest.parse(data) == one


@settings(deadline=None)
@given(st.data())
def test_no_change_of_one_byte_gives_the_same_manifest(data: st.DataObject) -> None:
    whole = bytearray(manifest().to_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    try:
        read = Manifest.parse(bytes(whole))
    except FormatError:
        return
    assert read != manifest()
