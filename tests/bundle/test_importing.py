import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from appliance.bundle import chunks, copying, importing, pack
from appliance.bundle.delta import derive
from appliance.bundle.importing import run_import, site_of
from appliance.bundle.manifest import Manifest, Revocation, chunk_path
from appliance.bundle.medium import open_media
from appliance.bundle.reading import FindingsError
from appliance.bundle.refusal import BundleError, UntrustedError
from appliance.bundle.store import Store
from appliance.bundle.verify import Machine
from tests.bundle import bundles
from tests.bundle.bundles import (
    CREATED,
    OTHER_KEY,
    RELEASE_KEY,
    Recipe,
    build,
    chunk_files,
    flip,
    make_root,
)
from tests.bundle.damages import interrupt, spread
from tests.bundle.sites import DEBIAN, bring

TREE = bundles.TREE


def contents(tree: Path) -> dict[str, bytes]:
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    build(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    return tmp_path / "site"


def test_the_tree_of_a_release_is_what_was_packed(bundle: Path, root: Path) -> None:
    done = bring(root, bundle)
    assert done.tree == root / "releases/7"
    assert contents(done.tree) == TREE
    assert not list((root / "store/partial").iterdir())


def test_files_of_the_store_are_read_only_and_linked(bundle: Path, root: Path) -> None:
    tree = bring(root, bundle).tree
    for path in tree.rglob("*"):
        if path.is_file():
            found = path.stat()
            assert found.st_nlink == 2
            assert found.st_mode & 0o777 == (0o555 if path.name == "empty" else 0o444)


def test_a_tree_that_lost_a_file_is_made_whole_by_importing_again(
    bundle: Path, root: Path
) -> None:
    tree = bring(root, bundle).tree
    (tree / "playbooks/site.yml").unlink()
    assert bring(root, bundle).copied == 0
    assert contents(tree) == TREE


def test_what_an_abandoned_release_left_is_removed(bundle: Path, root: Path) -> None:
    (root / "store/partial").mkdir(parents=True)
    (root / "store/partial" / ("a" * 64)).write_bytes(b"x")
    bring(root, bundle)
    assert not list((root / "store/partial").iterdir())


def test_a_strict_umask_does_not_hide_the_release_from_its_services(
    bundle: Path, root: Path
) -> None:
    before = os.umask(0o077)
    try:
        tree = bring(root, bundle).tree
    finally:
        os.umask(before)
    folders = [
        root / "releases",
        root / "store",
        tree,
        *(p for p in tree.rglob("*") if p.is_dir()),
    ]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o755}


def test_importing_again_reads_nothing_from_the_medium(bundle: Path, root: Path) -> None:
    first, second = bring(root, bundle), bring(root, bundle)
    assert first.copied == sum(
        Manifest.parse((bundle / "manifest.json").read_bytes()).chunks().values()
    )
    assert (second.copied, second.files) == (0, 0)
    assert Store(root).state().last == (7, first.release.digest)


def test_a_bundle_on_two_media_is_imported(bundle: Path, root: Path) -> None:
    assert contents(bring(root, *spread(bundle)).tree) == TREE


def test_each_bad_chunk_is_named_and_good_ones_are_not_read_again(
    bundle: Path, root: Path
) -> None:
    good = {path: path.read_bytes() for path in chunk_files(bundle)}
    one, two = chunk_files(bundle)[1], chunk_files(bundle)[4]
    flip(one)
    flip(two)
    with pytest.raises(FindingsError) as refused:
        bring(root, bundle)
    assert {f.path for f in refused.value.findings} == {
        chunk_path(one.name),
        chunk_path(two.name),
    }
    assert Store(root).state().last is None
    assert not (root / "releases/7").exists()
    for path in (one, two):
        path.write_bytes(good[path])
    assert bring(root, bundle).copied == len(good[one]) + len(good[two])
    assert contents(root / "releases/7") == TREE


