import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from appliance.bundle import given
from appliance.bundle.given import Entry, Given, GivenError
from appliance.bundle.wheels import Wheel
from appliance.errors import FormatError

DIGEST = hashlib.sha256(b"x").hexdigest()
LOCK = Given(
    name=given.DRIVER, version="580.95.05", licence="NVIDIA", kernels=["6.12.48+deb13-amd64"],
    files=[
        Entry("nvidia-smi_580.95.05-1_amd64.deb", 12, DIGEST, "nvidia-smi", "580.95.05-1"),
        Entry("modules/6.12.48+deb13-amd64/nvidia.ko", 34, DIGEST),
    ],
)  # fmt: skip


def wheel(name: str, version: str) -> Wheel:
    return Wheel(name, version, f"{name}.whl", 1, DIGEST)


def test_a_lock_comes_back_as_it_was_written() -> None:
    assert given.decode(given.encode(LOCK)) == LOCK


def test_packages_join_the_repository_and_the_rest_lies_under_binaries() -> None:
    assert [deb.file for deb in LOCK.debs()] == ["nvidia-smi_580.95.05-1_amd64.deb"]
    assert [one.path for one in LOCK.others()] == [
        "binaries/gpu-driver/modules/6.12.48+deb13-amd64/nvidia.ko"
    ]
    assert LOCK.wheels() == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"schema": "casemate.given-lock/v2"}, id="another schema"),
        pytest.param({"name": "gpu-../x"}, id="a name that leaves"),
        pytest.param({"more": 1}, id="an unknown key"),
        pytest.param({"files": [{"path": "../a.deb"}]}, id="a path that climbs"),
        pytest.param({"files": [{"size": 0}]}, id="no bytes"),
        pytest.param({"files": [{"sha256": "A" * 64}]}, id="no digest"),
        pytest.param({"files": [{"version": ""}]}, id="a package without its version"),
        pytest.param({"files": [{"path": "NVIDIA-Linux.run", "name": ""}]}, id="an installer"),
        pytest.param({"files": [{}, {}]}, id="a file twice"),
    ],
)
def test_what_is_no_lock_is_refused(change: dict[str, Any]) -> None:
    value = msgspec.json.decode(given.encode(LOCK))
    files = [{**value["files"][0], **one} for one in change.get("files", [])]
    with pytest.raises((GivenError, FormatError)):
        given.decode(msgspec.json.encode({**value, **change, "files": files or value["files"]}))


def test_the_kernels_of_linux_are_those_that_have_the_module() -> None:
    assert given.kernels_in([
        "lib/modules/6.12.48+deb13-amd64/updates/dkms/nvidia.ko.xz",
        "usr/lib/modules/6.12.57+deb13-amd64/kernel/nvidia.ko",
        "modules/6.12.60+deb13-amd64/nvidia.ko",
        "modules/6.1.0-40-amd64/nvidia-uvm.ko",
        "lib/modules/6.1.0-41-amd64/kernel/nouveau.ko",
    ]) == ["6.12.48+deb13-amd64", "6.12.57+deb13-amd64", "6.12.60+deb13-amd64"]  # fmt: skip


LIBRARY = "usr/lib/x86_64-linux-gnu/libnvidia-ml.so."


def test_the_version_of_a_driver_is_read_from_its_files() -> None:
    assert given.driver_version([LIBRARY + "580.95.05"], ["580.95.05"]) == "580.95.05"
    assert given.driver_version([LIBRARY + "590.12"], []) == "590.12"


@pytest.mark.parametrize(
    ("installed", "stated", "says"),
    [
        pytest.param(["usr/bin/nvidia-smi"], [], "libnvidia-ml", id="no library"),
        pytest.param([LIBRARY + "1"], [], "libnvidia-ml", id="a soname only"),
        pytest.param([LIBRARY + "580.95.05"], ["580.82.07"], "mêlées", id="another module"),
        pytest.param([LIBRARY + "575.57.08"], [], "R580", id="too old"),
    ],
)
def test_a_driver_that_would_not_start_is_refused(
    installed: list[str], stated: list[str], says: str
) -> None:
    with pytest.raises(GivenError, match=says):
        given.driver_version(installed, stated)


def test_a_module_states_its_version() -> None:
    assert given.module_version(b"a\0version=580.95.05\0srcversion=1\0") == "580.95.05"
    with pytest.raises(GivenError):
        given.module_version(b"a\0srcversion=580.95.05\0")


@pytest.mark.parametrize(
    ("package", "depends"),
    [
        ("nvidia-kernel-open-dkms", ""),
        ("nvidia-x", "libc6, dkms (>= 3.0)"),
        ("nvidia-x", "linux-headers-amd64"),
        ("nvidia-x", "gcc"),
        ("nvidia-x", "libc6 | make"),
    ],
)
def test_a_package_that_compiles_on_the_site_is_refused(package: str, depends: str) -> None:
    with pytest.raises(GivenError, match="compil"):
        given.check_compiles_nothing(package, depends)


def test_libraries_of_a_compiler_compile_nothing() -> None:
    given.check_compiles_nothing("libcuda1", "libgcc-s1, gcc-14-base (>= 14), libmakex")


KERNELS: list[tuple[Callable[[], object], str]] = [
    (lambda: given.flashinfer_version([wheel("torch", "1")]), "torch"),
    (
        lambda: given.flashinfer_version(
            [wheel("flashinfer-cubin", "1"), wheel("flashinfer-jit-cache", "2+cu130")]
        ),
        "plusieurs",
    ),
    (
        lambda: given.joined(
            [wheel("flashinfer-python", "0.7")], [wheel("flashinfer-cubin", "0.6")]
        ),
        "0.7",
    ),
    (lambda: given.joined([wheel("a", "1")], [wheel("a", "1")]), "deux fois"),
]


@pytest.mark.parametrize(
    ("made", "says"), KERNELS, ids=["not kernels", "two versions", "of another one", "twice"]
)
def test_kernels_that_would_not_load_are_refused(made: Callable[[], object], says: str) -> None:
    with pytest.raises(GivenError, match=says):
        made()


def test_kernels_of_the_same_flashinfer_join_its_environment() -> None:
    environment = [wheel("flashinfer-python", "0.7.0.post1")]
    added = [wheel("flashinfer-jit-cache", "0.7.0.post1+cu130")]
    assert given.flashinfer_version(added) == "0.7.0.post1"
    assert given.joined(environment, added) == [*environment, *added]
