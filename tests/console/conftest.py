"""One running console for all tests of the session: each signs in as somebody of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from appliance.console.assets import VENDOR, main
from tests.console.browser import CHROMIUM, FLAGS
from tests.console.stand import Person, Stand, create_database, furnish, make_stand, person
from tests.gateway.stand import Realm


@pytest.fixture(scope="session")
def assets() -> None:
    """Build the static files when this checkout has none."""
    if not (VENDOR / "icons.json").is_file():
        assert main() == 0


@pytest.fixture(scope="session")
def stand(server: str, migrated: str, assets: None) -> Iterator[Stand]:  # noqa: ARG001
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


@pytest.fixture
def clara(stand: Stand) -> Iterator[Person]:
    """Lend somebody of the methods team, cleared up to 2, to whom two collections open."""
    stand.engine.words = ["Le chef de service répond ", "dans un délai de quinze jours [1]."]
    stand.engine.pause = 0
    with person(stand) as signed_in:
        yield signed_in


@pytest.fixture
def auditor(stand: Stand) -> Iterator[Person]:
    with person(stand, "i.bonnard", roles=["auditeur"], groups=[]) as signed_in:
        yield signed_in


@pytest.fixture
def operator(stand: Stand) -> Iterator[Person]:
    with person(stand, "m.delorme", roles=["exploitant"], groups=[]) as signed_in:
        yield signed_in


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Lend Chromium to one module: its driver keeps a loop in this thread meanwhile."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()
