"""A site with a recorder of its own for each test that asks for one."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.stand import Realm, Site, make_site


@pytest.fixture(scope="session")
def realm() -> Iterator[Realm]:
    made = Realm()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def site(realm: Realm, gateway_database: str) -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="cmg-"))  # sockets need short paths
    made = make_site(folder, realm, gateway_database)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(folder)
