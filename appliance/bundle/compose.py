"""Writes the folder of a bundle from a release that is laid out, and has it sealed.

Chunks that an interrupted run left are kept when they are right. What an older build left in
the folder is removed, since a medium with one file too many is refused.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.bundle import chunks
from appliance.bundle.fetch import FetchError
from appliance.bundle.manifest import (
    CHUNK_BYTES_MAX,
    EMPTY,
    Chunk,
    Component,
    File,
    Manifest,
    Revocation,
    chunk_path,
)
from appliance.bundle.medium import is_root
from appliance.bundle.pack import Seal, seal
from appliance.bundle.plan import Part, Payload
from appliance.bundle.refusal import UntrustedError
from appliance.bundle.release_tree import Tree
from appliance.bundle.sshsig import load_private
from appliance.bundle.trust import Root, advance, check_self_signed
from appliance.errors import FormatError

Told = Callable[[str, int], None]
TEXT_MAX = 400  # characters of a licence in the manifest; the list of licences has it whole
NO_SUMS = "0" * 64  # of a draft: sealing fills it


@dataclass(frozen=True, slots=True)
class Heading:
    """What the manifest says beside its files."""

    version: str
    release_seq: int
    created: int  # seconds since 1970
    profile: str  # cpu or gpu
    revocations: tuple[Revocation, ...] = ()

    def archive_seed(self, by: Seal) -> bytes:
        """Return the secret of the repository's key.

        Drawn from the signing key, so that the same build gives the same bytes; random when
        the bundle is signed later, by a key on a token.
        """
        if not by.release_keys:
            return os.urandom(32)
        told = f"casemate archive {self.version} {self.release_seq} {self.created}"
        drawn = HKDF(hashes.SHA256(), 32, salt=None, info=told.encode())
        return drawn.derive(by.release_keys[0].private_bytes_raw())


def sealed_by(root: Path, keys: Iterable[Path]) -> Seal:
    """Return who signs: `root.json` with its signatures beside it, and private key files.

    Older roots are carried when they lie beside it as `root.N.json`, with their signatures.

    Raises:
        FetchError: A file is absent or is no key.
        UntrustedError: A root is not signed by its own keys, or not by those of the one before.
    """
    try:
        data, signatures = _signed(root)
        named = sorted(root.parent.glob("root.*.json"))
        before = [_signed(path) for path in named if is_root(path.name) and path != root]
        private = [load_private(path.read_bytes()) for path in keys]
    except OSError as exc:
        name = Path(exc.filename).name
        raise FetchError(f"{name} : illisible.", f"{name}: cannot be read.") from exc
    except FormatError as exc:
        raise FetchError(f"clé privée illisible : {exc}.", f"{exc}.") from exc
    trusted: Root = check_self_signed(data, signatures)
    older = sorted(
        ((check_self_signed(old, found), found) for old, found in before),
        key=lambda each: each[0].version,
    )
    for at, (old, _) in enumerate(older):
        following = [(r.to_bytes(), list(f)) for r, f in older[at:]] + [(data, signatures)]
        if advance(old, following) != trusted:
            raise UntrustedError(
                "CM-INS-02",
                f"root.{old.version}.json ne mène pas à root.json.",
                f"root.{old.version}.json does not lead to root.json.",
            )
    return Seal(trusted, signatures, private, older)


def _signed(root: Path) -> tuple[bytes, list[bytes]]:
    """Return the bytes of a root file, and the signatures that lie beside it."""
    beside = sorted(root.parent.glob(f"{root.name}.sig*"))
    return root.read_bytes(), [path.read_bytes() for path in beside]


@dataclass(slots=True)
class Bundle:
    """A folder of a bundle being written. `small` is what its builder adds outside chunks/."""

    folder: Path
    small: dict[str, bytes] = field(default_factory=dict)

    def write(self, tree: Tree, heading: Heading, by: Seal, told: Told) -> Manifest:
        """Write everything and return the manifest.

        Raises:
            FetchError: A file is not what it was when it was laid out.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        components = [self._component(tree, part, told) for part in ordered(tree.parts)]
        draft = Manifest(
            version=heading.version, release_seq=heading.release_seq, created=heading.created,
            profile="gpu" if heading.profile == "gpu" else "cpu", components=components,
            revocations=list(heading.revocations), files=[], sums=NO_SUMS,
        )  # fmt: skip
        sweep(self.folder, {chunk_path(digest) for digest in draft.chunks()})
        for path, data in self.small.items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            target.chmod(0o755 if path.endswith(".sh") else 0o644)
        return seal(self.folder, draft, by)

    def _component(self, tree: Tree, part: Part, told: Told) -> Component:
        files = [self._file(tree, payload, told) for payload in part.files]
        licence = " ".join(part.licence.split())[:TEXT_MAX] or "NOASSERTION"
        return Component(part.name, part.kind, part.version, licence, files, part.source)

    def _file(self, tree: Tree, payload: Payload, told: Told) -> File:
        source = tree.folder / payload.path
        mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
        found = self._kept(payload) or chunks.write(source, self.folder)
        if found[0] != payload.sha256:
            raise FetchError(
                f"{payload.path} : SHA-256 {found[0]}, attendu {payload.sha256}.",
                f"{payload.path}: SHA-256 {found[0]}, expected {payload.sha256}.",
            )
        told(payload.path, payload.size)
        return File(payload.path, mode, payload.size, payload.sha256, found[1])

    def _kept(self, payload: Payload) -> tuple[str, list[Chunk]] | None:
        """Return the only chunk of a file when an earlier run wrote it well."""
        if payload.sha256 == EMPTY:
            return EMPTY, []
        place = self.folder / chunk_path(payload.sha256)
        if payload.size > CHUNK_BYTES_MAX or not place.is_file():
            return None
        if place.stat().st_size != payload.size or chunks.digest_of(place) != payload.sha256:
            return None
        return payload.sha256, [Chunk(payload.sha256, payload.size)]


def ordered(parts: Iterable[Part]) -> list[Part]:
    """Return the parts in the order of the manifest."""
    return sorted(parts, key=lambda part: (part.kind, part.name, part.version))


def sweep(folder: Path, wanted: set[str]) -> None:
    """Remove all but the wanted files, given by their path in the folder."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
