"""Real logins and changes on a real Keycloak, told by the real command to a real recorder."""

import asyncio
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from keycloak.exceptions import KeycloakError

from appliance.audit.event import Fact
from appliance.errors import FormatError
from appliance.identity.bearer import Account
from appliance.identity.events import DEGRADED, PAGE, RESTORED, Place, Row, Told
from appliance.identity.follow import AwayError, Follower, Places, Realm
from appliance.identity.keyring import Keyring
from appliance.identity.login import Client, Party
from appliance.identity.provision import connect
from appliance.settings import RecorderSettings
from tests.identity_server import PASSWORD, SECRETS, Site
from tests.recording import running
from tests.trail import facts_of

CASEMATE = Path(sys.executable).with_name("casemate")
OURS = ("casemate-events", SECRETS["events"])


def sign_in(site: Site, name: str, password: str = PASSWORD) -> None:
    """Sign in at Keycloak as the console sends people there; its answer goes nowhere."""
    asked = {
        "client_id": "casemate-console", "response_type": "code", "scope": "openid",
        "redirect_uri": f"{site.origin}/connexion/retour", "state": "s", "nonce": "n",
        "code_challenge": secrets.token_urlsafe(32), "code_challenge_method": "S256",
    }  # fmt: skip
    path = "/auth/realms/casemate/protocol/openid-connect/auth"
    site.browser().login(f"{site.origin}{path}?{urlencode(asked)}", name, password)


def settings_file(folder: Path, site: Site, recorder: Path) -> Path:
    (secret := folder / "events-client").write_text(SECRETS["events"])
    (path := folder / "events.toml").write_text(
        f'keycloak = "{site.instance.address}"\nclient_secret = "{secret}"\n'
        f'recorder = "{recorder}"\nstate = "{folder / "events.json"}"\ninterval = 0.5\n'
    )
    return path


class Command:
    """`casemate identity events`, as systemd runs it."""

    def __init__(self, settings: Path) -> None:
        argv = [str(CASEMATE), "identity", "events", "--settings", str(settings)]
        self._process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)

    def end(self, number: int = signal.SIGTERM) -> str:
        self._process.send_signal(number)
        errors = self._process.communicate(timeout=30)[1]
        assert number == signal.SIGKILL or self._process.returncode == 0, errors
        return errors


@pytest.fixture
def command(
    site: Site, recorder_settings: RecorderSettings, tmp_path: Path
) -> Iterator[Callable[[], Command]]:
    begun: list[Command] = []

    def begin() -> Command:
        begun.append(Command(settings_file(tmp_path, site, recorder_settings.socket)))
        return begun[-1]

    yield begin
    for one in begun:
        one.end(signal.SIGKILL)


def facts(settings: RecorderSettings) -> list[Fact]:
    """Return the facts of the log, as its recorder gives them."""
    return facts_of(settings.socket)


