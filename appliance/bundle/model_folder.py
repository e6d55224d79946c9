"""Reads a model's folder and writes its lock from the files: no digest is ever typed in.

The folder is never trusted: no tensor is loaded, no file is run, links are refused. Hidden
files (`.git`, `.cache`) are left out; anything else that may not travel is refused.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.bundle import models
from appliance.bundle.models import ModelError, ModelFile, ModelLock

_BLOCK = 4 << 20  # bytes
JSON_LIMIT = 100_000_000  # bytes: a tokeniser of 131 072 words has 15 000 000


@dataclass(frozen=True, slots=True)
class Declared:
    """What only the engineer knows of a model; printed as declared."""

    id: str
    revision: str
    licence: str


def files_of(folder: Path) -> list[str]:
    """Return the files of a model's folder, relative to it.

    Raises:
        ModelError: There is no folder, or it holds a link or something not a plain file.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} : pas un dossier.", f"{folder}: not a folder.")
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ModelError(
                f"{relative} : un lien ou un périphérique ne voyage pas ; copiez le fichier.",
                f"{relative}: a link or a device does not travel; copy the file.",
            )
        if path.is_file():
            found.append(relative.as_posix())
    return found


def lock_folder(
    folder: Path, declared: Declared, told: Callable[[str, int], None] = lambda *_: None
) -> ModelLock:
    """Return the lock of a folder.

    Raises:
        ModelError: It holds what may not travel; the message names the file.
    """
    models.check_id(declared.id)
    paths = files_of(folder)
    models.check_paths(paths)
    tensors = _check_contents(folder, paths)
    files: list[ModelFile] = []
    for path in paths:
        size = (folder / path).stat().st_size
        files.append(ModelFile(path, size, digest(folder / path)))
        told(path, size)
    return ModelLock(
        id=declared.id, revision=declared.revision, licence=declared.licence,
        digest=models.digest_of(files), weights=sum(size for _, size in tensors.values()),
        tensors=len(tensors), types=sorted({kind for kind, _ in tensors.values()}), files=files,
    )  # fmt: skip


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_contents(folder: Path, paths: list[str]) -> dict[str, tuple[str, int]]:
    tensors: dict[str, tuple[str, int]] = {}
    for path in paths:
        if path.endswith(".json"):
            data = _read_json(folder, path)
            models.check_json(path, data)
            if path.endswith(".safetensors.index.json"):
                models.check_index(path, data, paths)
        elif path.endswith(".safetensors"):
            found = _check_weights(folder, path)
            if twice := sorted(found.keys() & tensors.keys()):
                raise ModelError(
                    f"{path} : poids en double, tels que {twice[0]}.",
                    f"{path}: weights twice, such as {twice[0]}.",
                )
            tensors |= found
    return tensors


def _read_json(folder: Path, path: str) -> bytes:
    if (folder / path).stat().st_size > JSON_LIMIT:
        raise ModelError(
            f"{path} : trop long pour un JSON de modèle.",
            f"{path}: too long for a JSON file of a model.",
        )
    return (folder / path).read_bytes()


def _check_weights(folder: Path, path: str) -> dict[str, tuple[str, int]]:
    size = os.stat(folder / path).st_size  # noqa: PTH116 - one call, no link: refused above
    with (folder / path).open("rb") as file:
        length = models.header_size(path, file.read(8), size)
        return models.check_tensors(path, file.read(length), size - 8 - length)
