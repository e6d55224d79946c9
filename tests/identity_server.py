"""A real Keycloak for the tests that ask for one: provisioned and started as the demo's.

Fixtures: `identity_database` (its PostgreSQL: TCP, scram), `site` (its process, both realms).
"""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from appliance.identity.accounts import Person, put_groups, put_person
from appliance.identity.provision import PROVISION_CLIENT, Realm, connect, provision
from appliance.settings import RealmSettings
from appliance.site import keycloak as kc
from appliance.site import postgres
from appliance.site.store import make_identity_database
from tests.identity.browser import Browser
from tests.identity.waiting import OTP

CACHE = Path(__file__).parents[1] / "build"
PASSWORD = "un-mot-de-passe-assez-long"
SECRETS = {
    name: secrets.token_urlsafe(32)
    for name in ("bootstrap", "provision", "console", "worker", "events")
}
GROUPS = {"/equipes/accueil": 1, "/equipes/rh": 2, "/pilotage": 3}


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@dataclass(frozen=True)
class Site:
    """A running Keycloak, provisioned as the demo's."""

    instance: kc.Instance
    first_changes: tuple[str, ...]

    @property
    def origin(self) -> str:
        return self.instance.origin

    @property
    def realm(self) -> RealmSettings:
        return RealmSettings(
            issuer=f"{self.origin}/auth/realms/casemate",
            backchannel=f"{self.instance.address}/realms/casemate",
        )

    @property
    def values(self) -> dict[str, str]:
        return {"origin": self.origin, "admin_front": ""}

    def admin(self, realm: str = "casemate") -> Realm:
        client = (PROVISION_CLIENT, SECRETS["provision"])
        return connect(self.instance.address, realm, client=client, within=realm)

    def browser(self) -> Browser:
        return Browser(self.origin, self.instance.port)

    def person(
        self, *roles: str, groups: tuple[str, ...] = (), clearance: int | None = None
    ) -> tuple[str, str]:
        """Make an account of its own for one test; return its name and subject."""
        name = f"p{secrets.token_hex(6)}"
        otp = OTP if {"rssi", "auditeur"} & set(roles) else ""
        person = Person(name, frozenset(roles), groups, clearance, PASSWORD, otp)
        return name, put_person(self.admin(), person)


def _until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if ready():
            return
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.3)
    raise AssertionError(log.read_text()[-3000:])


def _answers(server: str) -> bool:
    try:
        psycopg.connect(server).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="session")
def identity_database() -> Iterator[int]:
    """Run a PostgreSQL that takes Keycloak's connections: TCP, scram. Return its port."""
    folder = Path(tempfile.mkdtemp(prefix="cm-kc-pg-"))
    data, sockets, log = folder / "data", folder / "s", folder / "log"
    (port,) = free_ports(1)
    postgres.prepare(data, sockets)
    folder.chmod(0o755)
    user = postgres.system_user()
    subprocess.run(postgres.initialise(data), check=True, user=user, stdout=subprocess.DEVNULL)
    postgres.configure(data)
    with log.open("wb") as output:
        argv = postgres.serve(data, sockets, port)
        process = subprocess.Popen(argv, user=user, stdout=output, stderr=output)
    try:
        server = postgres.address(sockets, port, postgres.SUPERUSER, "postgres")
        _until(lambda: _answers(server), process, log)
        make_identity_database(server, kc.DATABASE, "scram-password")
        yield port
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def site(identity_database: int) -> Iterator[Site]:
    """Run Keycloak as the demo does, provisioned, with groups."""
    folder = Path(tempfile.mkdtemp(prefix="cm-kc-"))
    port, management, front = free_ports(3)
    origin = f"http://localhost:{front}"
    instance = kc.Instance(folder, port, management, identity_database, origin)
    kc.configure(instance, "scram-password", bootstrap=SECRETS["bootstrap"])
    home, log = kc.install(CACHE), folder / "log"
    with log.open("wb") as output:
        argv, environment = kc.command(home, instance), kc.environment(instance)
        process = subprocess.Popen(
            argv, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _until(lambda: kc.ready(instance), process, log)
        values = {"origin": origin, "admin_front": ""}
        changes = provision(instance.address, values, SECRETS)
        found = Site(instance, tuple(changes))
        put_groups(found.admin(), dict(GROUPS))
        yield found
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)
        shutil.rmtree(folder)
