"""Is this release to be trusted on this site? The checks, in the order that spares time.

Clock, chain of roots, signatures, release number, revocations, target: nothing large is read
before they all pass. What is read then is in `reading.py`. The clock comes first because a
wrong one breaks what follows on a site (apt's signatures) in ways that nobody understands.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.bundle import sums
from appliance.bundle.manifest import Manifest, Revocation, Target, chunk_path, revoked_keys
from appliance.bundle.medium import Media
from appliance.bundle.refusal import BundleError, DamagedError, UntrustedError
from appliance.bundle.trust import (
    Root,
    advance,
    check_release,
    check_revocations,
    check_self_signed,
    spelled,
)
from appliance.errors import FormatError

DAY = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine is, in the words of `Target`."""

    os: str
    os_version: str
    arch: str

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.os} {self.os_version} {self.arch}"


@dataclass(frozen=True, slots=True)
class Site:
    """What the place of verification knows. Outside a site, most of it is unknown."""

    now: int  # seconds since 1970, by the clock of this machine
    root: Root | None = None  # pinned; None before the first import
    fingerprint: str | None = None  # of the first root, as a person read it from the sheet
    last: tuple[int, str] | None = None  # newest release imported: number and manifest digest
    revocations: Sequence[Revocation] = ()
    machine: Machine | None = None  # None: not the machine that the release is for


@dataclass(frozen=True, slots=True)
class Release:
    """A manifest whose signatures, number and target this site accepts."""

    manifest: Manifest
    digest: str  # SHA-256 of the manifest
    root: Root  # trusted from now on
    pinned: bool  # whether the root was known, or compared with a fingerprint
    signers: list[str]  # ids of the keys that count
    listed: dict[str, str]  # each file that the media carry, to its SHA-256
    revocations: list[Revocation]  # of the site and of this release

    def carried(self) -> dict[str, int]:
        """Return the chunks that the media should carry: digest to size in bytes."""
        return {d: n for d, n in self.manifest.chunks().items() if chunk_path(d) in self.listed}

    def small(self) -> dict[str, str]:
        """Return the other files that each medium carries: path to SHA-256."""
        return {path: self.listed[path] for path in self.manifest.files}

    def age(self, now: int) -> int:
        """Return how many days ago the release was made, by the clock of this machine."""
        return (now - self.manifest.created) // DAY


def prove(media: Media, site: Site) -> Release:
    """Return the release on these media, if this site may trust it. No chunk is read.

    Raises:
        UntrustedError: Another root, too few signatures, an older release, or revoked.
        BundleError: The clock is behind, or the release is for another machine.
        DamagedError: SHA256SUMS is not the one that the manifest names.
    """
    manifest = _parsed(media.manifest)
    if manifest is not None:
        _check_clock(manifest, site.now)
    revoked = revoked_keys(site.revocations)
    root, pinned = _root(media, site)
    signers = check_release(root, media.manifest, media.signatures(), revoked)
    if manifest is None:  # signed, and yet unreadable: made by a newer tool
        raise BundleError(
            "CM-INS-01",
            "Le manifeste est signé, mais d’un format que cette version ne lit pas.",
            "The manifest is signed, but in a format that this version does not read.",
        )
    check_revocations(root, revoked_keys(manifest.revocations))
    media.check_described()
    digest = hashlib.sha256(media.manifest).hexdigest()
    _check_number(manifest, digest, site.last)
    revocations = list(
        {r.digest: r for r in (*manifest.revocations, *site.revocations)}.values()
    )
    _check_revoked(manifest, digest, revocations)
    _check_target(manifest.target, site.machine)
    listed = _listed(media, manifest)
    return Release(manifest, digest, root, pinned, signers, listed, revocations)


@dataclass(frozen=True, slots=True)
class Heeded:
    """What a site takes over even from a release that it refuses, an old one say."""

    root: Root | None  # reached from the pinned one; None where none is pinned yet
    revocations: list[Revocation]


def heed(media: Media, site: Site) -> Heeded:
    """Return the root and the revocations that the media carry, each only if it is signed."""
    revoked = revoked_keys(site.revocations)
    kept, found = site.root, list[Revocation]()
    manifest = _parsed(media.manifest)
    try:
        root, pinned = _root(media, site)
        kept = root if site.root is not None else None
        check_release(root, media.manifest, media.signatures(), revoked)
        if pinned and manifest is not None:
            check_revocations(root, revoked_keys(manifest.revocations))
            found = manifest.revocations
    except BundleError:
        pass
    return Heeded(kept, found)


