"""Media: a bundle lies in one folder, or is spread over the folders of several sticks.

Each medium carries the small files whole, and some of the chunks. `medium.json` says which
medium this is and where each chunk should be. It is not signed, since an engineer spreads a
bundle over whatever sticks are at hand: it only ever names what is missing, and proves nothing.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from appliance.bundle.chunks import read_small
from appliance.bundle.manifest import CHUNKS_MAX, MANIFEST_BYTES_MAX, chunk_path
from appliance.bundle.paths import check_digest
from appliance.bundle.refusal import BundleError, DamagedError
from appliance.bundle.sshsig import ARMOR_BYTES_MAX
from appliance.bundle.sums import NAME, SUMS_BYTES_MAX
from appliance.bundle.trust import ROOT_BYTES_MAX
from appliance.errors import FormatError

MEDIA_MAX = 99
SIGNATURES_MAX = 40
MEDIUM_BYTES_MAX = 70 * CHUNKS_MAX
MANIFEST, ROOT, MEDIUM = "manifest.json", "root.json", "medium.json"


class Medium(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which of the media this is (`number` from 1), and the chunks that each one carries."""

    schema: Literal["casemate.medium/v1"] = "casemate.medium/v1"
    bundle: str  # SHA-256 of the manifest
    number: Annotated[int, msgspec.Meta(ge=1, le=MEDIA_MAX)]
    media: list[list[str]]

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return msgspec.json.encode(self, order="sorted") + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> "Medium":
        """Read what a medium says of itself.

        Raises:
            FormatError: Not canonical, or a number beyond the media that it lists.
        """
        try:
            medium = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise FormatError(f"{MEDIUM}: {exc}") from exc
        for digest in (medium.bundle, *(d for each in medium.media for d in each)):
            check_digest(digest)
        if not medium.number <= len(medium.media) <= MEDIA_MAX or medium.to_bytes() != data:
            raise FormatError(f"{MEDIUM}: not canonical, or a number out of range")
        return medium


@dataclass(frozen=True, slots=True)
class Folder:
    """One medium that is there."""

    path: Path
    medium: Medium

    def label(self) -> str:
        """Return its name for people, such as 2/3."""
        return f"{self.medium.number}/{len(self.medium.media)}"


@dataclass(frozen=True)
class Media:
    """The media that are there, all of one bundle. Nothing here is trusted yet."""

    folders: list[Folder]
    manifest: bytes
    home: dict[str, int] = field(default_factory=dict)  # chunk → number of its medium

    def count(self) -> int:
        """Return how many media the whole set has."""
        return len(self.folders[0].medium.media)

    def absent(self) -> list[int]:
        """Return the numbers of the media that were not given."""
        return sorted(
            set(range(1, self.count() + 1)) - {each.medium.number for each in self.folders}
        )

    def label(self, digest: str) -> str:
        """Return the name of the medium where a chunk should be, such as 2/3, or ?."""
        number = self.home.get(digest)
        return f"{number}/{self.count()}" if number else "?"

    def find(self, digest: str) -> Path | None:
        """Return a file with the name of the chunk, on any medium: its own first."""
        own = self.home.get(digest)
        for folder in sorted(self.folders, key=lambda each: each.medium.number != own):
            if (path := folder.path / chunk_path(digest)).is_file():
                return path
        return None

    def signatures(self, name: str = MANIFEST) -> list[bytes]:
        """Return the signatures of the manifest, or of a root, that lie beside it."""
        return _signatures(self.folders[0].path, name)

    def roots(self) -> list[tuple[bytes, list[bytes]]]:
        """Return each root of the bundle with its signatures: root.json and root.N.json."""
        folder = self.folders[0].path
        names = sorted(each.name for each in folder.iterdir() if is_root(each.name))
        return [
            (read_small(folder / name, ROOT_BYTES_MAX), _signatures(folder, name))
            for name in (names[:SIGNATURES_MAX] or [ROOT])
        ]

    def check_described(self) -> None:
        """Check that each medium.json is of the manifest, which was proved.

        Raises:
            BundleError: Naming the medium that is of another release.
        """
        digest = hashlib.sha256(self.manifest).hexdigest()
        for folder in self.folders:
            if folder.medium.bundle != digest:
                raise _other(
                    folder, "décrit par un autre medium.json", "of another medium.json"
                )

    def sums(self) -> bytes:
        """Return SHA256SUMS."""
        return read_small(self.folders[0].path / NAME, SUMS_BYTES_MAX)

    def unexpected(self, listed: set[str]) -> Iterator[Path]:
        """Yield each file that is neither listed nor one that SHA256SUMS cannot list."""
        for folder in self.folders:
            for path in files_below(folder.path):
                name = path.relative_to(folder.path).as_posix()
                if name not in listed and not is_unlisted(name):
                    yield path


