import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.bundle.compose import Bundle, Heading, ordered, sealed_by, sweep
from appliance.bundle.fetch import FetchError
from appliance.bundle.manifest import EMPTY, Manifest, chunk_path
from appliance.bundle.pack import Seal, sign_root
from appliance.bundle.plan import Part
from appliance.bundle.refusal import UntrustedError
from appliance.bundle.release_tree import Tree
from appliance.bundle.trust import Root
from tests.bundle.bundles import CREATED, OTHER_KEY, RELEASE_KEY, ROOT_KEYS, make_root
from tests.bundle.sites import bring
from tests.bundle.test_pack import contents
from tests.bundle.workplace import Workplace

HEADING = Heading("1.4.0", 7, CREATED, "cpu")
SEAL = Seal(make_root(), sign_root(make_root(), ROOT_KEYS[:2]), [RELEASE_KEY])
SMALL = {"install.sh": b"#!/bin/sh\n", "bootstrap/pip.whl": b"wheel"}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = Tree(tmp_path / "tree")
    for kind, path, data in (
        ("wheel", "wheels/appliance/one.whl", b"one"),
        ("deb", "debs/one.deb", b"deb"),
        ("playbooks", "playbooks/run.sh", b"#!/bin/sh\n"),
        ("playbooks", "playbooks/empty", b""),
    ):
        payload = made.write(path, data)
        made.parts.append(Part(kind, path, "1", (payload,), "MIT"))  # type: ignore[arg-type]
    (made.folder / "playbooks/run.sh").chmod(0o755)
    return made


def write(folder: Path, tree: Tree, heading: Heading = HEADING) -> Manifest:
    return Bundle(folder, SMALL).write(tree, heading, SEAL, lambda *_: None)


def test_a_site_accepts_what_is_written(tree: Tree, tmp_path: Path) -> None:
    manifest = write(tmp_path / "bundle", tree)
    found = bring(tmp_path / "site", tmp_path / "bundle")
    assert found.tree == tmp_path / "site" / "releases" / "7"
    for path, data in contents(tree.folder).items():
        assert (found.tree / path).read_bytes() == data
    assert (found.tree / "playbooks/run.sh").stat().st_mode & 0o100
    assert not (found.tree / "debs/one.deb").stat().st_mode & 0o100
    assert manifest.files == [
        "LISEZMOI.txt", "README.txt", "VERIFY.sh", "bootstrap/pip.whl", "install.sh",
    ]  # fmt: skip