def _parsed(data: bytes) -> Manifest | None:
    try:
        return Manifest.parse(data)
    except FormatError:
        return None


def _root(media: Media, site: Site) -> tuple[Root, bool]:
    """Return the root to trust, and whether a person or this site vouches for it."""
    offered = media.roots()
    if site.root is not None:
        return advance(site.root, offered), True
    newest = max(
        (check_self_signed(data, found) for data, found in offered),
        key=lambda root: root.version,
    )
    if site.fingerprint is None:
        return newest, False
    if newest.fingerprint() != "".join(site.fingerprint.split()).lower():
        raise UntrustedError(
            "CM-INS-02",
            "L’empreinte de la racine n’est pas celle de la fiche : "
            f"{spelled(newest.fingerprint())}",
            f"The fingerprint of the root is not the sheet’s: {spelled(newest.fingerprint())}",
        )
    return newest, True


def _check_clock(manifest: Manifest, now: int) -> None:
    if now >= manifest.created:
        return
    days = (manifest.created - now) / DAY
    raise BundleError(
        "CM-INS-05",
        f"L’horloge de cette machine retarde : la livraison a été faite {days:.1f} jour(s) "
        "plus tard. Réglez l’horloge.",
        f"The clock of this machine is behind: the release was made {days:.1f} day(s) later. "
        "Set the clock.",
    )


def _check_number(manifest: Manifest, digest: str, last: tuple[int, str] | None) -> None:
    if last is None or manifest.release_seq > last[0] or (manifest.release_seq, digest) == last:
        return
    number = manifest.release_seq
    if number == last[0]:
        raise UntrustedError(
            "CM-INS-06",
            f"Une autre livraison porte déjà le numéro {number} sur ce site.",
            f"Another release already has number {number} on this site.",
        )
    raise UntrustedError(
        "CM-INS-06",
        f"La livraison n° {number} est plus ancienne que la n° {last[0]}, déjà reçue.",
        f"Release {number} is older than release {last[0]}, already received.",
    )


def _check_revoked(manifest: Manifest, digest: str, revocations: list[Revocation]) -> None:
    files = {file.sha256: file.path for file in manifest.tree()}
    for revocation in revocations:
        if revocation.kind == "bundle" and revocation.digest == digest:
            what = f"n° {manifest.release_seq}"
        elif revocation.kind == "file" and revocation.digest in files:
            what = files[revocation.digest]
        else:
            continue
        raise UntrustedError(
            "CM-INS-07",
            f"Révoqué par l’éditeur : {what} ({revocation.reason}).",
            f"Revoked by the publisher: {what} ({revocation.reason}).",
        )


def _check_target(target: Target, found: Machine | None) -> None:
    wanted = Machine(target.os, target.os_version, target.arch)
    if found is None or found == wanted:
        return
    raise BundleError(
        "CM-INS-08",
        f"La livraison est pour {wanted} ; cette machine est {found}.",
        f"The release is for {wanted}; this machine is {found}.",
    )


def _listed(media: Media, manifest: Manifest) -> dict[str, str]:
    """Return what SHA256SUMS lists, once it is the one that the manifest names."""
    data = media.sums()
    if hashlib.sha256(data).hexdigest() != manifest.sums:
        raise DamagedError(
            "CM-INS-04",
            f"{sums.NAME} n’est pas celui du manifeste : recopiez-le.",
            f"{sums.NAME} is not the one of the manifest: copy it again.",
        )
    try:
        listed = sums.parse(data)
    except FormatError as exc:
        raise BundleError(
            "CM-INS-01", f"{sums.NAME} est illisible.", f"{sums.NAME} cannot be read."
        ) from exc
    known = {chunk_path(d): d for d in manifest.chunks()}
    wrong = [p for p, d in listed.items() if p not in manifest.files and known.get(p) != d]
    absent = [p for p in manifest.files if p not in listed]
    if manifest.kind == "full":
        absent += [path for path in known if path not in listed]
    if wrong or absent:
        raise BundleError(
            "CM-INS-01",
            f"{sums.NAME} et le manifeste se contredisent : {(wrong + absent)[0]}",
            f"{sums.NAME} and the manifest disagree: {(wrong + absent)[0]}",
        )
    return listed
