"""Programs of a site that are neither wheels nor debs, and folders that an engineer gives.

Keycloak is named in `binaries.lock` by its Maven coordinates. The GPU profile takes its driver
and its precompiled kernels from folders, each with a lock written from its files: what such a
folder holds is the build engineer's word, what is installed is what was locked.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.bundle.paths import check_digest
from appliance.errors import FormatError

KEYCLOAK_LICENCE = "Apache-2.0"
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]*(/[A-Za-z0-9][A-Za-z0-9._+~-]*){0,5}\Z")


@dataclass(frozen=True, slots=True)
class Binary:
    """A program of the lock."""

    name: str
    version: str
    artifact: str  # Maven coordinates; "" for a file of an engineer's folder
    file: str  # under binaries/
    size: int  # bytes
    sha256: str
    licence: str = KEYCLOAK_LICENCE


def read_lock(text: str) -> list[Binary]:
    """Return the programs of a lock.

    Raises:
        FormatError: It is not such a lock, or a file is not named, sized and hashed well.
    """
    try:
        found = [Binary(**entry) for entry in tomllib.loads(text)["binary"]]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as exc:
        raise FormatError("not a lock of binaries") from exc
    for binary in found:
        check_digest(binary.sha256)
        if not _PATH.match(binary.file):
            raise FormatError(f"{binary.file}: not the name of a file of a bundle")
        if type(binary.size) is not int or binary.size < 0:
            raise FormatError(f"{binary.file}: {binary.size!r} is no number of bytes")
    return found


def write_lock(binaries: Iterable[Binary]) -> str:
    """Return the text of a lock, by file."""
    entries = [
        "[[binary]]\n"
        + "".join(
            f'{key} = "{value}"\n'
            for key, value in (
                ("name", b.name), ("version", b.version), ("artifact", b.artifact),
                ("file", b.file), ("sha256", b.sha256), ("licence", b.licence),
            )
        )
        + f"size = {b.size}\n"
        for b in sorted(binaries, key=lambda b: b.file)
    ]  # fmt: skip
    return "\n".join(entries)
