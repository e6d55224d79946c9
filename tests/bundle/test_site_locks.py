"""The locks of this repository fit the target: each wheel installs there."""

from collections import Counter
from pathlib import Path

import pytest
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from appliance.bundle.wheels import normalised, read_lock

SITE = Path(__file__).parents[2] / "offline-wheels" / "site"
LOCKS = sorted(path.name for path in SITE.glob("*.lock") if path.name != "debs.lock")
GLIBC = 41  # minor version of Debian 13's
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(GLIBC, 4, -1)]
PLATFORMS += [f"manylinux{old}_x86_64" for old in ("2014", "2010", "1")]
TARGET: set[Tag] = {
    *cpython_tags((3, 13), platforms=PLATFORMS),
    *compatible_tags((3, 13), "cp313", PLATFORMS),
}


@pytest.mark.parametrize("name", LOCKS)
def test_every_wheel_of_a_lock_installs_on_the_target(name: str) -> None:
    wheels = read_lock((SITE / name).read_text("utf-8"), name)
    assert wheels
    for wheel in wheels:
        named, version, _, tags = parse_wheel_filename(wheel.file)
        assert (named, str(version)) == (normalised(wheel.name), wheel.version), wheel.file
        assert tags & TARGET, wheel.file
    assert not [name for name, times in Counter(w.name for w in wheels).items() if times > 1]


def test_the_profile_gpu_has_what_a_card_needs_but_the_driver_and_compiled_kernels() -> None:
    wheels = read_lock((SITE / "vllm-gpu.lock").read_text("utf-8"), "")
    found = {wheel.name: wheel for wheel in wheels}
    asked = (SITE / "vllm-gpu.in").read_text("utf-8").split("#")[0].strip()
    assert asked == f"vllm=={found['vllm'].version}"
    for name in (
        "torch",
        "triton",
        "nvidia-nccl-cu13",
        "nvidia-cudnn-cu13",
        "flashinfer-python",
    ):
        assert name in found
    assert found["nvidia-cuda-runtime"].version.startswith("13."), "the driver is R580 for it"
    assert not {"flashinfer-cubin", "flashinfer-jit-cache"} & set(found), "from the folder"
    assert not [name for name in found if name.endswith("-cu12") and "dsl" not in name]
    assert sum(wheel.size for wheel in wheels) > 3.5e9
