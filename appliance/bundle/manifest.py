"""The manifest of a bundle: everything that a release installs, by size and SHA-256.

One file, canonical JSON (sorted keys, no floats, no spaces, UTF-8, one newline at the end),
signed as those bytes. It always describes the whole release: a delta is the same list, carried
with fewer chunks. Parsing accepts only what printing gives back, so a digest of the bytes is a
digest of the meaning. docs/decisions/0050-bundle.md.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec

from appliance.bundle.paths import check_digest, check_path, check_unique
from appliance.errors import FormatError

CHUNK_BYTES_MAX = 1 << 30  # under the limits of FAT32, ISO 9660 and usual virus scanners
MANIFEST_BYTES_MAX = 64 << 20
FILE_BYTES_MAX = 1 << 43  # 8 TiB
COMPONENTS_MAX, FILES_MAX, CHUNKS_MAX = 20_000, 200_000, 100_000
EMPTY = hashlib.sha256(b"").hexdigest()
MODES = (0o644, 0o755)

Kind = Literal["deb", "wheel", "model", "binary", "playbooks", "doc", "lock"]
_Text = Annotated[str, msgspec.Meta(max_length=500)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=FILE_BYTES_MAX)]
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~-]{0,63}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every field is written, and no other is read."""


class Target(_Strict, frozen=True):
    """The only machine that the release is for."""

    os: Literal["debian"] = "debian"
    os_version: Literal["13"] = "13"
    arch: Literal["amd64"] = "amd64"
    python: Literal["3.13"] = "3.13"


class Chunk(_Strict, frozen=True):
    """A piece of a file, named by its bytes. `size` in bytes, 1 to `CHUNK_BYTES_MAX`."""

    sha256: str
    size: Annotated[int, msgspec.Meta(ge=1, le=CHUNK_BYTES_MAX)]


class File(_Strict, frozen=True):
    """A file of the release tree. Its chunks, in order, are its bytes; empty, it has none."""

    path: str  # relative to the release tree
    mode: int  # 0o644 or 0o755
    size: _Count  # bytes
    sha256: str
    chunks: list[Chunk]


class Component(_Strict, frozen=True):
    """What is shipped together under one name, version and licence."""

    name: _Text
    kind: Kind
    version: _Text
    licence: _Text  # SPDX expression where there is one
    files: list[File]
    source: _Text = ""  # revision upstream, never an address


class Revocation(_Strict, frozen=True):
    """What must no longer be trusted, whatever signs it.

    `digest` is the SHA-256 of a manifest (`bundle`), of a file (`file`), or of the blob that
    is a public key for OpenSSH (`key`): one that signs releases, never one of the root role.
    """

    kind: Literal["bundle", "file", "key"]
    digest: str
    reason: _Text


def revoked_keys(revocations: Iterable[Revocation]) -> set[str]:
    """Return the digests of the keys among what is revoked."""
    return {r.digest for r in revocations if r.kind == "key"}


class Manifest(_Strict, frozen=True, kw_only=True):
    """A release, whole. `created` in seconds since 1970, `release_seq` grows with each."""

    schema: Literal["casemate.bundle/v1"] = "casemate.bundle/v1"
    product: Literal["casemate"] = "casemate"
    version: str
    release_seq: Annotated[int, msgspec.Meta(ge=1, le=1 << 40)]
    created: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
    kind: Literal["full", "delta"] = "full"
    base: str | None = None  # of a delta: SHA-256 of the manifest that the site must have
    target: Target = Target()
    profile: Literal["cpu", "gpu"]
    components: list[Component]
    revocations: list[Revocation] = []
    files: list[str]  # of the medium, outside chunks/: each is in SHA256SUMS
    sums: str  # SHA-256 of SHA256SUMS, so that one signature covers the whole folder

    def to_bytes(self) -> bytes:
        """Return the canonical bytes.

        Raises:
            FormatError: It breaks a rule of the format; nothing wrong is ever written.
        """
        _check(self)
        return msgspec.json.encode(self, order="sorted") + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> "Manifest":
        """Read a manifest. No signature is checked here.

        Raises:
            FormatError: Not a manifest, or not its canonical form.
        """
        if len(data) > MANIFEST_BYTES_MAX:
            raise FormatError(f"manifest is longer than {MANIFEST_BYTES_MAX} bytes")
        try:
            manifest = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise FormatError(f"manifest: {exc}") from exc
        if manifest.to_bytes() != data:
            raise FormatError("manifest is not in canonical form")
        return manifest

    def digest(self) -> str:
        """Return the SHA-256 of the canonical bytes."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def tree(self) -> Iterator[File]:
        """Yield the files of the release tree, in the order of the manifest."""
        for component in self.components:
            yield from component.files

    def chunks(self) -> dict[str, int]:
        """Return each chunk once: digest to size in bytes."""
        return {chunk.sha256: chunk.size for file in self.tree() for chunk in file.chunks}


def chunk_path(digest: str) -> str:
    """Return where a chunk lies in the folder of a bundle."""
    return f"chunks/{digest[:2]}/{digest}"


def _check(manifest: Manifest) -> None:
    """Refuse a manifest that breaks a rule which its types do not say."""
    if not _VERSION.match(manifest.version):
        raise FormatError("version: letters, digits and . + ~ - only, 64 at most")
    if (manifest.kind == "delta") != (manifest.base is not None):
        raise FormatError("a delta, and only a delta, names its base")
    for digest in [manifest.sums, *filter(None, [manifest.base])]:
        check_digest(digest)
    for revocation in manifest.revocations:
        check_digest(revocation.digest)
        _check_text(revocation.reason)
    check_unique([check_path(path) for path in manifest.files])
    _check_tree(manifest)


def _check_tree(manifest: Manifest) -> None:
    files = list(manifest.tree())
    if len(manifest.components) > COMPONENTS_MAX or len(files) > FILES_MAX:
        raise FormatError("too many components or files")
    if sum(len(file.chunks) for file in files) > CHUNKS_MAX + FILES_MAX:
        raise FormatError("too many chunks")
    for component in manifest.components:
        for text in (component.name, component.version, component.licence, component.source):
            _check_text(text)
        if "://" in component.source:
            raise FormatError(f"source is a revision, never an address: {component.source}")
    check_unique([check_path(file.path) for file in files])
    sizes: dict[str, int] = {}
    for file in files:
        _check_file(file, sizes)


def _check_file(file: File, sizes: dict[str, int]) -> None:
    """Check one file; `sizes` collects the size of each chunk, which is the same everywhere."""
    if file.mode not in MODES:
        raise FormatError(f"{file.path}: mode is not 0644 or 0755")
    check_digest(file.sha256)
    if sum(chunk.size for chunk in file.chunks) != file.size:
        raise FormatError(f"{file.path}: the sizes of its chunks do not add up")
    for chunk in file.chunks:
        if sizes.setdefault(check_digest(chunk.sha256), chunk.size) != chunk.size:
            raise FormatError(f"{file.path}: a chunk has two sizes")
    alone = [EMPTY] if not file.chunks else [chunk.sha256 for chunk in file.chunks]
    if len(alone) == 1 and alone[0] != file.sha256:
        raise FormatError(f"{file.path}: its only chunk has another digest")


def _check_text(text: str) -> None:
    if _CONTROL.search(text):
        raise FormatError(f"control character in {text!r}")
