"""A site that imports bundles, as the command does."""

from pathlib import Path

from appliance.bundle.importing import Imported, run_import, site_of
from appliance.bundle.medium import open_media
from appliance.bundle.store import Store
from appliance.bundle.verify import Machine
from tests.bundle.bundles import CREATED, make_root

DEBIAN = Machine("debian", "13", "amd64")


def bring(
    root: Path, *folders: Path, fingerprint: str | None = None, machine: Machine = DEBIAN
) -> Imported:
    """Import as a site does, whose sheet has the usual fingerprint."""
    store = Store(root)
    store.prepare()
    site = site_of(store, CREATED + 10, fingerprint or make_root().fingerprint(), machine)
    with store.alone():
        return run_import(open_media(list(folders)), store, site, lambda _: None)
