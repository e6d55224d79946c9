"""The folder of a bundle, sealed: templates, SHA256SUMS, manifest, signature, `medium.json`.

The builder has put the chunks and its own files there; sealing adds what depends on all of
them. Same content, same key, same bytes: nothing here reads a clock.
"""

import hashlib
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from appliance.bundle import sums
from appliance.bundle.chunks import digest_of
from appliance.bundle.manifest import Manifest, chunk_path, revoked_keys
from appliance.bundle.medium import (
    MANIFEST,
    MEDIUM,
    ROOT,
    Media,
    Medium,
    files_below,
    is_unlisted,
)
from appliance.bundle.refusal import BundleError
from appliance.bundle.sshsig import MANIFEST_NAMESPACE, ROOT_NAMESPACE, sign
from appliance.bundle.trust import Root, check_revocations

TEMPLATES = ("VERIFY.sh", "LISEZMOI.txt", "README.txt")
SLACK = 1 << 20  # bytes of a medium kept for its tables and folders


@dataclass(frozen=True, slots=True)
class Seal:
    """Who signs. Without release keys, `ssh-keygen -Y sign -n bundle@casemate` does, later.

    `older` holds the roots between the one that the oldest site trusts and the newest, each
    with its signatures: a site that missed a rotation follows them one by one.
    """

    root: Root
    root_signatures: Sequence[bytes]
    release_keys: Sequence[Ed25519PrivateKey] = ()
    older: Sequence[tuple[Root, Sequence[bytes]]] = ()


def sign_root(root: Root, keys: Sequence[Ed25519PrivateKey]) -> list[bytes]:
    """Return the signatures of a root: by its own keys, and at a rotation by the old ones."""
    return [sign(key, root.to_bytes(), ROOT_NAMESPACE) for key in keys]


def seal(folder: Path, draft: Manifest, by: Seal) -> Manifest:
    """Write all that a bundle's folder has beside its chunks, and return the manifest.

    Args:
        folder: With the chunks to carry, and the other files that the builder adds.
        draft: The manifest, whose `files` and `sums` are filled here.
        by: Root and keys.

    Raises:
        FormatError: The manifest or a name breaks a rule of the format.
        BundleError: A chunk lies there that the manifest does not know, or one is absent.
        UntrustedError: It revokes a key of the root role, which a site would refuse.
    """
    check_revocations(by.root, revoked_keys(draft.revocations))
    for name in TEMPLATES:
        template = files("appliance.bundle") / "templates" / name
        (folder / name).write_bytes(template.read_bytes())
    (folder / "VERIFY.sh").chmod(0o755)
    _check_chunks(folder, draft)
    listed = {
        name: digest_of(folder / name) for name in _names(folder) if not is_unlisted(name)
    }
    text = sums.text(listed)
    others = sorted(name for name in listed if not name.startswith("chunks/"))
    manifest = replace(draft, files=others, sums=_digest(text))
    data = manifest.to_bytes()
    (folder / sums.NAME).write_bytes(text)
    (folder / MANIFEST).write_bytes(data)
    (folder / ROOT).write_bytes(by.root.to_bytes())
    _write_signatures(folder / ROOT, list(by.root_signatures))
    for root, signatures in by.older:
        place = folder / f"root.{root.version}.json"
        place.write_bytes(root.to_bytes())
        _write_signatures(place, list(signatures))
    keys = by.release_keys
    _write_signatures(folder / MANIFEST, [sign(k, data, MANIFEST_NAMESPACE) for k in keys])
    carried = [sorted(d for d in manifest.chunks() if chunk_path(d) in listed)]
    medium = Medium(bundle=_digest(data), number=1, media=carried)
    (folder / MEDIUM).write_bytes(medium.to_bytes())
    return manifest


def repack(
    media: Media,
    draft: Manifest,
    carried: Collection[str],
    out: Path,
    keys: Sequence[Ed25519PrivateKey],
) -> Manifest:
    """Write a delta: the small files and roots of a full bundle, and some of its chunks.

    Args:
        media: The full bundle.
        draft: What `delta.derive` returned.
        carried: Digests of the chunks to carry.
        out: Folder to make.
        keys: Of the release role.
    """
    source = media.folders[0].path
    roots = [n for n in _names(source) if "/" not in n and n.startswith("root.")]
    for name in (*draft.files, *roots, *map(chunk_path, sorted(carried))):
        _copy(source / name, out / name)
    root = Root.parse((source / ROOT).read_bytes())
    return seal(out, draft, Seal(root, media.signatures(ROOT), keys))


def spread(
    media: Media, sizes: dict[str, int], places: Sequence[tuple[Path, int]]
) -> list[int]:
    """Copy a bundle onto several media, each within its free bytes. Return chunks per medium.

    Args:
        media: A complete bundle, already verified.
        sizes: Its chunks: digest to size in bytes.
        places: For each medium in order, the folder to make and the bytes free there.

    Raises:
        BundleError: It does not fit; nothing is written then.
    """
    source = media.folders[0].path
    small = [
        name for name in _names(source) if not name.startswith("chunks/") and name != MEDIUM
    ]
    own = sum((source / name).stat().st_size for name in small) + 80 * len(sizes) + SLACK
    shares = allot(sizes, [free - own for _, free in places])
    digest = _digest(media.manifest)
    for number, ((folder, _), share) in enumerate(zip(places, shares, strict=True), 1):
        for name in small:
            _copy(source / name, folder / name)
        medium = Medium(bundle=digest, number=number, media=shares)
        (folder / MEDIUM).write_bytes(medium.to_bytes())
        for chunk in share:
            found = media.find(chunk)
            assert found is not None, "the bundle is complete"
            _copy(found, folder / chunk_path(chunk))
    return [len(share) for share in shares]


def allot(sizes: dict[str, int], free: Sequence[int]) -> list[list[str]]:
    """Return which chunks go on which medium: large ones first, each where it fits first.

    Raises:
        BundleError: They do not fit.
    """
    left, shares = list(free), [list[str]() for _ in free]
    for digest, size in sorted(sizes.items(), key=lambda each: (-each[1], each[0])):
        place = next((n for n, room in enumerate(left) if room >= size), None)
        if place is None:
            lacking = sum(sizes.values()) - sum(max(0, room) for room in free)
            raise BundleError(
                "CM-INS-09",
                f"Ces supports sont trop petits : il manque au moins {lacking} octets.",
                f"These media are too small: at least {lacking} bytes are lacking.",
            )
        left[place] -= size
        shares[place].append(digest)
    return [sorted(share) for share in shares]


def _check_chunks(folder: Path, draft: Manifest) -> None:
    known = {chunk_path(digest) for digest in draft.chunks()}
    there = {name for name in _names(folder) if name.startswith("chunks/")}
    wrong = there - known if draft.kind == "delta" else there ^ known
    if wrong:
        raise BundleError(
            "CM-INS-11",
            f"Morceaux de trop ou absents : {min(wrong)} et {len(wrong) - 1} autre(s)",
            f"Chunks too many or absent: {min(wrong)} and {len(wrong) - 1} more",
        )


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in files_below(folder))


def _write_signatures(signed: Path, signatures: list[bytes]) -> None:
    for number, signature in enumerate(signatures):
        suffix = f".{number + 1}" if number else ""
        signed.with_name(f"{signed.name}.sig{suffix}").write_bytes(signature)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
