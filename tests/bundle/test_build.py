"""Whole builds of a small repository, from its locks to what a site accepts."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.bundle import sums
from appliance.bundle.build import Session, build, outside, read_locks
from appliance.bundle.compose import Heading, sealed_by
from appliance.bundle.delta import derive
from appliance.bundle.delta import outside as carried_outside
from appliance.bundle.fetch import FetchError
from appliance.bundle.manifest import Manifest
from appliance.bundle.medium import open_media
from appliance.bundle.pack import repack
from appliance.bundle.release_tree import Tree
from appliance.bundle.sources import export
from appliance.bundle.wheels import read_lock
from appliance.errors import FormatError
from tests.bundle.bundles import RELEASE_KEY
from tests.bundle.sites import bring
from tests.bundle.test_pack import contents
from tests.bundle.workplace import CREATED, KEYCLOAK, Workplace, commit


@dataclass(frozen=True)
class Built:
    """A workplace and what it built; no test writes there."""

    place: Workplace
    folder: Path
    manifest: Manifest


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    place = Workplace(tmp_path_factory.mktemp("place")).make()
    return Built(place, *run(place, "one"))


@pytest.fixture
def place(built: Built, tmp_path: Path) -> Workplace:
    """Return a copy of the workplace, with what it built."""
    shutil.copytree(built.place.top, tmp_path / "place")
    return Workplace(tmp_path / "place")


def run(place: Workplace, name: str, seq: int = 1) -> tuple[Path, Manifest]:
    """Build the commit that is checked out."""
    locks = read_locks(place.work, "cpu")
    sources = export(place.repository, place.top / f"sources-{name}")
    heading = Heading("1.4.0", seq, sources.created, "cpu")
    session = Session(heading, sealed_by(place.root, [place.key]), lambda *_: None)
    return build(place.top / name, locks, sources, place.work, session)


def test_two_builds_of_one_commit_are_the_same_bytes(built: Built, place: Workplace) -> None:
    folder, manifest = run(place, "two")
    assert manifest.digest() == built.manifest.digest()
    assert contents(folder) == contents(built.folder)


def test_a_site_gets_the_release_that_the_contract_describes(
    built: Built, tmp_path: Path
) -> None:
    assert built.folder.name == "casemate-1.4.0-1"
    tree = bring(tmp_path / "site", built.folder).tree
    assert contents(tree).keys() == {
        "wheels/controller/pip-1.0-py3-none-any.whl",
        "wheels/controller/ansible_core-1.0-py3-none-any.whl",
        "wheels/appliance/one-1.0-py3-none-any.whl",
        "wheels/appliance/shared-1.0-py3-none-any.whl",
        "wheels/appliance/appliance-0.1.0-py3-none-any.whl",
        "wheels/vllm/two-1.0-py3-none-any.whl", "wheels/vllm/shared-1.0-py3-none-any.whl",
        "wheels/controller.lock", "wheels/appliance.lock", "wheels/vllm.lock",
        "debs/one_1.0-1_amd64.deb", "debs/two_1.0-1_amd64.deb", "debs/Packages",
        "debs/Release", "debs/InRelease", "debs/archive-key.asc", "binaries/keycloak.tar.gz",
        "models/tiny/model.safetensors", "models/tiny/config.json", "models/tiny/LICENSE",
        "playbooks/site.yml", "compliance/sbom.cdx.json",
        "compliance/provenance.intoto.json", "compliance/licences.tsv",
    }  # fmt: skip
    assert (tree / "binaries/keycloak.tar.gz").read_bytes() == KEYCLOAK
    locked = read_lock((tree / "wheels/appliance.lock").read_text(), "appliance")
    assert "appliance" in [wheel.name for wheel in locked]
    assert {c.kind for c in built.manifest.components} == {
        "wheel", "deb", "binary", "model", "playbooks", "lock", "doc",
    }  # fmt: skip


def test_the_papers_of_a_release_list_all_of_it(built: Built, tmp_path: Path) -> None:
    papers = bring(tmp_path / "site", built.folder).tree / "compliance"
    bill = json.loads((papers / "sbom.cdx.json").read_text())
    listed = {file["name"] for part in bill["components"] for file in part["components"]}
    paths = {file.path for file in built.manifest.tree()}
    others = {path for path in paths if not path.startswith("compliance/")}
    assert listed == others
    statement = json.loads((papers / "provenance.intoto.json").read_text())
    assert {subject["name"] for subject in statement["subject"]} == others
    names = [
        m["name"] for m in statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    ]
    assert names == [
        "casemate", "models/tiny.lock.json", "offline-wheels/binaries.lock",
        *(f"offline-wheels/site/{n}.lock" for n in ("appliance", "controller", "debs", "vllm")),
    ]  # fmt: skip


def test_the_installer_has_its_wheels_and_their_lock_beside_it(built: Built) -> None:
    names = {path.name for path in (built.folder / "bootstrap").iterdir()}
    text = (built.folder / "bootstrap" / "bootstrap.lock").read_text()
    locked = read_lock(text, "bootstrap")
    assert names == {wheel.file for wheel in locked} | {"bootstrap.lock"}
    assert [w.name for w in locked] == ["ansible_core", "appliance", "pip"]
    wanted = {f"bootstrap/{name}" for name in names} | {"install.sh"}
    assert wanted <= set(built.manifest.files)


def test_a_change_of_configuration_makes_a_delta_of_kilobytes(
    built: Built, place: Workplace, tmp_path: Path
) -> None:
    had = built.manifest
    (place.repository / "playbooks" / "site.yml").write_text("---\n# changed\n")
    commit(place.repository, CREATED + 5)
    full, manifest = run(place, "two", 2)
    draft, carried = derive(manifest, had)
    paths = {f.path for f in manifest.tree() if {c.sha256 for c in f.chunks} & carried}
    assert paths == {
        "playbooks/site.yml", "compliance/sbom.cdx.json", "compliance/provenance.intoto.json",
        "debs/Release", "debs/InRelease", "debs/archive-key.asc",
    }  # fmt: skip
    listed = sums.parse((full / "SHA256SUMS").read_bytes())
    draft = replace(draft, files=carried_outside(manifest, had, listed))
    delta = tmp_path / "delta"
    repack(open_media([full]), draft, carried, delta, [RELEASE_KEY])
    small = contents(delta)
    assert sum(map(len, small.values())) < 60_000 < sum(map(len, contents(full).values()))
    assert not [name for name in small if name.endswith(".whl")]
    bring(tmp_path / "site", built.folder)
    tree = bring(tmp_path / "site", delta).tree
    assert (tree / "playbooks" / "site.yml").read_text() == "---\n# changed\n"


def test_a_build_that_was_interrupted_goes_on(built: Built, place: Workplace) -> None:
    folder = place.top / "one" / built.folder.name
    (place.work.cache / "staging" / "left").mkdir(parents=True)
    (folder / "manifest.json").unlink()
    shutil.rmtree(folder / "bootstrap")
    again, manifest = run(place, "one")
    assert (again, manifest) == (folder, built.manifest)
    assert contents(again) == contents(built.folder)
    assert not (place.work.cache / "staging").exists()


def test_a_payload_that_rotted_in_the_cache_stops_the_build(place: Workplace) -> None:
    rotten = place.cache.path(next(iter(read_locks(place.work, "cpu").debs)).sha256)
    rotten.write_bytes(b"x" * rotten.stat().st_size)
    with pytest.raises(FetchError, match=r"debs/one_1\.0-1_amd64\.deb: not what its lock"):
        run(place, "two")
    assert not (place.top / "two").exists()


@pytest.mark.parametrize(
    "name",
    ["site/controller.lock", "site/appliance.lock", "site/vllm.lock", "site/debs.lock",
     "binaries.lock"],
)  # fmt: skip
def test_a_lock_that_is_absent_is_named(place: Workplace, name: str) -> None:
    (place.repository / "offline-wheels" / name).unlink()
    with pytest.raises(FetchError, match=f"{Path(name).name} is absent"):
        read_locks(place.work, "cpu")


def test_a_lock_that_cannot_be_read_is_refused(place: Workplace) -> None:
    (place.repository / "offline-wheels/site/debs.lock").write_text("[[deb]]\n")
    with pytest.raises(FormatError, match="not a lock"):
        read_locks(place.work, "cpu")


def test_a_folder_without_its_lock_is_refused_and_a_model_without_its_folder_stays(
    place: Workplace,
) -> None:
    work = place.work
    assert read_locks(work, "cpu").models[0].id == "tiny"
    without = type(work)(work.repository, work.cache)
    assert read_locks(without, "cpu").models == []
    other = type(work)(work.repository, work.cache, {"other": place.top})
    with pytest.raises(FetchError, match="other has no lock"):
        read_locks(other, "cpu")


def test_the_gpu_profile_has_wheels_of_its_own(place: Workplace) -> None:
    locks = {profile: read_locks(place.work, profile) for profile in ("cpu", "gpu")}
    names = {p: [wheel.name for wheel in found.wheels["vllm"]] for p, found in locks.items()}
    assert names == {"cpu": ["shared", "two"], "gpu": ["three"]}


def test_a_release_without_its_installer_is_not_built(place: Workplace) -> None:
    with pytest.raises(FetchError, match=r"install\.sh is absent"):
        outside(Tree(place.top), place.top, [])
