import os
from pathlib import Path

import pytest

from appliance.bundle.manifest import Chunk, Component, File, Manifest
from appliance.bundle.refusal import DamagedError
from appliance.bundle.store import State, Store, write_durably
from tests.bundle.bundles import make_root
from tests.bundle.test_manifest import ONE, TWO, manifest


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path)
    found.prepare()
    return found


def put(store: Store, file: File, data: bytes) -> None:
    store.blob(file).parent.mkdir(exist_ok=True)
    store.blob(file).write_bytes(data)


def small() -> Manifest:
    files = [
        File("a/one", 0o644, 3, ONE, [Chunk(ONE, 3)]),
        File("a/run", 0o755, 3, ONE, [Chunk(ONE, 3)]),
        File("two", 0o644, 3, TWO, [Chunk(TWO, 3)]),
    ]
    return manifest(components=[Component("c", "doc", "1", "MIT", files)])


def test_a_site_has_nothing_before_its_first_import(store: Store) -> None:
    assert store.state() == State()


def test_state_is_read_back(store: Store) -> None:
    state = State(root=make_root(), last=(3, ONE), releases={"3": ONE})
    store.write_state(state)
    assert store.state() == state
    assert [path.name for path in store.root.iterdir() if path.is_file()] == ["state.json"]


@pytest.mark.parametrize(
    "data", [b"", b"{", b'{"last": 3}', b'{"schema": "x"}', b"\xff"], ids=repr
)
def test_a_damaged_state_is_never_guessed(store: Store, data: bytes) -> None:
    (store.root / "state.json").write_bytes(data)
    with pytest.raises(DamagedError):
        store.state()


def test_a_kept_manifest_is_checked_when_it_is_read(store: Store) -> None:
    kept = small()
    store.keep_manifest(kept.to_bytes())
    assert store.manifest(kept.digest()) == kept
    path = store.manifests / f"{kept.digest()}.json"
    path.chmod(0o644)
    path.write_bytes(manifest().to_bytes())
    with pytest.raises(DamagedError):
        store.manifest(kept.digest())
    with pytest.raises(DamagedError):
        store.manifest("0" * 64)


def test_bytes_that_may_run_are_kept_apart(store: Store) -> None:
    one, run, _ = small().tree()
    assert store.blob(one) != store.blob(run)


def test_a_file_of_another_size_is_not_there(store: Store) -> None:
    one = next(iter(small().tree()))
    assert not store.has(one)
    put(store, one, b"on")
    assert not store.has(one)
    put(store, one, b"one")
    assert store.has(one)


def test_a_tree_is_made_at_once_and_replaced_when_it_is_not_whole(store: Store) -> None:
    one, run, two = small().tree()
    for file, data in ((one, b"one"), (run, b"one"), (two, b"two")):
        put(store, file, data)
    tree = store.link_release(small())
    assert store.is_whole(small())
    (tree / "two").unlink()
    (tree / "stray").write_text("x")
    assert not store.is_whole(small())
    assert store.link_release(small()) == tree
    assert sorted(path.name for path in tree.iterdir()) == ["a", "two"]
    assert sorted(path.name for path in store.releases.iterdir()) == ["7"]


def test_a_replaced_file_in_a_tree_is_seen(store: Store) -> None:
    one, run, two = small().tree()
    for file, data in ((one, b"one"), (run, b"one"), (two, b"two")):
        put(store, file, data)
    tree = store.link_release(small())
    (tree / "two").unlink()
    (tree / "two").write_bytes(b"two")
    assert not store.is_whole(small())


def test_every_byte_of_a_release_can_be_read_again(store: Store) -> None:
    one, run, two = small().tree()
    put(store, one, b"one")
    put(store, run, b"0ne")
    assert [file.path for file in store.damaged(small())] == ["a/run", "two"]
    assert two.path == "two"


def test_where_a_chunk_lies_is_known_from_the_manifests(store: Store) -> None:
    kept = manifest()
    store.keep_manifest(kept.to_bytes())
    store.write_state(State(releases={"7": kept.digest()}))
    assert store.chunks() == {}
    model = next(file for file in kept.tree() if file.size == 6)
    put(store, model, b"onetwo")
    assert store.chunks() == {ONE: (store.blob(model), 0), TWO: (store.blob(model), 3)}


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old", mode=0o644)

    def power_cut(_: int) -> None:
        raise OSError

    monkeypatch.setattr(os, "fsync", power_cut)
    with pytest.raises(OSError):  # noqa: PT011 - what the disk says is of no matter
        write_durably(path, b"new", mode=0o644)
    assert path.read_bytes() == b"old"
    monkeypatch.undo()
    write_durably(path, b"new", mode=0o600)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