def test_sizes_are_looked_at_before_anything_is_copied(bundle: Path, root: Path) -> None:
    interrupt(bundle)
    with pytest.raises(FindingsError) as refused:
        bring(root, bundle)
    assert {f.fault for f in refused.value.findings} == {"size", "missing"}
    assert not list((root / "store/partial").iterdir())


def test_what_changes_after_verification_is_still_seen(bundle: Path, root: Path) -> None:
    """A medium whose files change between two readings: hashing happens while copying."""
    chunk = chunk_files(bundle)[0]
    flip(chunk)
    os.utime(chunk, ns=(0, 0))
    with pytest.raises(FindingsError, match="modifié"):
        bring(root, bundle)


def test_two_readings_with_two_results_blame_the_medium_or_the_memory(
    bundle: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = chunk_files(bundle)[0]
    original = chunks.blocks
    flips = iter([True])

    def unsteady(path: Path, *words: object) -> object:
        for block in original(path, *words):  # type: ignore[arg-type]
            changed = path == chunk and next(flips, False)
            yield bytes([block[0] ^ 1]) + block[1:] if changed else block

    monkeypatch.setattr(copying, "blocks", unsteady)
    with pytest.raises(FindingsError, match="support ou mémoire"):
        bring(root, bundle)


def test_a_first_import_needs_the_fingerprint_of_the_sheet(bundle: Path, root: Path) -> None:
    store = Store(root)
    store.prepare()
    site = site_of(store, CREATED + 10, None, DEBIAN)
    with pytest.raises(UntrustedError):
        run_import(open_media([bundle]), store, site, lambda _: None)
    with pytest.raises(UntrustedError):
        bring(root, bundle, fingerprint="0" * 64)
    assert store.state().root is None


def test_after_the_first_import_the_root_is_pinned(bundle: Path, root: Path) -> None:
    bring(root, bundle)
    other = bundle.parent / "other"
    build(
        other, Recipe(seq=8, key=bundles.OTHER_KEY, root=make_root(release=bundles.OTHER_KEY))
    )
    with pytest.raises(UntrustedError):
        bring(root, other, fingerprint=make_root(release=bundles.OTHER_KEY).fingerprint())
    assert Store(root).state().root == make_root()


def test_a_rotated_root_replaces_the_pinned_one(bundle: Path, root: Path) -> None:
    bring(root, bundle)
    rotated = bundle.parent / "rotated"
    build(rotated, Recipe(seq=8, key=bundles.OTHER_KEY, root=make_root(2, bundles.OTHER_KEY)))
    bring(root, rotated)
    state = Store(root).state()
    assert (state.root, state.last and state.last[0]) == (make_root(2, bundles.OTHER_KEY), 8)
    late = bundle.parent / "late"
    build(late, Recipe(seq=9))  # signed by the key that the rotation dropped
    with pytest.raises(UntrustedError):
        bring(root, late)


def test_an_older_release_is_refused_and_its_revocations_are_taken(
    bundle: Path, root: Path
) -> None:
    bring(root, bundle)
    old = bundle.parent / "old"
    build(old, Recipe(seq=6, revocations=[Revocation("file", "ab" * 32, "weak")]))
    with pytest.raises(UntrustedError):
        bring(root, old)
    state = Store(root).state()
    assert [r.digest for r in state.revocations] == ["ab" * 32]
    assert state.last is not None
    assert state.last[0] == 7


def test_a_refused_release_still_brings_the_root_that_drops_a_stolen_key(
    bundle: Path, root: Path
) -> None:
    bring(root, bundle)
    second = make_root(2, OTHER_KEY)
    build(bundle.parent / "old", Recipe(seq=6, root=second, key=OTHER_KEY))
    with pytest.raises(UntrustedError):  # older than release 7
        bring(root, bundle.parent / "old")
    assert Store(root).state().root == second
    build(bundle.parent / "stolen", Recipe(seq=8, key=RELEASE_KEY))
    with pytest.raises(UntrustedError):
        bring(root, bundle.parent / "stolen")
    build(bundle.parent / "next", Recipe(seq=8, root=second, key=OTHER_KEY))
    assert bring(root, bundle.parent / "next").tree.name == "8"


def test_a_first_root_is_kept_by_a_whole_verification_only(bundle: Path, root: Path) -> None:
    with pytest.raises(BundleError):
        bring(root, bundle, machine=Machine("debian", "12", "amd64"))
    assert Store(root).state().root is None


def test_another_release_under_the_same_number_is_refused(bundle: Path, root: Path) -> None:
    bring(root, bundle)
    twin = bundle.parent / "twin"
    build(twin, Recipe(created=CREATED + 1))
    with pytest.raises(UntrustedError):
        bring(root, twin)


def test_a_release_for_another_machine_is_refused(bundle: Path, root: Path) -> None:
    with pytest.raises(BundleError) as refused:
        bring(root, bundle, machine=Machine("debian", "12", "amd64"))
    assert refused.value.code == "CM-INS-08"


def test_an_extra_file_stops_the_import(bundle: Path, root: Path) -> None:
    (bundle / "chunks/autorun.inf").write_text("x")
    with pytest.raises(BundleError, match="autorun"):
        bring(root, bundle)
    assert not (root / "releases/7").exists()


def test_one_import_at_a_time(bundle: Path, root: Path) -> None:
    store = Store(root)
    store.prepare()
    with store.alone(), pytest.raises(BundleError) as refused:
        bring(root, bundle)
    assert refused.value.code == "CM-INS-14"


# ---- delta


def delta(bundle: Path, changes: dict[str, bytes], seq: int = 8) -> tuple[Path, int]:
    """Return a delta from the bundle to a release with these files, and its bytes of chunks."""
    full = bundle.parent / f"full-{seq}"
    build(full, Recipe(tree={**TREE, **changes}, seq=seq))
    out = bundle.parent / f"delta-{seq}"
    media = open_media([full])
    base = Manifest.parse((bundle / "manifest.json").read_bytes())
    draft, carried = derive(Manifest.parse(media.manifest), base)
    pack.repack(media, draft, carried, out, [bundles.RELEASE_KEY])
    return out, sum(path.stat().st_size for path in chunk_files(out))


CONFIG = {"models/tiny/config.json": b'{"heads": 8}\n'}


def test_a_changed_configuration_travels_in_a_few_bytes(bundle: Path, root: Path) -> None:
    bring(root, bundle)
    folder, size = delta(bundle, CONFIG)
    assert size == len(CONFIG["models/tiny/config.json"])
    done = bring(root, folder)
    assert (done.copied, done.files) == (size, 1)
    assert contents(root / "releases/8") == {**TREE, **CONFIG}
    assert contents(root / "releases/7") == TREE


def test_a_part_of_a_large_file_travels_alone(bundle: Path, root: Path) -> None:
    bring(root, bundle)
    name = "models/tiny/model.safetensors"
    longer = TREE[name] + b"more"
    folder, size = delta(bundle, {name: longer})
    assert 0 < size < 1000
    assert bring(root, folder).copied == size
    assert contents(root / "releases/8")[name] == longer


def test_a_delta_without_its_base_is_refused(bundle: Path, root: Path) -> None:
    folder, _ = delta(bundle, CONFIG)
    with pytest.raises(BundleError) as refused:
        bring(root, folder)
    assert refused.value.code == "CM-INS-13"


def test_a_damaged_store_says_which_chunks_to_bring(bundle: Path, root: Path) -> None:
    bring(root, bundle)
    store = Store(root)
    manifest = Manifest.parse((bundle / "manifest.json").read_bytes())
    victim = next(f for f in manifest.tree() if f.path == "models/tiny/model.safetensors")
    store.blob(victim).unlink()
    folder, size = delta(bundle, {"models/tiny/model.safetensors": TREE[victim.path] + b"more"})
    with pytest.raises(FindingsError) as refused:
        bring(root, folder)
    named = {f.path for f in refused.value.findings}
    kept = {chunk_path(c.sha256) for c in victim.chunks[:-1]}
    assert named == kept
    assert bring(root, bundle.parent / "full-8").copied > size


def test_a_changed_byte_of_the_store_is_not_copied_into_a_release(
    bundle: Path, root: Path
) -> None:
    bring(root, bundle)
    store = Store(root)
    name = "models/tiny/model.safetensors"
    manifest = Manifest.parse((bundle / "manifest.json").read_bytes())
    victim = next(f for f in manifest.tree() if f.path == name)
    store.blob(victim).chmod(0o644)
    flip(store.blob(victim))
    folder, _ = delta(bundle, {name: TREE[name] + b"more"})
    with pytest.raises(FindingsError):
        bring(root, folder)
    assert [f.path for f in store.damaged(manifest)] == [name]


# ---- interruptions


def test_too_little_space_is_said_before_anything_is_copied(
    bundle: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "MARGIN", 1 << 60)
    with pytest.raises(BundleError, match="Place insuffisante") as refused:
        bring(root, bundle)
    assert refused.value.code == "CM-INS-09"
    assert not list((root / "store/partial").iterdir())


def test_a_disk_that_fills_during_the_import_is_said_and_the_copy_goes_on(
    bundle: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, real = [0], os.write

    def full(descriptor: int, data: bytes) -> int:
        if written[0] > 9000:
            raise OSError(errno.ENOSPC, "full")
        written[0] += len(data)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(BundleError, match="s’est rempli"):
        bring(root, bundle)
    assert Store(root).state().last is None
    monkeypatch.undo()
    done = bring(root, bundle)
    assert contents(done.tree) == TREE
    total = sum(len(data) for data in TREE.values())
    assert 0 < done.copied < total - 8000


PROGRAM = """
import resource, sys
from pathlib import Path
from tests.bundle.sites import bring
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
bring(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_quota_is_said_like_a_full_disk(bundle: Path, root: Path) -> None:
    """RLIMIT_FSIZE stands for the quota: the kernel itself refuses the write."""
    words = [sys.executable, "-c", PROGRAM, str(root), str(bundle)]
    done = subprocess.run(words, capture_output=True, check=False, text=True)
    assert "CM-INS-09" in done.stderr
    assert contents(bring(root, bundle).tree) == TREE


# Where to stop the program: before the n-th call of what makes an import durable.
KILLER = """
import os, signal, sys
from pathlib import Path
calls, stop = 0, int(sys.argv[3])
def deadly(real):
    def call(*words, **named):
        global calls
        calls += 1
        if calls == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*words, **named)
    return call
calls_that_last = "write fsync fchmod ftruncate link rename mkdir open unlink".split()
for name in calls_that_last:
    setattr(os, name, deadly(getattr(os, name)))
from tests.bundle.sites import bring
calls = 0
bring(Path(sys.argv[1]), Path(sys.argv[2]))
print(calls)
"""


def run_until(root: Path, bundle: Path, stop: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", KILLER, str(root), str(bundle), str(stop)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_an_import_killed_at_any_point_is_resumed(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "count").mkdir()
    whole = run_until(tmp_path / "count", bundle, 0)
    total = int(whole.stdout)
    assert total > 100
    points = Random(20261123).sample(range(1, total), 12)  # noqa: S311 - to be repeatable
    for stop in [*sorted(points), total - 1, total]:
        root = tmp_path / f"killed-{stop}"
        root.mkdir()
        assert run_until(root, bundle, stop).returncode == -signal.SIGKILL, stop
        state = Store(root).state()
        if state.last is not None:  # only once everything else was done
            assert contents(root / "releases/7") == TREE
        assert contents(bring(root, bundle).tree) == TREE, stop
        assert not list((root / "store/partial").iterdir())


def test_killed_twice_it_is_resumed_where_it_was(bundle: Path, root: Path) -> None:
    run_until(root, bundle, 60)
    run_until(root, bundle, 60)
    done = bring(root, bundle)
    assert contents(done.tree) == TREE
    assert done.copied < sum(len(data) for data in TREE.values()) - 2000