def wait_for(settings: RecorderSettings, kind: str, **fields: Any) -> Fact:
    """Return the fact of a kind that says all of `fields`, once it is in the log."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for one in facts(settings):
            if str(one.kind) == f"casemate.{kind}.v1" and _says(one, fields):
                return one
        time.sleep(0.2)
    raise AssertionError(
        [(str(one.kind), one.actor, one.data) for one in facts(settings)][-20:]
    )


def _says(one: Fact, fields: Mapping[str, Any]) -> bool:
    said = {"actor": one.actor, **one.data}
    return all(said.get(name) == value for name, value in fields.items())


def test_logins_refusals_and_ends_are_told(
    site: Site, recorder_settings: RecorderSettings, command: Callable[[], Command]
) -> None:
    name, subject = site.person("utilisateur")
    sign_in(site, name)
    with pytest.raises(AssertionError, match="wrong password"):
        sign_in(site, name, "ce n’est pas le bon")
    with pytest.raises(AssertionError, match="wrong password"):
        sign_in(site, "mon-mot-de-passe-dans-le-mauvais-champ", "x")
    site.admin().write("post", f"/users/{subject}/logout", {}, "logged out")
    with running(recorder_settings):
        command()
        login = wait_for(recorder_settings, "auth.login", actor=subject, realm="casemate")
        assert login.data["client"] == "casemate-console"
        assert login.data["source"] == "keycloak"
        denied = wait_for(recorder_settings, "auth.denied", actor=subject)
        assert denied.data["reason"] == "invalid_user_credentials"
        unknown = wait_for(recorder_settings, "auth.denied", reason="user_not_found")
        assert unknown.actor == "anonymous"
        wait_for(recorder_settings, "admin.user", user=subject, action="action")
        assert "mauvais-champ" not in str([one.data for one in facts(recorder_settings)])


def test_a_person_who_signs_out_and_a_session_that_is_ended_are_told(
    site: Site, recorder_settings: RecorderSettings, command: Callable[[], Command]
) -> None:
    name, subject = site.person("utilisateur")
    asyncio.run(in_and_out(site, name))
    sign_in(site, name)
    (session,) = site.admin().get(f"/users/{subject}/sessions")
    site.admin().write("delete", f"/sessions/{session['id']}", {}, "session ended")
    with running(recorder_settings):
        command()
        login = wait_for(recorder_settings, "auth.login", actor=subject)
        logout = wait_for(recorder_settings, "auth.logout", actor=subject)
        assert logout.data["session"] == login.data["session"]
        wait_for(recorder_settings, "admin.user", action="delete", resource="user_session")


async def in_and_out(site: Site, name: str) -> None:
    """Sign in and out as the console does it for a person."""
    certs = f"{site.realm.backchannel}/protocol/openid-connect/certs"
    async with aiohttp.ClientSession() as http, Keyring(certs, http) as keyring:
        client = Client(site.realm, "casemate-console", site.origin, SECRETS["console"])
        party = Party(client, keyring, http, bytes(range(32)))
        url, cookie = party.begin("/")
        query = await asyncio.to_thread(site.browser().login, url, name, PASSWORD)
        tokens, _ = await party.finish(query, cookie)
        form = {
            "client_id": client.client_id, "client_secret": client.secret,
            "refresh_token": tokens.refresh,
        }  # fmt: skip
        out = f"{site.realm.backchannel}/protocol/openid-connect/logout"
        async with http.post(out, data=form) as answer:
            assert answer.status == 204


def test_changes_by_administrators_are_told_and_no_secret_with_them(
    site: Site, recorder_settings: RecorderSettings, command: Callable[[], Command]
) -> None:
    _, subject = site.person("utilisateur")
    admin = site.admin()
    password: dict[str, Any] = {
        "type": "password",
        "value": f"secret-{secrets.token_hex(8)}",
        "temporary": False,
    }
    admin.write("put", f"/users/{subject}/reset-password", password, "password")
    role = admin.get("/roles/exploitant")
    admin.write("post", f"/users/{subject}/role-mappings/realm", [role], "role")
    admin.write("put", "", {"failureFactor": 6}, "settings")
    admin.write("put", "", {"failureFactor": 5}, "settings")
    with running(recorder_settings):
        command()
        made = wait_for(recorder_settings, "admin.user", user=subject, action="create")
        assert made.data["resource"] == "user"
        wait_for(recorder_settings, "admin.user", path=f"users/{subject}/reset-password")
        given = wait_for(recorder_settings, "admin.role", user=subject, role="exploitant")
        assert given.data["action"] == "create"
        wait_for(recorder_settings, "config.change", resource="realm", action="update")
        every = str([one.data for one in facts(recorder_settings)])
        assert password["value"] not in every
        assert PASSWORD not in every


def test_what_was_told_before_a_kill_is_not_told_again(
    site: Site,
    recorder_settings: RecorderSettings,
    command: Callable[[], Command],
    tmp_path: Path,
) -> None:
    name, subject = site.person("utilisateur")
    sign_in(site, name)
    with running(recorder_settings):
        first = command()
        wait_for(recorder_settings, "auth.login", actor=subject)
        first.end(signal.SIGKILL)
        sign_in(site, name)
        (tmp_path / "events.json").unlink()  # the worst case: its place is lost as well
        command()
        deadline = time.monotonic() + 30
        while len(logins := told_of(recorder_settings, subject)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        time.sleep(2)
        assert len(told_of(recorder_settings, subject)) == 2
        ids = [one.id for one in facts(recorder_settings)]
        assert len(ids) == len(set(ids))
        assert all(one.id.startswith("kcu-") for one in logins)


def told_of(settings: RecorderSettings, subject: str) -> list[Fact]:
    return [
        one
        for one in facts(settings)
        if one.actor == subject and str(one.kind) == "casemate.auth.login.v1"
    ]


def test_nothing_is_lost_while_the_recorder_is_away(
    site: Site, recorder_settings: RecorderSettings, command: Callable[[], Command]
) -> None:
    name, subject = site.person("utilisateur")
    with running(recorder_settings):
        command()
        wait_for(recorder_settings, "admin.user", user=subject)
    sign_in(site, name)
    time.sleep(2)
    with running(recorder_settings):
        wait_for(recorder_settings, "auth.login", actor=subject)


def test_events_that_are_switched_off_raise_an_alarm_that_ends(
    site: Site, recorder_settings: RecorderSettings, command: Callable[[], Command]
) -> None:
    with running(recorder_settings):
        one = command()
        site.admin().write("put", "", {"eventsEnabled": False}, "off")
        missing = wait_for(recorder_settings, "service.degraded", part="events of casemate")
        assert missing.data["reason"] == "eventsEnabled"
        wait_for(recorder_settings, "config.change", resource="realm")
        site.admin().write("put", "", {"eventsEnabled": True}, "on")
        wait_for(recorder_settings, "service.restored", part="events of casemate")
        assert "events.missing" in one.end()


def test_its_account_looks_at_events_and_at_nothing_else(site: Site) -> None:
    for name in ("casemate", "casemate-admin"):
        realm = connect(site.instance.address, name, client=OURS, within=name)
        assert isinstance(realm.get("/events"), list)
        assert isinstance(realm.get("/admin-events"), list)
        assert realm.get("/events/config")["eventsEnabled"]
        for path in ("/users", "/clients", "/roles"):
            with pytest.raises(KeycloakError):
                realm.get(path)
        with pytest.raises(KeycloakError):
            realm.write("delete", "/events", {}, "erased")


# Parts of it, with a table that the test plays.


class Table:
    """A realm whose rows the test gives."""

    def __init__(self, *pages: list[Row] | Exception, name: str = "casemate") -> None:
        self.name, self.lacking, self.asked = name, dict(ON), list[int]()
        self._pages = list(pages)

    async def rows(self, table: str, begin: int) -> Any:
        self.asked.append(begin)
        page = self._pages.pop(0) if self._pages and table == "events" else []
        if isinstance(page, Exception):
            raise page
        yield page

    async def config(self) -> Row:
        return self.lacking


ON = {"eventsEnabled": True, "adminEventsEnabled": True, "adminEventsDetailsEnabled": True}


def row(number: int, at: int) -> Row:
    return {"id": f"{number:08}-aaaa", "type": "LOGIN", "userId": "ada", "time": at}


def follow(
    folder: Path, table: Table, work: Callable[[Follower], Awaitable[None]]
) -> list[Told]:
    told: list[Told] = []

    async def tell(given: Sequence[Told]) -> None:
        told.extend(given)

    places = Places(folder / "events.json")
    asyncio.run(work(Follower([table], places, tell)))  # type: ignore[list-item,arg-type]
    return told


async def once(follower: Follower) -> None:
    await follower.look()


async def twice(follower: Follower) -> None:
    await follower.look()
    await follower.look()


def test_a_row_that_appears_behind_the_newest_is_told(tmp_path: Path) -> None:
    now = int(time.time() * 1000)
    early, late = row(1, now - 60_000), row(2, now)
    told = follow(tmp_path, Table([late], [early, late]), twice)
    assert [one.id for one in told] == ["kcu-00000002-aaaa", "kcu-00000001-aaaa"]


def test_the_place_outlives_a_restart(tmp_path: Path) -> None:
    now = int(time.time() * 1000)
    assert len(follow(tmp_path, Table([row(1, now)]), once)) == 1
    again = Table([row(1, now)])
    assert follow(tmp_path, again, once) == []
    assert again.asked[0] == now - 120_000


def test_rows_after_a_clock_that_was_set_back_are_told(tmp_path: Path) -> None:
    now = int(time.time() * 1000)
    ahead, after = row(1, now + 3_600_000), row(2, now)
    table = Table([ahead], [after])
    assert len(follow(tmp_path, table, twice)) == 2
    assert abs(table.asked[2] - (now - 120_000)) < 10_000


def test_what_the_log_did_not_take_is_told_again(tmp_path: Path) -> None:
    told: list[Told] = []

    async def tell(given: Sequence[Told]) -> None:
        told.extend(given)
        if len(told) == 1:
            raise OSError("no recorder")

    async def work() -> None:
        page = [row(1, int(time.time() * 1000))]
        follower = Follower([Table(page, page)], Places(tmp_path / "events.json"), tell)  # type: ignore[list-item]
        with pytest.raises(OSError, match="no recorder"):
            await follower.look()
        await follower.look()

    asyncio.run(work())
    assert len(told) == 2


def test_a_realm_that_is_silent_for_a_minute_is_an_alarm_and_no_more_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.identity.follow.PATIENCE", 0.0)
    away = AwayError("casemate/events: TimeoutError")
    table = Table(away, away)

    async def work(follower: Follower) -> None:
        await twice(follower)
        await follower.look()

    told = follow(tmp_path, table, work)
    assert [(one.kind, one.data.get("reason")) for one in told] == [
        (DEGRADED, "unread"),
        (RESTORED, None),
    ]


def test_what_was_missing_before_a_restart_is_not_told_twice(tmp_path: Path) -> None:
    off = Table()
    off.lacking = {**ON, "eventsEnabled": False}
    assert len(follow(tmp_path, off, once)) == 1
    assert follow(tmp_path, off, once) == []
    (told,) = follow(tmp_path, Table(), once)
    assert told.kind == RESTORED


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"places": {"x": {}}, "lacking": {}}'])
def test_a_damaged_file_of_places_is_refused(tmp_path: Path, text: str) -> None:
    (path := tmp_path / "events.json").write_text(text)
    with pytest.raises(FormatError):
        Places(path)


def test_places_are_read_back(tmp_path: Path) -> None:
    places = Places(tmp_path / "events.json")
    places.of("casemate/events").done([row(1, 5)], now=7)
    places.keep()
    assert Places(tmp_path / "events.json").of("casemate/events") == Place(
        5, {"00000001-aaaa": 5}
    )
    assert json.loads((tmp_path / "events.json").read_text())["lacking"] == {}
    assert (tmp_path / "events.json").stat().st_mode & 0o777 == 0o600


def test_every_row_of_many_pages_is_read_also_those_of_one_moment() -> None:
    """More rows than a page, of which more than a page have the same time."""
    rows = [row(n, 1_000 if n < 250 else 1_000 + n) for n in range(400)]

    class Played(Realm):
        async def _get(self, path: str, query: Mapping[str, int | str]) -> Any:
            assert path == "/events"
            found = [one for one in rows if one["time"] >= int(query["dateFrom"])]
            return found[int(query["first"]) :][:PAGE]

    async def work() -> set[str]:
        async with aiohttp.ClientSession() as http:
            realm = Played(
                "casemate", Account("http://127.0.0.1:1/realms/casemate", "c", "s"), http
            )
            return {str(one["id"]) async for page in realm.rows("events", 0) for one in page}

    assert len(asyncio.run(work())) == 400
