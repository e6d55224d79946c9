"""The repository of packages is read by the stock apt of the machine, which checks it whole."""

import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.bundle.debs import describe
from appliance.bundle.fetch import Cache, FetchError
from appliance.bundle.openpgp import ArchiveKey
from appliance.bundle.plan import Part, Plan, deb_parts, wheel_parts
from appliance.bundle.release_tree import (
    Tree,
    add_folder,
    add_locks,
    add_own_wheel,
    add_repository,
    check_names,
    describe_wheels,
)
from appliance.bundle.sources import ASSETS
from appliance.bundle.wheels import read_lock
from tests.bundle.payloads import Package, store, wheel, wheel_lock
from tests.bundle.workplace import CREATED, Workplace

KEY = ArchiveKey.from_seed(b"k" * 32, CREATED)
PACKAGES = [Package("one", "2:1.0-1", "two"), Package("two")]
ONE = wheel("one")
LOCK = wheel_lock("one", ONE)
LOCAL = {"appliance": [LOCK], "vllm": [LOCK]}


def nobody(_name: str, _size: int) -> None:
    """Tell nobody."""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path / "cache")
    for data in (ONE, *(package.data for package in PACKAGES)):
        store(made, data)
    return made


@pytest.fixture
def tree(tmp_path: Path, cache: Cache) -> Tree:
    parts = [*wheel_parts(LOCAL), *deb_parts(package.lock for package in PACKAGES)]
    made = Tree(tmp_path / "tree")
    made.lay(Plan("cpu", tuple(parts)), cache, nobody)
    return made


def test_each_payload_has_its_place_and_shares_its_bytes_with_the_cache(
    tree: Tree, cache: Cache
) -> None:
    for environment in LOCAL:
        laid = tree.folder / "wheels" / environment / LOCK.file
        assert laid.samefile(cache.path(LOCK.sha256))
    assert (tree.folder / "debs" / "one_1.0-1_amd64.deb").read_bytes() == PACKAGES[0].data
    assert [part.name for part in tree.parts] == ["one", "one", "two"]


def test_a_content_that_rotted_in_the_cache_is_dropped_and_named(
    cache: Cache, tmp_path: Path
) -> None:
    place = cache.path(LOCK.sha256)
    place.write_bytes(ONE[:-1] + b"x")
    plan = Plan("cpu", tuple(wheel_parts(LOCAL)))
    with pytest.raises(FetchError, match=f"wheels/appliance/{LOCK.file}: not what its lock"):
        Tree(tmp_path / "tree").lay(plan, cache, nobody)
    assert not place.exists()
    with pytest.raises(FetchError):
        Tree(tmp_path / "tree").lay(plan, cache, nobody)


