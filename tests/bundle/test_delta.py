import pytest
from msgspec.structs import replace

from appliance.bundle.delta import check_base, derive, lacking, outside
from appliance.bundle.manifest import EMPTY, Chunk, Component, File, Manifest
from appliance.bundle.refusal import BundleError
from tests.bundle.test_manifest import ONE, TWO, manifest

BASE = manifest()


def test_a_delta_describes_the_whole_release_and_carries_what_is_new() -> None:
    without = replace(BASE, release_seq=6, components=[])
    draft, carried = derive(BASE, without)
    assert (draft.kind, draft.base) == ("delta", without.digest())
    assert draft.components == BASE.components
    assert carried == {ONE, TWO}


def test_what_the_base_has_is_not_carried() -> None:
    assert derive(replace(BASE, release_seq=8), BASE)[1] == set()


@pytest.mark.parametrize(
    "newer", [BASE, replace(BASE, release_seq=6), replace(BASE, release_seq=8, profile="gpu")],
    ids=["the same", "an older one", "another profile"],
)  # fmt: skip
def test_a_wrong_base_is_refused(newer: object) -> None:
    with pytest.raises(BundleError):
        derive(newer, BASE)  # type: ignore[arg-type]


def test_a_site_has_the_base_or_refuses() -> None:
    draft, _ = derive(replace(BASE, release_seq=8), BASE)
    check_base(draft, {BASE.digest()})
    check_base(BASE, set())
    with pytest.raises(BundleError, match=BASE.digest()):
        check_base(draft, {"0" * 64})


def test_what_is_lacking_is_what_to_bring() -> None:
    assert lacking({ONE: 3, TWO: 4}, {ONE}) == {TWO: 4}


def release(controller: str = ONE, own: str = TWO) -> Manifest:
    """Return a release whose installer has one wheel of a digest, beside ours."""
    files = [
        File("wheels/controller/pip.whl", 0o644, 3, controller, [Chunk(controller, 3)]),
        File("wheels/appliance/appliance.whl", 0o644, 3, own, [Chunk(own, 3)]),
    ]
    small = ["VERIFY.sh", "bootstrap/appliance.whl", "bootstrap/bootstrap.lock",
             "bootstrap/pip.whl"]  # fmt: skip
    return replace(BASE, components=[Component("c", "wheel", "1", "MIT", files)], files=small)


SUMS = {"bootstrap/appliance.whl": TWO, "bootstrap/pip.whl": ONE}


def test_the_wheels_of_an_installer_that_the_base_has_stay_at_home() -> None:
    assert outside(release(), release(), SUMS) == ["VERIFY.sh", "bootstrap/bootstrap.lock"]


@pytest.mark.parametrize(
    "base", [release(controller=EMPTY), release(own=EMPTY), BASE],
    ids=["another pip", "another of ours", "another installer"],
)  # fmt: skip
def test_another_installer_travels_with_all_its_wheels(base: Manifest) -> None:
    assert outside(release(), base, SUMS) == release().files


def test_an_installer_with_one_wheel_less_travels_with_all_its_wheels() -> None:
    more = File("wheels/controller/more.whl", 0o644, 0, EMPTY, [])
    component = release().components[0]
    base = replace(release(), components=[replace(component, files=[*component.files, more])])
    assert outside(release(), base, SUMS) == release().files


def test_a_wheel_that_the_list_does_not_name_is_carried() -> None:
    assert outside(release(), release(), {"bootstrap/pip.whl": ONE}) == release().files
