"""The release to install: on the media that were brought, or already in the store of this site.

The bytes of a medium are hashed while they are copied; before that only its signatures, its
sizes and its list of files are looked at, so that nothing large is read for nothing.
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.bundle.importing import need, run_import, site_of
from appliance.bundle.manifest import Manifest
from appliance.bundle.medium import Media, open_media
from appliance.bundle.reading import check_nothing_more, check_sizes
from appliance.bundle.refusal import BundleError, DamagedError
from appliance.bundle.store import Store
from appliance.bundle.trust import spelled
from appliance.bundle.verify import Machine, Site, prove
from appliance.errors import FormatError
from appliance.install.boxes import Brought
from appliance.install.phases import Release
from appliance.install.places import Places
from appliance.install.report import Mark

_STEP = 1 << 30  # bytes between two lines of progress
_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}

Say = Callable[[str], None]


def _release(manifest: Manifest, digest: str) -> Release:
    return Release(version=manifest.version, release_seq=manifest.release_seq, manifest=digest)


def _marks(store: Store) -> list[Mark]:
    root = store.state().root
    if root is None:
        return []
    name = f"racine de confiance, version {root.version}"
    return [Mark(name=name, value=spelled(root.fingerprint()))]


class OnMedia:
    """A release on media. What is read from its manifest here is not proved yet."""

    def __init__(self, store: Store, media: Media, fingerprint: str, say: Say) -> None:
        self._store, self._media, self._fingerprint, self._say = store, media, fingerprint, say
        self._manifest = manifest = _parsed(media)
        self.release = _release(manifest, hashlib.sha256(media.manifest).hexdigest())
        self.created = manifest.created
        self.size = need(store, manifest, store.chunks()).space

    def verify(self) -> None:
        """Check signatures, release number, target, then sizes and the list of files."""
        self._store.prepare()
        proved = prove(self._media, self._site())
        wanted = need(self._store, proved.manifest, self._store.chunks())
        check_sizes(self._media, proved, wanted.chunks)
        check_nothing_more(self._media, proved)

    def bring(self) -> None:
        """Copy what the store lacks, each byte hashed; then make the tree."""
        self._store.prepare()
        with self._store.alone():
            run_import(self._media, self._store, self._site(), Progress(self.size, self._say))

    def media(self) -> Sequence[str]:
        """Return the labels of the media."""
        return [folder.label() for folder in self._media.folders]

    def marks(self) -> Sequence[Mark]:
        """Return the fingerprint of the root that this site trusts."""
        return _marks(self._store)

    def _site(self) -> Site:
        fingerprint = self._fingerprint or None
        return site_of(self._store, int(time.time()), fingerprint, _machine())


class InStore:
    """The newest release that was imported: no medium is needed any more."""

    size = 0

    def __init__(self, store: Store) -> None:
        last = store.state().last
        if last is None:
            raise BundleError(
                "CM-INS-04",
                "Aucune livraison dans le magasin : donnez le support par --medium.",
                "No release in the store: give the medium with --medium.",
            )
        self._store = store
        self._manifest = store.manifest(last[1])
        self.release = _release(self._manifest, last[1])
        self.created = self._manifest.created

    def verify(self) -> None:
        """Read every byte of the release again.

        Raises:
            DamagedError: Names the files that are absent or changed.
        """
        if found := self._store.damaged(self._manifest):
            names = ", ".join(file.path for file in found[:5])
            raise DamagedError(
                "CM-INS-15",
                f"Le magasin est abîmé : {names}. Apportez le support.",
                f"The store is damaged: {names}. Bring the medium.",
            )

    def bring(self) -> None:
        """Make the tree again when it is not whole."""
        if not self._store.is_whole(self._manifest):
            self._store.link_release(self._manifest)

    def media(self) -> Sequence[str]:
        """Return nothing: no medium was read."""
        return []

    def marks(self) -> Sequence[Mark]:
        """Return the fingerprint of the root that this site trusts."""
        return _marks(self._store)


class Progress:
    """Says how far a copy is, once per GiB and at its end."""

    def __init__(self, size: int, say: Say) -> None:
        self._size, self._say, self._read, self._next = size, say, 0, _STEP

    def __call__(self, read: int) -> None:
        """Take in bytes that were read."""
        self._read += read
        if self._read >= self._next:
            self._next = (self._read // _STEP + 1) * _STEP
            whole = max(self._size, self._read)
            self._say(f"        {self._read / _STEP:.0f} / {whole / _STEP:.1f} Gio")


def open_bundle(
    places: Places, media: Sequence[Path], fingerprint: str, say: Say
) -> OnMedia | InStore:
    """Return the release on these media, or without any the newest one in the store.

    Raises:
        BundleError: The folders are no bundle, or the store has none.
    """
    store = Store(places.data)
    if not media:
        return InStore(store)
    return OnMedia(store, open_media(list(media)), fingerprint, say)


def described(media: Sequence[Path]) -> Brought:
    """Return what media say of themselves. Nothing of it is proved.

    Raises:
        BundleError: The folders are no bundle.
    """
    opened = open_media(list(media))
    manifest = _parsed(opened)
    return Brought(
        version=manifest.version, release_seq=manifest.release_seq, created=manifest.created,
        manifest=hashlib.sha256(opened.manifest).hexdigest(),
        size=sum(manifest.chunks().values()), media=opened.count(),
    )  # fmt: skip


def _parsed(media: Media) -> Manifest:
    try:
        return Manifest.parse(media.manifest)
    except FormatError as exc:
        raise BundleError(
            "CM-INS-01",
            "Le manifeste de la livraison est illisible.",
            "The manifest of the bundle cannot be read.",
        ) from exc


def is_pinned(places: Places) -> bool:
    """Tell whether this site trusts a root already: no fingerprint is asked for then."""
    return Store(places.data).state().root is not None


def created_last(places: Places) -> int:
    """Return when the newest imported release was made; 0 before the first import."""
    store = Store(places.data)
    last = store.state().last
    return store.manifest(last[1]).created if last else 0


def _machine() -> Machine:
    rows = Path("/etc/os-release").read_text("utf-8").splitlines()
    found = dict(row.split("=", 1) for row in rows if "=" in row)
    arch = os.uname().machine
    return Machine(
        found.get("ID", "").strip('"'),
        found.get("VERSION_ID", "").strip('"'),
        _DEBIAN.get(arch, arch),
    )
