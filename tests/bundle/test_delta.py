import pytest
from msgspec.structs import replace

from appliance.bundle.delta import check_base, derive, lacking
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