def is_root(name: str) -> bool:
    """Tell root.json and root.N.json."""
    middle = name.removeprefix("root.").removesuffix("json").removesuffix(".")
    return name == ROOT or (
        name == f"root.{middle}.json" and middle.isascii() and middle.isdigit()
    )


def is_unlisted(name: str) -> bool:
    """Tell the files that are made after SHA256SUMS, or with their own signature."""
    head, signature, _ = name.partition(".json.sig")
    stem = f"{head}.json" if signature else name
    return "/" not in name and (
        name in {NAME, MEDIUM} or stem == MANIFEST or is_root(stem)
    )  # fmt: skip


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all that is not a folder, links included, in an order that does not change."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted([*names, *links]):
            yield Path(parent) / name


def open_media(paths: list[Path]) -> Media:
    """Return the media in these folders; a mount point with one bundle stands for it.

    Raises:
        DamagedError: A folder is no bundle, or its small files cannot be read.
        BundleError: The folders are not of one bundle, or one medium is there twice.
    """
    folders = [Folder(place := _bundle_in(path), _medium_of(place)) for path in paths]
    manifests = {
        folder.path: read_small(folder.path / MANIFEST, MANIFEST_BYTES_MAX)
        for folder in folders
    }
    manifest = manifests[folders[0].path]
    for folder in folders:
        if manifests[folder.path] != manifest:
            raise _other(folder, "d’une autre livraison", "of another release")
        if folder.medium.media != folders[0].medium.media:
            raise _other(folder, "d’une autre répartition", "of another set of media")
    home = {d: n for n, each in enumerate(folders[0].medium.media, 1) for d in each}
    return Media(folders, manifest, home)


def _bundle_in(path: Path) -> Path:
    if (path / MANIFEST).is_file():
        return path
    found = sorted(each.parent for each in path.glob(f"*/{MANIFEST}"))
    if len(found) == 1:
        return found[0]
    raise DamagedError(
        "CM-INS-04",
        f"Aucune livraison, ou plusieurs, dans {path} : il y faut un seul {MANIFEST}",
        f"No bundle, or several, in {path}: one {MANIFEST} is expected",
    )


def _medium_of(folder: Path) -> Medium:
    try:
        return Medium.parse(read_small(folder / MEDIUM, MEDIUM_BYTES_MAX))
    except FormatError as exc:
        raise DamagedError(
            "CM-INS-04",
            f"{folder / MEDIUM} est illisible : support mal copié",
            f"{folder / MEDIUM} cannot be read: badly copied medium",
        ) from exc


def _other(folder: Folder, french: str, english: str) -> BundleError:
    where = f"{folder.path} ({folder.label()})"
    return BundleError("CM-INS-10", f"Support {where} : {french}", f"Medium {where}: {english}")


def _signatures(folder: Path, name: str) -> list[bytes]:
    found = sorted(each for each in folder.iterdir() if each.name.startswith(f"{name}.sig"))
    return [read_small(path, ARMOR_BYTES_MAX) for path in found[:SIGNATURES_MAX]]