def test_two_builds_are_the_same_bytes_whatever_the_order_of_parts(
    tree: Tree, tmp_path: Path
) -> None:
    one = write(tmp_path / "one", tree)
    tree.parts.reverse()
    assert write(tmp_path / "two", tree) == one
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_right_chunks_of_an_interrupted_build_are_kept(tree: Tree, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    before = write(folder, tree)
    chunks = [folder / chunk_path(digest) for digest in sorted(before.chunks())]
    for chunk in chunks:
        os.utime(chunk, (1, 1))
    chunks[0].write_bytes(b"x" * chunks[0].stat().st_size)
    chunks[1].unlink()
    assert write(folder, tree) == before
    kept = [chunk for chunk in chunks if chunk.stat().st_mtime == 1]
    assert kept == chunks[2:] != []
    prove_whole(folder)


def prove_whole(folder: Path) -> None:
    site = folder.parent / "site"
    bring(site, folder)
    shutil.rmtree(site)


def test_what_an_older_build_left_is_removed(tree: Tree, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write(folder, tree)
    (folder / "old").mkdir()
    (folder / "old" / "file").write_text("x")
    (folder / "chunks" / "00").mkdir(exist_ok=True)
    (folder / "chunks" / "00" / ("0" * 64)).write_text("x")
    (folder / "linked").symlink_to(tmp_path)
    write(folder, tree)
    assert not (folder / "old").exists()
    assert not (folder / "linked").is_symlink()
    prove_whole(folder)


def test_sweeping_keeps_what_is_wanted_and_never_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("x")
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "kept").write_text("x")
    (folder / "a" / "gone").write_text("x")
    (folder / "link").symlink_to(tmp_path / "outside")
    sweep(folder, {"a/kept"})
    assert contents(folder) == {"a/kept": b"x"}
    assert (tmp_path / "outside" / "precious").exists()


def test_a_file_that_changed_since_it_was_laid_is_refused(tree: Tree, tmp_path: Path) -> None:
    (tree.folder / "debs/one.deb").write_bytes(b"bad")
    with pytest.raises(FetchError, match=r"debs/one\.deb: SHA-256"):
        write(tmp_path / "bundle", tree)
    assert not (tmp_path / "bundle" / "manifest.json").exists()


def test_an_empty_file_takes_no_chunk(tree: Tree, tmp_path: Path) -> None:
    manifest = write(tmp_path / "bundle", tree)
    (empty,) = (file for file in manifest.tree() if file.size == 0)
    assert (empty.sha256, empty.chunks) == (EMPTY, [])


def test_a_licence_fits_on_one_line_or_is_not_asserted(tree: Tree, tmp_path: Path) -> None:
    tree.parts[0] = replace(tree.parts[0], licence="A\n B\t" + "x" * 500)
    tree.parts[1] = replace(tree.parts[1], licence="")
    found = {c.name: c.licence for c in write(tmp_path / "bundle", tree).components}
    assert found["wheels/appliance/one.whl"] == "A B " + "x" * 396
    assert found["debs/one.deb"] == "NOASSERTION"


def test_parts_have_one_order() -> None:
    parts = [Part("wheel", "b", "1", ()), Part("wheel", "a", "2", ()),
             Part("deb", "z", "1", ()),
             Part("wheel", "a", "1", ())]  # fmt: skip
    assert [(p.kind, p.name, p.version) for p in ordered(parts)] == [
        ("deb", "z", "1"), ("wheel", "a", "1"), ("wheel", "a", "2"), ("wheel", "b", "1"),
    ]  # fmt: skip


def test_the_key_of_the_repository_comes_from_the_signing_key() -> None:
    assert HEADING.archive_seed(SEAL) == HEADING.archive_seed(SEAL)
    other = Seal(SEAL.root, SEAL.root_signatures, [OTHER_KEY])
    unsigned = Seal(SEAL.root, SEAL.root_signatures)
    later = replace(HEADING, release_seq=8)
    seeds: Iterator[bytes] = iter([
        HEADING.archive_seed(SEAL), HEADING.archive_seed(other), later.archive_seed(SEAL),
        HEADING.archive_seed(unsigned), HEADING.archive_seed(unsigned),
    ])  # fmt: skip
    assert len(set(seeds)) == 5


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    made = Workplace(tmp_path)
    made.make()
    return made


def test_who_signs_is_read_from_files(place: Workplace, tree: Tree, tmp_path: Path) -> None:
    by = sealed_by(place.root, [place.key])
    assert by.root == make_root()
    Bundle(tmp_path / "bundle", SMALL).write(tree, HEADING, by, lambda *_: None)
    prove_whole(tmp_path / "bundle")


def test_a_root_that_its_own_keys_did_not_sign_is_refused(place: Workplace) -> None:
    (place.root.parent / "root.json.sig.2").unlink()
    with pytest.raises(UntrustedError):
        sealed_by(place.root, [place.key])


def test_a_key_that_cannot_be_read_is_named(place: Workplace) -> None:
    with pytest.raises(FetchError, match="absent: cannot be read"):
        sealed_by(place.root, [place.root.parent / "absent"])
    place.key.write_text("no key")
    with pytest.raises(FetchError, match="clé privée illisible"):
        sealed_by(place.root, [place.key])
    with pytest.raises(FetchError, match=r"none\.json: cannot be read"):
        sealed_by(place.root.with_name("none.json"), [])


def rotated(place: Workplace, *versions: int) -> Root:
    """Make the last of these roots root.json; the others lie beside it."""
    for path in place.root.parent.glob("root.*"):
        path.unlink()
    for version in versions:
        newest = version == versions[-1]
        path = place.root if newest else place.root.with_name(f"root.{version}.json")
        root = make_root(version)
        path.write_bytes(root.to_bytes())
        for number, signature in enumerate(sign_root(root, ROOT_KEYS[:2]), 1):
            path.with_name(f"{path.name}.sig.{number}").write_bytes(signature)
    return make_root(versions[-1])


def test_a_site_that_missed_a_rotation_follows_the_roots_that_are_carried(
    place: Workplace, tree: Tree, tmp_path: Path
) -> None:
    Bundle(tmp_path / "first", SMALL).write(tree, HEADING, SEAL, lambda *_: None)
    bring(tmp_path / "site", tmp_path / "first")
    newest = rotated(place, 2, 3)
    by = sealed_by(place.root, [place.key])
    assert [root.version for root, _ in by.older] == [2]
    later = replace(HEADING, release_seq=8)
    Bundle(tmp_path / "second", SMALL).write(tree, later, by, lambda *_: None)
    names = {path.name for path in (tmp_path / "second").glob("root.*")}
    assert names == {
        "root.json", "root.json.sig", "root.json.sig.2", "root.2.json", "root.2.json.sig",
        "root.2.json.sig.2",
    }  # fmt: skip
    assert bring(tmp_path / "site", tmp_path / "second").release.root == newest


def test_an_older_root_that_does_not_lead_to_the_newest_is_not_carried(
    place: Workplace,
) -> None:
    rotated(place, 4, 3)
    with pytest.raises(UntrustedError, match=r"root\.4\.json does not lead"):
        sealed_by(place.root, [place.key])
    rotated(place, 2, 3)
    (place.root.parent / "root.2.json.sig.1").unlink()
    with pytest.raises(UntrustedError, match="not signed by its own keys"):
        sealed_by(place.root, [place.key])
