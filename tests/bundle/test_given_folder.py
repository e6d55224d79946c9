from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.bundle.build import Session, Work, build, fetch, read_locks
from appliance.bundle.build_commands import remarks
from appliance.bundle.commands import app
from appliance.bundle.compose import Heading, sealed_by
from appliance.bundle.fetch import Cache, FetchError, fetch_folder
from appliance.bundle.given import DRIVER, KERNELS, Given, GivenError
from appliance.bundle.given_folder import lock_folder
from appliance.bundle.manifest import Manifest
from appliance.bundle.refusal import BundleError
from appliance.bundle.sources import export
from appliance.bundle.wheels import read_lock
from appliance.errors import FormatError
from tests.bundle import drivers
from tests.bundle.workplace import CREATED, Workplace, commit

ROOT = Path(__file__).parents[2]


def flashinfer() -> str:
    text = (ROOT / "offline-wheels/site/vllm-gpu.lock").read_text("utf-8")
    return next(w.version for w in read_lock(text, "") if w.name == "flashinfer-python")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Lend the locks of this repository in a folder of their own."""
    (tmp_path / "repository").mkdir()
    for path in [*ROOT.glob("offline-wheels/*.lock"), *ROOT.glob("offline-wheels/site/*.lock")]:
        copy = tmp_path / "repository" / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return tmp_path / "repository"


def test_the_lock_of_a_driver_is_read_from_its_files(tmp_path: Path) -> None:
    found = lock_folder(drivers.driver(tmp_path / "d"), DRIVER, "NVIDIA  Software\nLicense")
    assert (found.version, found.kernels) == (drivers.VERSION, [drivers.LINUX])
    assert found.licence == "NVIDIA Software License"
    assert [deb.name for deb in found.debs()] == ["nvidia-driver-cuda", "nvidia-modules"]


def plain(folder: Path, version: str = drivers.VERSION) -> None:
    (folder / "modules/6.12.1-x").mkdir(parents=True)
    for name in ("nvidia", "nvidia-uvm"):
        (folder / f"modules/6.12.1-x/{name}.ko").write_bytes(drivers.module(version))


def test_modules_may_be_plain_files(tmp_path: Path) -> None:
    plain(folder := drivers.driver(tmp_path / "d"))
    found = lock_folder(folder, DRIVER, "x")
    assert found.kernels == ["6.12.1-x", drivers.LINUX]
    assert [one.path for one in found.others()] == [
        "binaries/gpu-driver/modules/6.12.1-x/nvidia-uvm.ko",
        "binaries/gpu-driver/modules/6.12.1-x/nvidia.ko",
    ]


def _write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


DKMS = drivers.deb("nvidia-kernel-open-dkms", "1", {"usr/src/n": b""}, "dkms")
BROKEN: list[tuple[str, Callable[[Path], object], str]] = [
    ("an installer", _write("NVIDIA-Linux-x86_64.run", b"x"), "NVIDIA-Linux-x86_64.run"),
    ("what compiles", _write("nvidia-kernel-open-dkms_1_amd64.deb", DKMS), "compilerait"),
    ("no package", _write("x_1_amd64.deb", b"!<arch>\nx"), "Debian package"),
    ("a module of another", lambda folder: plain(folder, "580.82.07"), "mêlées"),
    ("a link", lambda folder: (folder / "l.deb").symlink_to("/etc/passwd"), "lien"),
    (
        "no module",
        lambda folder: next(folder.glob("nvidia-modules*")).unlink(),
        "aucun module",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "says"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_driver_that_cannot_serve_a_site_is_refused(
    tmp_path: Path, harm: Callable[[Path], object], says: str
) -> None:
    harm(folder := drivers.driver(tmp_path / "d"))
    with pytest.raises((BundleError, FormatError), match=says):
        lock_folder(folder, DRIVER, "x")


def test_a_driver_of_an_older_branch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GivenError, match="R580"):
        lock_folder(drivers.driver(tmp_path / "d", "570.86.15"), DRIVER, "x")


@pytest.mark.parametrize("name", ["gpu-firmware", "driver", ""])
def test_a_folder_has_one_of_two_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(GivenError, match="gpu-kernels"):
        lock_folder(drivers.driver(tmp_path / "d"), name, "x")


def test_kernels_have_the_version_of_flashinfer_or_of_what_they_hold(tmp_path: Path) -> None:
    found = lock_folder(folder := drivers.kernels(tmp_path / "k", "0.7.0"), KERNELS, "x")
    assert found.version == "0.7.0"
    for path in folder.glob("*.whl"):
        path.unlink()
    bare = lock_folder(folder, KERNELS, "x")
    (folder / "cache" / "more").write_bytes(b"m")
    assert bare.version.startswith("cache-")
    assert lock_folder(folder, KERNELS, "x").version != bare.version


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GivenError, match="vide"):
        lock_folder(tmp_path, KERNELS, "x")


def locked(repository: Path, folder: Path, name: str) -> None:
    """Write the lock of a folder by the command."""
    words = ["lock-folder", name, str(folder), "--licence", "x"]
    done = CliRunner().invoke(app, [*words, "--repository", str(repository)])
    assert done.exit_code == 0, done.output


def test_a_locked_folder_joins_the_plan_of_the_profile(
    tmp_path: Path, repository: Path
) -> None:
    before = read_locks(Work(repository, tmp_path), "gpu").plan()
    locked(repository, drivers.driver(tmp_path / "d"), DRIVER)
    locked(repository, drivers.kernels(tmp_path / "k", flashinfer()), KERNELS)
    locks = read_locks(Work(repository, tmp_path), "gpu")
    added = sorted(locks.plan().files.keys() - before.files.keys())
    assert added == [
        "binaries/gpu-kernels/cache/triton/k.cubin",
        "debs/nvidia-driver-cuda_580.95.05-1_amd64.deb",
        "debs/nvidia-modules_580.95.05-1_amd64.deb",
        f"wheels/vllm/flashinfer_cubin-{flashinfer()}-py3-none-any.whl",
        f"wheels/vllm/flashinfer_jit_cache-{flashinfer()}+cu130-cp39-abi3-manylinux_2_28_x86_64.whl",
    ]
    licences = {part.name: part.licence for part in locks.plan().parts}
    assert licences["nvidia-modules"] == "x"
    assert "offline-wheels/site/gpu-driver.lock.json" in locks.texts
    assert read_locks(Work(repository, tmp_path), "cpu").given == []


def test_kernels_of_another_flashinfer_stop_the_plan(tmp_path: Path, repository: Path) -> None:
    locked(repository, drivers.kernels(tmp_path / "k", "0.6.13"), KERNELS)
    with pytest.raises(GivenError, match=r"0\.6\.13"):
        read_locks(Work(repository, tmp_path), "gpu")


def test_a_package_that_debian_has_already_is_refused(tmp_path: Path, repository: Path) -> None:
    folder = drivers.driver(tmp_path / "d")
    (folder / "kmod_1_amd64.deb").write_bytes(drivers.deb("kmod", "1", {}))
    locked(repository, folder, DRIVER)
    with pytest.raises(GivenError, match="kmod"):
        read_locks(Work(repository, tmp_path), "gpu")


def test_a_folder_without_a_lock_is_refused(tmp_path: Path, repository: Path) -> None:
    work = Work(repository, tmp_path, {DRIVER: tmp_path})
    with pytest.raises(FetchError, match="pas de verrou"):
        read_locks(work, "gpu")


def driver_lock(tmp_path: Path) -> tuple[Path, Given]:
    folder = drivers.driver(tmp_path / "d")
    return folder, lock_folder(folder, DRIVER, "x")


def test_files_of_a_folder_enter_the_cache_by_their_lock(tmp_path: Path) -> None:
    folder, lock = driver_lock(tmp_path)
    told: list[str] = []
    cache = Cache(tmp_path / "cache")
    fetch_folder(cache, lock, folder, lambda name, _: told.append(name))
    assert sorted(told) == sorted(entry.path for entry in lock.files)
    assert not cache.missing(lock.files)
    fetch_folder(cache, lock, None, lambda *_: None)  # nothing is asked for twice


def test_a_file_that_changed_since_it_was_locked_is_named(tmp_path: Path) -> None:
    folder, lock = driver_lock(tmp_path)
    path = folder / lock.files[0].path
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(FetchError, match=lock.files[0].path):
        fetch_folder(Cache(tmp_path / "cache"), lock, folder, lambda *_: None)


def test_a_build_asks_for_the_folder_before_it_fetches_anything(
    tmp_path: Path, repository: Path
) -> None:
    locked(repository, drivers.driver(tmp_path / "d"), DRIVER)
    work = Work(repository, tmp_path / "cache")
    with pytest.raises(FetchError, match="--driver"):
        fetch(read_locks(work, "gpu"), work, lambda *_: None)


def built(place: Workplace, folder: Path) -> Manifest:
    """Build a bundle of the profile with the driver of a folder."""
    locked(place.repository, folder, DRIVER)
    commit(place.repository, CREATED)
    work = replace(place.work, folders={**place.work.folders, DRIVER: folder})
    sources = export(place.repository, place.top / "sources")
    heading = Heading("1.4.0", 1, sources.created, "gpu")
    session = Session(heading, sealed_by(place.root, [place.key]), lambda *_: None)
    return build(place.top / "out", read_locks(work, "gpu"), sources, work, session)[1]


def test_a_bundle_holds_the_driver_and_says_what_to_install(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "place").make()
    folder = drivers.driver(tmp_path / "d", depends="one | libc6")
    plain(folder)
    manifest = built(place, folder)
    found = [c for c in manifest.components if c.name.startswith(("gpu-", "nvidia-"))]
    names = [(c.kind, c.name) for c in found]
    assert len(names) == len(set(names)) == 4
    assert manifest.profile == "gpu"
    assert {c.licence for c in found if c.kind != "lock"} == {"x"}
    assert {file.path for c in found for file in c.files} == {
        "binaries/gpu-driver.lock.json",
        "binaries/gpu-driver/modules/6.12.1-x/nvidia-uvm.ko",
        "binaries/gpu-driver/modules/6.12.1-x/nvidia.ko",
        "debs/nvidia-driver-cuda_580.95.05-1_amd64.deb",
        "debs/nvidia-modules_580.95.05-1_amd64.deb",
    }


def test_a_driver_that_lacks_what_it_depends_on_stops_the_build(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "place").make()
    folder = drivers.driver(tmp_path / "d", depends="libnvidia-gl1 (>= 580)")
    with pytest.raises(FetchError, match="nvidia-driver-cuda: libnvidia-gl1"):
        built(place, folder)


def test_a_plan_says_what_does_not_travel_and_what_was_not_rehearsed(
    tmp_path: Path, repository: Path
) -> None:
    bare = "\n".join(remarks(read_locks(Work(repository, tmp_path), "gpu")))
    assert "Aucun pilote" in bare
    assert "Aucun noyau" in bare
    assert bare.endswith("non répété sur un GPU.\nProfile gpu: not rehearsed on a GPU.")
    locked(repository, drivers.driver(tmp_path / "d"), DRIVER)
    said = "\n".join(remarks(read_locks(Work(repository, tmp_path), "gpu")))
    assert f"{drivers.VERSION} ; Linux {drivers.LINUX}" in said
    assert list(remarks(read_locks(Work(repository, tmp_path), "cpu"))) == []
