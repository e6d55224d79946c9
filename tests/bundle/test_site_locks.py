"""The locks of this repository fit the target: each wheel installs there."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from appliance.bundle.debs import names_of
from appliance.bundle.debs import read_lock as read_debs
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


def asked(path: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def locked(path: Path) -> dict[str, str]:
    """Return the version of each wheel of a lock, in either form that we have."""
    pinned = re.compile(r"^([\w.-]+)(?:\[[\w,]+\])?==([^\s;]+)", re.MULTILINE)
    found = pinned.findall(path.read_text("utf-8"))
    return {normalised(name): version for name, version in found}


def declared(*groups: str) -> list[Requirement]:
    project = tomllib.loads((SITE.parents[1] / "pyproject.toml").read_text("utf-8"))
    lines = list(project["project"]["dependencies"])
    lines += [line for group in groups for line in project["dependency-groups"][group]]
    return [Requirement(line) for line in lines]


def lacking(wanted: list[Requirement], lock: Path) -> list[str]:
    """Return what a lock has not, or in a version that was not asked for."""
    there = locked(lock)
    return [
        str(each)
        for each in wanted
        if (version := there.get(normalised(each.name))) is None
        or not each.specifier.contains(version, prereleases=True)
    ]


INPUTS = sorted(
    path.relative_to(SITE.parent).as_posix()
    for path in SITE.parent.rglob("*.in")
    if path.name != "debs.in"
)


def test_a_site_gets_the_dependencies_that_the_project_declares() -> None:
    assert asked(SITE / "appliance.in") == declared()


@pytest.mark.parametrize("name", INPUTS)
def test_a_lock_has_what_its_input_asks_for(name: str) -> None:
    path = SITE.parent / name
    assert asked(path)
    assert lacking(asked(path), path.with_suffix(".lock")) == []


def test_the_environment_of_this_repository_has_what_the_project_declares() -> None:
    assert lacking(declared("demo", "test"), SITE.parent / "appliance.lock") == []


def test_the_closure_of_debian_packages_has_each_that_is_asked_for() -> None:
    names = names_of((SITE / "debs.in").read_text("utf-8"))
    there = {deb.name for deb in read_debs((SITE / "debs.lock").read_text("utf-8"))}
    assert sorted(set(names) - there) == []


def test_no_lock_of_a_site_is_without_an_input() -> None:
    locks = {path.stem for path in SITE.glob("*.lock")}
    assert locks == {path.stem for path in SITE.glob("*.in")}


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        pytest.param("Psycopg[binary]", True, id="another spelling, an extra"),
        pytest.param("nobody", False, id="absent"),
        pytest.param("psycopg<1", False, id="another version"),
        pytest.param("psycop", False, id="only the beginning of a name"),
    ],
)
def test_a_missing_or_other_wheel_is_seen(line: str, *, fits: bool) -> None:
    assert (lacking([Requirement(line)], SITE / "appliance.lock") == []) is fits
