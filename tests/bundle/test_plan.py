from dataclasses import replace

from appliance.bundle.binaries import Binary
from appliance.bundle.models import ModelFile, ModelLock
from appliance.bundle.plan import (
    Plan,
    binary_parts,
    deb_parts,
    model_parts,
    wheel_parts,
)
from tests.bundle.payloads import Package, wheel, wheel_lock

ONE, TWO = wheel_lock("one", wheel("one")), wheel_lock("two", wheel("two"))
MODEL = ModelLock(
    id="tiny", revision="r1", licence="MIT", digest="d" * 64, weights=8, tensors=1,
    types=["F32"], files=[ModelFile("a.safetensors", 100, "a" * 64),
                          ModelFile("b.json", 100, "a" * 64)],
)  # fmt: skip
KEYCLOAK = Binary("keycloak", "26", "org:keycloak:26", "k.tar.gz", 1000, "b" * 64)
DRIVER = Binary("gpu-driver", "580", "", "gpu-driver/x.run", 9, "c" * 64, "NVIDIA")


def test_a_wheel_of_two_environments_is_one_part_counted_once() -> None:
    parts = wheel_parts({"appliance": [TWO, ONE], "vllm": [ONE]})
    assert [part.name for part in parts] == ["one", "two"]
    assert [file.path for file in parts[0].files] == [
        f"wheels/appliance/{ONE.file}", f"wheels/vllm/{ONE.file}",
    ]  # fmt: skip
    assert Plan("cpu", tuple(parts)).total == ONE.size + TWO.size


def test_a_content_that_two_parts_share_is_counted_once() -> None:
    twin = replace(KEYCLOAK, name="twin", file="twin.tar.gz")
    assert Plan("cpu", tuple(binary_parts([KEYCLOAK, twin]))).total == KEYCLOAK.size


def test_each_kind_has_its_folder_in_the_release() -> None:
    parts = [
        *deb_parts([Package().lock]),
        *binary_parts([KEYCLOAK, DRIVER]),
        *model_parts([MODEL]),
    ]
    assert sorted(Plan("gpu", tuple(parts)).files) == [
        "binaries/gpu-driver/x.run", "binaries/k.tar.gz", "debs/one_1.0-1_amd64.deb",
        "models/tiny/a.safetensors", "models/tiny/b.json",
    ]  # fmt: skip


def test_a_part_keeps_what_its_publisher_declares() -> None:
    (keycloak, driver), (model,) = binary_parts([KEYCLOAK, DRIVER]), model_parts([MODEL])
    assert (keycloak.licence, keycloak.source) == ("Apache-2.0", "org:keycloak:26")
    assert (driver.licence, driver.source) == ("NVIDIA", "")
    assert (model.version, model.licence, model.source) == ("r1", "MIT", "d" * 64)


def test_sizes_are_told_by_kind_before_the_first_byte() -> None:
    parts = [*wheel_parts({"x": [ONE]}), *binary_parts([KEYCLOAK]), *model_parts([MODEL])]
    plan = Plan("cpu", tuple(parts))
    assert plan.by_kind() == {
        "wheel": (1, ONE.size), "deb": (0, 0), "binary": (1, 1000), "model": (1, 100),
    }  # fmt: skip
    assert plan.total == ONE.size + 1100
    assert [part.name for part in plan.biggest(1)] == ["keycloak"]
