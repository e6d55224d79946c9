"""Reads a folder that the engineer gives and writes its lock: no digest is ever typed in.

Packages are opened to read what they say and install; nothing of them is run or unpacked.
"""

import hashlib
import lzma
import re
from collections.abc import Iterator
from pathlib import Path

from appliance.bundle import debs, given
from appliance.bundle.given import Entry, Given, GivenError
from appliance.bundle.model_folder import digest, files_of
from appliance.bundle.wheels import Wheel, normalised

_WHEEL = re.compile(r"([A-Za-z0-9_.]+)-([A-Za-z0-9_.+!]+)-[^-]+-[^-]+-[^-]+\.whl\Z")


def lock_folder(folder: Path, name: str, licence: str) -> Given:
    """Return the lock of a folder. `name` is `gpu-driver` or `gpu-kernels`.

    Raises:
        GivenError: It holds what may not travel, or lacks what must.
        ModelError: There is no folder, or it holds a link.
        FormatError: A package that is damaged.
    """
    paths = files_of(folder)
    if name not in {given.DRIVER, given.KERNELS}:
        raise GivenError(
            f"{name} : gpu-driver ou gpu-kernels.", f"{name}: gpu-driver or gpu-kernels."
        )
    if not paths:
        raise GivenError(f"{folder.name} : dossier vide.", f"{folder.name}: an empty folder.")
    given.check_places(name, paths)
    lock = _driver(folder, paths) if name == given.DRIVER else _kernels(folder, paths)
    version, kernels, files = lock
    licence = " ".join(licence.split())[: given.LICENCE_MAX]
    found = Given(name=name, version=version, licence=licence, kernels=kernels, files=files)
    return given.decode(given.encode(found))


def _driver(folder: Path, paths: list[str]) -> tuple[str, list[str], list[Entry]]:
    installed, stated, files = list[str](), list[str](), list[Entry]()
    for path in paths:
        if path.endswith(".deb"):
            data = (folder / path).read_bytes()
            fields = debs.describe(data).fields
            depends = ", ".join(fields.get(key, "") for key in ("Pre-Depends", "Depends"))
            given.check_compiles_nothing(fields["Package"], depends)
            for name, content in _contents(data):
                installed.append(name)
                stated += [given.module_version(content)] if content else []
            files.append(_entry(folder, path, fields["Package"], fields["Version"]))
        else:
            content = _opened(path, (folder / path).read_bytes())
            stated.append(given.module_version(content))
            files.append(_entry(folder, path))
    version = given.driver_version(installed, stated)
    kernels = given.kernels_in([*installed, *paths])
    if not kernels:
        raise GivenError(
            "aucun module nvidia.ko déjà compilé : rien n’est compilé sur un site.",
            "no compiled module nvidia.ko: nothing is compiled on a site.",
        )
    return version, kernels, files


def _contents(package: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield each path that a package installs, with its bytes when it is the module."""
    with debs.contents(package) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            wanted = member.isfile() and given.kernels_in([name])
            file = archive.extractfile(member) if wanted else None
            yield name, _opened(name, file.read()) if file else b""


def _opened(name: str, data: bytes) -> bytes:
    try:
        return lzma.decompress(data) if name.endswith(".xz") else data
    except lzma.LZMAError as exc:
        raise GivenError(f"{name} : abîmé.", f"{name}: damaged.") from exc


def _kernels(folder: Path, paths: list[str]) -> tuple[str, list[str], list[Entry]]:
    files = [_entry(folder, path, *_package(path)) for path in paths]
    wheels = [
        Wheel(e.name, e.version, e.base, e.size, e.sha256)
        for e in files
        if e.path.endswith(".whl")
    ]
    content = hashlib.sha256("".join(e.sha256 for e in files).encode()).hexdigest()[:12]
    return given.flashinfer_version(wheels) or f"cache-{content}", [], files


def _package(path: str) -> tuple[str, str]:
    """Return name and version of a wheel, nothing for another file."""
    if not path.endswith(".whl"):
        return "", ""
    match = _WHEEL.match(path.rpartition("/")[2])
    if match is None:
        raise GivenError(f"{path} : pas le nom d’un .whl.", f"{path}: not the name of a wheel.")
    return normalised(match[1]), match[2]


def _entry(folder: Path, path: str, name: str = "", version: str = "") -> Entry:
    file = folder / path
    return Entry(path, file.stat().st_size, digest(file), name, version)
