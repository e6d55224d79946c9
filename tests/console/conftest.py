"""One running console for all tests of the session: each signs in as somebody of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.console.assets import VENDOR, main
from tests.console.stand import Stand, create_database, furnish, make_stand
from tests.gateway.stand import Realm


@pytest.fixture(scope="session")
def assets() -> None:
    """Build the static files when this checkout has none."""
    if not (VENDOR / "icons.json").is_file():
        assert main() == 0


@pytest.fixture(scope="session")
def stand(server: str, migrated: str, assets: None) -> Iterator[Stand]:
    realm = Realm()
    folder = Path(tempfile.mkdtemp(prefix="cmc-"))  # sockets need short paths
    made = make_stand(folder, realm, create_database(server, migrated))
    try:
        furnish(made)
        yield made
    finally:
        made.close()
        realm.server.shutdown()
        realm.server.server_close()
        shutil.rmtree(folder)
