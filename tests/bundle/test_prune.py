import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.bundle.commands import app
from appliance.bundle.prune import kept, prune
from appliance.bundle.refusal import DamagedError
from appliance.bundle.store import State, Store
from tests.bundle.bundles import TREE, Recipe, build, sample
from tests.bundle.sites import bring
from tests.bundle.test_importing import contents

STATE = State(last=(9, "c" * 64), releases={"7": "a" * 64, "8": "b" * 64, "9": "c" * 64})


def tree(seq: int) -> dict[str, bytes]:
    """Return the files of a release: one is its own, the others are those of all."""
    return {
        **TREE,
        "models/tiny/own.json": b"%d\n" % seq,
        "binaries/big": sample(str(seq), 5000),
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "site").mkdir()
    for seq in (7, 8, 9):
        build(tmp_path / str(seq), Recipe(tree=tree(seq), seq=seq))
        bring(tmp_path / "site", tmp_path / str(seq))
    return Store(tmp_path / "site")


def blobs(store: Store) -> set[str]:
    return {path.name.removesuffix(".x") for path in store.blobs.rglob("*") if path.is_file()}


def test_the_newest_and_the_one_that_runs_are_kept() -> None:
    assert kept(STATE, 1, [7]) == {"7": "a" * 64, "9": "c" * 64}
    assert kept(STATE, 2, []) == {"8": "b" * 64, "9": "c" * 64}
    assert kept(STATE, 9, [5]) == STATE.releases


def test_a_store_without_its_newest_release_is_never_asked_for() -> None:
    with pytest.raises(AssertionError):
        kept(STATE, 0, [7])


def test_numbers_are_compared_as_numbers() -> None:
    state = State(releases={"9": "a" * 64, "10": "b" * 64})
    assert kept(state, 1, []) == {"10": "b" * 64}


def test_what_only_dropped_releases_needed_goes_and_nothing_else(store: Store) -> None:
    found = prune(store, 1, [7])
    assert (found.releases, found.files) == ((8,), 2)
    assert found.bytes == 5000 + len("8\n")
    for seq in (7, 9):
        assert contents(store.release(seq)) == tree(seq)
        assert store.damaged(store.manifest(store.state().releases[str(seq)])) == []
    assert not store.release(8).exists()
    wanted = {
        f.sha256 for d in store.state().releases.values() for f in store.manifest(d).tree()
    }
    assert blobs(store) == wanted
    assert len(list(store.manifests.iterdir())) == 2


def test_a_second_run_removes_nothing(store: Store) -> None:
    prune(store, 2, [])
    found = prune(store, 2, [])
    assert (found.releases, found.files, found.bytes) == ((), 0, 0)


def test_the_last_release_and_the_revocations_stay_known(store: Store) -> None:
    before = store.state()
    prune(store, 1, [])
    after = store.state()
    assert (after.last, after.root, after.revocations) == (
        before.last, before.root, before.revocations,
    )  # fmt: skip


def test_a_store_whose_manifest_is_damaged_loses_nothing(store: Store) -> None:
    digest = store.state().releases["9"]
    path = store.manifests / f"{digest}.json"
    path.chmod(0o644)
    path.write_bytes(b"{}")
    before = blobs(store)
    with pytest.raises(DamagedError):
        prune(store, 1, [])
    assert blobs(store) == before
    assert store.release(7).exists()


class CutError(BaseException):
    """The power is gone."""


@pytest.mark.parametrize("after", range(4))
def test_a_run_that_was_cut_is_ended_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    calls = iter(range(100))
    real = Path.unlink

    def cut(path: Path, *, missing_ok: bool = False) -> None:
        if next(calls) == after:
            raise CutError
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", cut)
    with pytest.raises(CutError):
        prune(store, 1, [])
    monkeypatch.undo()
    prune(store, 1, [])
    assert contents(store.release(9)) == tree(9)
    assert [path.name for path in store.releases.iterdir()] == ["9"]
    assert blobs(store) == {
        f.sha256 for f in store.manifest(store.state().releases["9"]).tree()
    }


def run(store: Store, *words: str) -> dict[str, object]:
    done = CliRunner().invoke(app, ["prune", "--root", str(store.root), *words, "--json"])
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def test_the_command_keeps_the_release_that_runs(store: Store, tmp_path: Path) -> None:
    current = tmp_path / "current"
    current.symlink_to("releases/7")
    found = run(store, "--current", str(current), "--keep", "1")
    assert found == {"ok": True, "releases": [8], "files": 2, "bytes": 5002}
    assert sorted(store.state().releases) == ["7", "9"]


def test_the_command_says_what_it_freed_in_both_languages(store: Store, tmp_path: Path) -> None:
    words = ["prune", "--root", str(store.root), "--current", str(tmp_path / "none")]
    said = CliRunner().invoke(app, words).stdout
    assert "Retirées : 7 ; 2 fichier(s), 5002 octets libérés" in said
    assert "Removed: 7; 2 file(s), 5002 bytes freed" in said


def test_keeping_none_is_wrong_usage(store: Store) -> None:
    done = CliRunner().invoke(app, ["prune", "--root", str(store.root), "--keep", "0"])
    assert done.exit_code == 2