def apt(tmp_path: Path, repository: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run stock apt on the flat repository, with nothing of the machine's own."""
    etc = tmp_path / "apt"
    (etc / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (etc / "sources.list.d").mkdir(exist_ok=True)
    (etc / "sources.list.d" / "casemate.sources").write_text(
        f"Types: deb\nURIs: file:{repository}\nSuites: ./\n"
        f"Signed-By: {repository}/archive-key.asc\n"
    )
    options = (
        f"Dir::Etc={etc}", f"Dir::Etc::sourceparts={etc}/sources.list.d",
        "Dir::Etc::sourcelist=/dev/null", f"Dir::State={etc}", f"Dir::State::Lists={etc}/lists",
        f"Dir::Cache={etc}", "Dir::State::status=/dev/null", "APT::Architecture=amd64",
        "APT::Architectures=amd64", "APT::Sandbox::User=root", "Debug::NoLocking=true",
        "Acquire::Languages=none",
    )  # fmt: skip
    flags = [word for option in options for word in ("-o", option)]
    return subprocess.run(
        ["apt-get", *flags, *words], check=False, capture_output=True, text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip


def test_stock_apt_takes_the_repository_of_a_release(tree: Tree, tmp_path: Path) -> None:
    add_repository(tree, KEY, "1.4.0")
    done = apt(tmp_path, tree.folder / "debs", "update")
    assert (done.returncode, done.stderr) == (0, "")
    asked = apt(tmp_path, tree.folder / "debs", "install", "--print-uris", "-qq", "one")
    assert [line.split()[1] for line in asked.stdout.splitlines()] == [
        "two_1.0-1_amd64.deb", "one_2%3a1.0-1_amd64.deb",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("InRelease", b"Label: Casemate", b"Label: Casemote"), ("Packages", b"one", b"uno"),
     ("archive-key.asc", b"", b"")],
    ids=["release", "index", "another key"],
)  # fmt: skip
def test_stock_apt_refuses_a_repository_that_was_changed(
    tree: Tree, tmp_path: Path, name: str, old: bytes, new: bytes
) -> None:
    add_repository(tree, KEY, "1.4.0")
    place = tree.folder / "debs" / name
    other = ArchiveKey.from_seed(b"o" * 32, CREATED).public()
    place.write_bytes(place.read_bytes().replace(old, new, 1) if old else other)
    assert apt(tmp_path, tree.folder / "debs", "update").returncode != 0


def test_the_same_packages_give_the_same_repository(
    tree: Tree, tmp_path: Path, cache: Cache
) -> None:
    again = Tree(tmp_path / "again")
    again.lay(Plan("cpu", tuple(deb_parts(p.lock for p in PACKAGES[::-1]))), cache, nobody)
    for each in (tree, again):
        add_repository(each, KEY, "1.4.0")
    for name in ("Packages", "Release", "InRelease", "archive-key.asc"):
        one, two = (each.folder / "debs" / name for each in (tree, again))
        assert one.read_bytes() == two.read_bytes()
    assert [p.licence for p in tree.parts if p.kind == "deb"] == ["MIT", "MIT"]


def test_a_package_that_calls_itself_otherwise_than_its_lock_is_refused(
    cache: Cache, tmp_path: Path
) -> None:
    said = describe(PACKAGES[0].data)
    check_names(PACKAGES[0].lock, said)
    for other in (
        replace(PACKAGES[0].lock, name="uno"),
        replace(PACKAGES[0].lock, version="1.0-1"),
    ):
        with pytest.raises(FetchError, match=r"calls itself one 2:1\.0-1"):
            check_names(other, said)
    tree = Tree(tmp_path / "tree")
    parts = deb_parts([replace(PACKAGES[0].lock, name="uno")])
    tree.lay(Plan("cpu", tuple(parts)), cache, nobody)
    with pytest.raises(FetchError, match="calls itself"):
        add_repository(tree, KEY, "1.4.0")


def test_the_locks_that_pip_enforces_on_the_site_travel(tree: Tree) -> None:
    add_locks(tree, LOCAL, "1.4.0")
    text = (tree.folder / "wheels" / "vllm.lock").read_text()
    assert read_lock(text, "vllm") == [LOCK]
    assert [f.path for f in tree.parts[-1].files] == [
        "wheels/appliance.lock", "wheels/vllm.lock",
    ]  # fmt: skip


def test_wheels_get_the_licence_that_each_declares(tree: Tree) -> None:
    describe_wheels(tree)
    assert [part.licence for part in tree.parts if part.kind == "wheel"] == ["MIT"]


def test_a_folder_of_the_sources_travels_without_what_python_leaves(
    tree: Tree, tmp_path: Path
) -> None:
    source = tmp_path / "playbooks"
    for path in ("site.yml", "roles/x/tasks/main.yml", "lint/__pycache__/a.pyc", "run.sh"):
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(path)
    (source / "run.sh").chmod(0o755)
    add_folder(tree, source, "playbooks", "1.4.0")
    assert [file.path for file in tree.parts[-1].files] == [
        "playbooks/roles/x/tasks/main.yml", "playbooks/run.sh", "playbooks/site.yml",
    ]  # fmt: skip
    assert (tree.folder / "playbooks/run.sh").stat().st_mode & 0o777 == 0o755
    assert (tree.folder / "playbooks/site.yml").stat().st_mode & 0o777 == 0o644


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return Workplace(tmp_path / "place").make().repository


def test_our_wheel_is_built_without_a_network_and_holds_the_assets(
    tree: Tree, sources: Path
) -> None:
    made = add_own_wheel(tree, sources)
    place = tree.folder / "wheels" / "appliance" / made.file
    with zipfile.ZipFile(place) as archive:
        assert f"{ASSETS}/icons.json" in archive.namelist()
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 2, 0, 0, 0)}
    assert tree.parts[-1] == Part(
        "wheel", "appliance", "0.1.0", (tree.payload(f"wheels/appliance/{made.file}"),),
        source="tree",
    )  # fmt: skip


def test_sources_without_built_assets_or_that_do_not_build_are_refused(
    tree: Tree, sources: Path
) -> None:
    (sources / "pyproject.toml").write_text("[build-system\n")
    with pytest.raises(FetchError, match="our wheel cannot be built"):
        add_own_wheel(tree, sources)
    (sources / ASSETS / "icons.json").unlink()
    with pytest.raises(FetchError, match="assets are not built"):
        add_own_wheel(tree, sources)
