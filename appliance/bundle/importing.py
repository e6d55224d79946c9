"""Import: the files of a release into the store, hashed while they are copied.

Nothing of the medium is believed because it was verified before (`copying.py`). The release
exists when `state.json` says so, which is the last thing written.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from appliance.bundle.chunks import Advance
from appliance.bundle.copying import Copy, full_disk_said
from appliance.bundle.delta import check_base, lacking
from appliance.bundle.manifest import File, Manifest
from appliance.bundle.medium import Media
from appliance.bundle.reading import check_nothing_more, check_sizes
from appliance.bundle.refusal import BundleError, UntrustedError
from appliance.bundle.store import Span, State, Store
from appliance.bundle.verify import Machine, Release, Site, heed, prove

MARGIN = 32 << 20  # bytes left free on the volume of the store


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    release: Release
    tree: Path
    copied: int  # bytes read from the media
    files: int  # new files in the store


@dataclass(frozen=True, slots=True)
class Need:
    """What an import has to bring: files not yet in the store, and the chunks for them."""

    files: list[File]
    chunks: dict[str, int]  # digest → bytes
    space: int  # bytes to be written


def site_of(store: Store, now: int, fingerprint: str | None, machine: Machine | None) -> Site:
    """Return what a site knows, from its state."""
    state = store.state()
    return Site(now, state.root, fingerprint, state.last, state.revocations, machine)


def need(store: Store, manifest: Manifest, have: dict[str, Span]) -> Need:
    """Return what is not in the store yet."""
    files = {store.blob(f): f for f in manifest.tree() if not store.has(f)}
    wanted = {c.sha256: c.size for file in files.values() for c in file.chunks}
    begun = sum(min(file.size, store.begun(file)) for file in files.values())
    space = sum(file.size for file in files.values()) - begun
    return Need(list(files.values()), lacking(wanted, have), space)


def run_import(media: Media, store: Store, site: Site, advance: Advance) -> Imported:
    """Bring a release into the store. Interrupted at any point, it is simply run again.

    Args:
        media: All that are there.
        store: Of this site, prepared and held by the caller.
        site: What `site_of` returned.
        advance: Told of the bytes read from the media.

    Raises:
        UntrustedError: Not to be trusted, or nobody compared the fingerprint of the first root.
        BundleError: Refused: clock, target, base, space, unexpected files.
        DamagedError: Chunks are missing or wrong; what was good is kept.
    """
    _take_over(media, store, site)
    release = prove(media, site)
    if not release.pinned:
        raise UntrustedError(
            "CM-INS-02",
            "Premier import : donnez l’empreinte de la racine, lue sur la fiche imprimée.",
            "First import: give the fingerprint of the root, as printed on the sheet.",
        )
    state = _trust(store, release)
    check_base(release.manifest, set(state.releases.values()))
    have = store.chunks()
    wanted = need(store, release.manifest, have)
    _check_space(store, wanted)
    check_sizes(media, release, wanted.chunks)
    check_nothing_more(media, release)
    copied = Copy(media, store, release, have, advance)
    copied.all(wanted.files)
    return _publish(media, store, release, copied)


def _take_over(media: Media, store: Store, site: Site) -> None:
    """Take over a newer root and signed revocations, even of a release that is then refused."""
    state, found = store.state(), heed(media, site)
    known = {r.digest for r in state.revocations}
    revocations = [*state.revocations, *(r for r in found.revocations if r.digest not in known)]
    new = replace(state, root=found.root, revocations=revocations)
    if new != state:
        store.write_state(new)


def _trust(store: Store, release: Release) -> State:
    """Keep the root that was proved, and return the state."""
    state = store.state()
    new = replace(state, root=release.root, revocations=release.revocations)
    if new != state:
        store.write_state(new)
    return new


def _publish(media: Media, store: Store, release: Release, copied: Copy) -> Imported:
    manifest = release.manifest
    with full_disk_said():
        store.keep_manifest(media.manifest)
        tree = store.release(manifest.release_seq)
        if not store.is_whole(manifest):
            tree = store.link_release(manifest)
        shutil.rmtree(store.partial)  # what an abandoned release left
        store.prepare()
        state, number = store.state(), str(manifest.release_seq)
        store.write_state(
            replace(
                state,
                last=(manifest.release_seq, release.digest),
                releases={**state.releases, number: release.digest},
            )
        )
    return Imported(release, tree, copied.bytes_read, copied.files)


def _check_space(store: Store, wanted: Need) -> None:
    free = shutil.disk_usage(store.root).free
    if free >= wanted.space + MARGIN:
        return
    raise BundleError(
        "CM-INS-09",
        f"Place insuffisante sur {store.root} : il faut {wanted.space + MARGIN} octets, "
        f"{free} sont libres.",
        f"Not enough space on {store.root}: {wanted.space + MARGIN} bytes are needed, "
        f"{free} are free.",
    )
