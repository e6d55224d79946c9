"""The store of a site: every file of every release received, by digest, read-only.

    store/sha256/aa/DIGEST[.x]    a file; `.x` where it may be executed
    store/partial/DIGEST[.x]      being copied; its whole chunks are kept after an interruption
    store/manifests/DIGEST.json   manifests imported, which say where a chunk lies in the files
    releases/SEQ/                 the tree of a release, by hard links
    state.json                    what this site trusts and has; written last

A file gets its name after its bytes were hashed and are on the disk: who finds it there need
not read it again. A crash at any point leaves work to resume and nothing to repair.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Literal

import msgspec

from appliance.bundle.chunks import digest_of
from appliance.bundle.manifest import MANIFEST_BYTES_MAX, File, Manifest, Revocation
from appliance.bundle.refusal import BundleError, DamagedError
from appliance.bundle.trust import Root
from appliance.errors import FormatError

Span = tuple[Path, int]  # a file of the store, and where a chunk begins in it


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What this site trusts and has received. `releases`: number to manifest digest."""

    schema: Literal["casemate.state/v1"] = "casemate.state/v1"
    root: Root | None = None
    last: tuple[int, str] | None = None  # newest release: number and manifest digest
    releases: dict[str, str] = {}
    revocations: list[Revocation] = []


class Store:
    """The folders of bundles under one root, `/var/lib/casemate` on a site."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs, self.partial = root / "store/sha256", root / "store/partial"
        self.manifests, self.releases = root / "store/manifests", root / "releases"

    def prepare(self) -> None:
        """Make the folders that are not there."""
        for folder in (self.blobs, self.partial, self.manifests, self.releases):
            make_folder(folder)
        sync_folder(self.root / "store")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the store: one import at a time.

        Raises:
            BundleError: Another one runs.
        """
        with (self.root / "store/lock").open("w") as lock:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except OSError as exc:
                raise BundleError(
                    "CM-INS-14", "Un autre import est en cours.", "Another import is running."
                ) from exc
            yield

    def state(self) -> State:
        """Return what the site has, nothing before the first import.

        Raises:
            DamagedError: The file is there and cannot be read: it is never guessed.
        """
        try:
            data = (self.root / "state.json").read_bytes()
        except FileNotFoundError:
            return State()
        try:
            return msgspec.json.decode(data, type=State)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise self._damaged("state.json") from exc

    def write_state(self, state: State) -> None:
        """Replace what the site has, durably."""
        data = msgspec.json.format(msgspec.json.encode(state, order="sorted"), indent=1) + b"\n"
        write_durably(self.root / "state.json", data, mode=0o644)

    def keep_manifest(self, data: bytes) -> None:
        """Keep the bytes of a manifest that was proved."""
        digest = hashlib.sha256(data).hexdigest()
        write_durably(self.manifests / f"{digest}.json", data, mode=0o444)

    def manifest(self, digest: str) -> Manifest:
        """Return a manifest that was imported.

        Raises:
            DamagedError: It is not there, or not the one of the digest.
        """
        path = self.manifests / f"{digest}.json"
        try:
            data = path.read_bytes()[: MANIFEST_BYTES_MAX + 1]
            if hashlib.sha256(data).hexdigest() != digest:
                raise self._damaged(path.name)
            return Manifest.parse(data)
        except (OSError, FormatError) as exc:
            raise self._damaged(path.name) from exc

    def blob(self, file: File) -> Path:
        """Return where the bytes of a file belong."""
        return (
            self.blobs / file.sha256[:2] / (file.sha256 + (".x" if file.mode & 0o100 else ""))
        )

    def growing(self, file: File) -> Path:
        """Return where a file is while it is copied."""
        return self.partial / self.blob(file).name

    def begun(self, file: File) -> int:
        """Return how many bytes of a file an earlier copy left on the disk."""
        try:
            return min(file.size, self.growing(file).stat().st_blocks * 512)
        except OSError:
            return 0

    def has(self, file: File) -> bool:
        """Tell whether a file is there. Its bytes were hashed before it got its name."""
        try:
            return self.blob(file).stat().st_size == file.size
        except OSError:
            return False

    def chunks(self) -> dict[str, Span]:
        """Return where each chunk of the files that are there lies."""
        found: dict[str, Span] = {}
        for digest in self.state().releases.values():
            for file in self.manifest(digest).tree():
                if not self.has(file):
                    continue
                offset = 0
                for chunk in file.chunks:
                    found.setdefault(chunk.sha256, (self.blob(file), offset))
                    offset += chunk.size
        return found

    def damaged(self, manifest: Manifest) -> list[File]:
        """Return the files of a release that are absent or changed. Reads every byte."""
        return [
            file
            for file in manifest.tree()
            if not self.has(file) or digest_of(self.blob(file), fresh=True) != file.sha256
        ]

    def release(self, seq: int) -> Path:
        """Return the folder of a release."""
        return self.releases / str(seq)

    def link_release(self, manifest: Manifest) -> Path:
        """Make the tree of a release from the files that are all there, and return it."""
        final = self.release(manifest.release_seq)
        growing = self.releases / f".{manifest.release_seq}.partial"
        for stale in (growing, final):
            if stale.exists():
                shutil.rmtree(stale)
        make_folder(growing)
        folders = {growing}
        for file in manifest.tree():
            path = growing / file.path
            folders |= make_folder(path.parent)
            os.link(self.blob(file), path)
        for folder in sorted(folders):
            sync_folder(folder)
        growing.rename(final)
        sync_folder(self.releases)
        return final

    def is_whole(self, manifest: Manifest) -> bool:
        """Tell whether the tree of a release is there, each file a link to the store."""
        tree = self.release(manifest.release_seq)
        return all(_same(tree / file.path, self.blob(file)) for file in manifest.tree())

    def _damaged(self, name: str) -> DamagedError:
        return DamagedError(
            "CM-INS-15",
            f"Le magasin de ce site est abîmé : {name}. Restaurez-le, puis recommencez.",
            f"The store of this site is damaged: {name}. Restore it, then start again.",
        )


def write_durably(path: Path, data: bytes, *, mode: int) -> None:
    """Replace a file so that a power cut leaves the old bytes or the new ones."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    partial.rename(path)
    sync_folder(path.parent)


def make_folder(folder: Path) -> set[Path]:
    """Make a folder and those above it, readable whatever the umask. Return the new ones."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir()
        each.chmod(0o755)
    return set(missing)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
