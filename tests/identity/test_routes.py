"""The HTTP face, as the console serves it: keys by bearer token or by cookie, login routes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from appliance.identity.keys import ApplicationKey
from appliance.identity.routes import LOGIN_COOKIE
from appliance.identity.session import cookie_name
from tests.identity.console import build
from tests.identity.waiting import next_code
from tests.identity_server import PASSWORD, SECRETS, Site

ROUTES = [
    pytest.param("POST", "/api/keys", id="issue"),
    pytest.param("GET", "/api/keys", id="list"),
    pytest.param("POST", f"/api/keys/{uuid4()}/revoke", id="revoke"),
]


class Console:
    """A browser at the console: its client, and the login at Keycloak."""

    def __init__(self, site: Site, app: FastAPI, client: TestClient) -> None:
        self.site, self.app, self.client = site, app, client
        self.browser = site.browser()

    def sign_in(self, name: str, otp: str = "", **query: str) -> str:
        """Sign in and return where the browser lands."""
        gone = self.client.get("/connexion", params=query, follow_redirects=False)
        assert gone.status_code == 303
        back = self.browser.login(gone.headers["location"], name, PASSWORD, otp)
        landed = self.client.get("/connexion/retour", params=back, follow_redirects=False)
        assert landed.status_code == 303, landed.text
        return landed.headers["location"]

    def csrf(self) -> str:
        """Return what the pages would put into their forms."""
        cookie = self.client.cookies[cookie_name(self.site.origin)]
        portal = self.client.portal
        assert portal is not None
        session = portal.call(self.app.state.worker.sessions.find, cookie)
        return str(session.csrf)

    def bearer(self) -> dict[str, str]:
        cookie = self.client.cookies[cookie_name(self.site.origin)]
        portal = self.client.portal
        assert portal is not None
        session = portal.call(self.app.state.worker.sessions.find, cookie)
        return {"Authorization": f"Bearer {session.access}"}


@pytest.fixture
def console(site: Site, console_database: str) -> Iterator[Console]:
    app = build(site.realm, console_database, site.origin, SECRETS["console"])
    with TestClient(app, base_url=site.origin) as client:
        yield Console(site, app, client)


def wish(**changes: object) -> dict[str, Any]:
    end = datetime.now(UTC) + timedelta(days=30)
    return {"name": "notebook", "scopes": ["chat"], "expires_at": end.isoformat(), **changes}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_keys_need_a_credential(console: Console, method: str, path: str) -> None:
    assert console.client.request(method, path, json=wish()).status_code == 401


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_keys_need_the_scope(console: Console, method: str, path: str) -> None:
    name, _ = console.site.person("exploitant")
    console.sign_in(name)
    response = console.client.request(method, path, json=wish(), headers=console.bearer())
    assert response.status_code == 403
    assert response.json()["code"] == "CM-DRT-01"


def test_an_issued_key_is_shown_once_recorded_and_manages_nothing(console: Console) -> None:
    name, subject = console.site.person("utilisateur")
    console.sign_in(name)
    headers = console.bearer()
    response = console.client.post("/api/keys", json=wish(), headers=headers)
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    secret = response.json()["secret"]
    assert ApplicationKey.parse(secret).text() == secret
    listed = console.client.get("/api/keys", headers=headers)
    assert [key["name"] for key in listed.json()] == ["notebook"]
    assert response.json()["key"] == listed.json()[0]
    assert secret[3:29] not in listed.text
    assert "digest" not in listed.text
    facts = console.app.state.worker.facts
    kind, actor, data = facts[-1]
    assert (kind, actor) == ("casemate.key.issue.v1", subject)
    assert data["key"] == response.json()["key"]["id"]
    assert secret[3:29] not in str(facts)
    held = console.client.get("/api/keys", headers={"Authorization": f"Bearer {secret}"})
    assert held.status_code == 403


def test_a_key_that_cannot_be_recorded_is_not_issued(console: Console) -> None:
    name, _ = console.site.person("utilisateur")
    console.sign_in(name)
    headers = console.bearer()

    good, console.app.state.worker.facts = console.app.state.worker.facts, None
    with pytest.raises(AttributeError):  # the fact has nowhere to go
        console.client.post("/api/keys", json=wish(), headers=headers)
    console.app.state.worker.facts = good
    assert console.client.get("/api/keys", headers=headers).json() == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        pytest.param({"scopes": ["export"]}, 403, id="scope that the issuer lacks"),
        pytest.param({"scopes": ["keys.own"]}, 403, id="a key that makes keys"),
        pytest.param({"max_label": 1}, 403, id="label above the clearance"),
        pytest.param({"scopes": []}, 422, id="no scope"),
        pytest.param({"scopes": ["root"]}, 422, id="unknown scope"),
        pytest.param({"name": ""}, 422, id="no name"),
        pytest.param({"expires_at": "2020-01-01T00:00:00Z"}, 422, id="in the past"),
        pytest.param({"expires_at": "2999-01-01T00:00:00Z"}, 422, id="too long"),
        pytest.param({"expires_at": "2027-01-01T00:00:00"}, 422, id="no time zone"),
        pytest.param({"networks": ["everywhere"]}, 422, id="no network"),
        pytest.param({"owner": "bob"}, 422, id="field that is not ours to give"),
    ],
)
def test_issue_refuses(console: Console, changes: dict[str, object], status: int) -> None:
    name, _ = console.site.person("utilisateur")
    console.sign_in(name)
    headers = console.bearer()
    response = console.client.post("/api/keys", json=wish(**changes), headers=headers)
    assert response.status_code == status
    assert console.client.get("/api/keys", headers=headers).json() == []


def test_each_caller_lists_and_revokes_own_keys_only(console: Console) -> None:
    alice, bob = (console.site.person("utilisateur")[0] for _ in range(2))
    console.sign_in(alice)
    of_alice = console.bearer()
    console.browser = console.site.browser()
    console.sign_in(bob)
    of_bob = console.bearer()
    client = console.client
    key = client.post("/api/keys", json=wish(), headers=of_alice).json()["key"]
    assert client.get("/api/keys", headers=of_bob).json() == []
    path = f"/api/keys/{key['id']}/revoke"
    stolen = client.post(path, headers=of_bob)
    absent = client.post(f"/api/keys/{uuid4()}/revoke", headers=of_bob)
    assert (stolen.status_code, absent.status_code) == (404, 404)
    assert stolen.json()["code"] == absent.json()["code"]
    first, second = client.post(path, headers=of_alice), client.post(path, headers=of_alice)
    assert first.json()["revoked_at"] is not None
    assert first.json() == second.json()


def test_a_revoked_key_is_refused_by_a_worker_that_has_it_in_its_cache(
    console: Console,
) -> None:
    name, _ = console.site.person("utilisateur")
    console.sign_in(name)
    headers = console.bearer()
    made = console.client.post("/api/keys", json=wish(), headers=headers).json()
    held = {"Authorization": f"Bearer {made['secret']}"}
    assert console.client.get("/api/keys", headers=held).status_code == 403  # known
    console.client.post(f"/api/keys/{made['key']['id']}/revoke", headers=headers)
    assert console.client.portal is not None
    console.client.portal.call(console.app.state.worker.authenticator.revocations.read)
    assert console.client.get("/api/keys", headers=held).status_code == 401


def test_a_cookie_signs_a_change_only_with_the_token_of_its_forms(console: Console) -> None:
    name, _ = console.site.person("utilisateur")
    console.sign_in(name)
    client, origin = console.client, console.site.origin
    assert client.get("/api/keys").status_code == 200
    refused = [
        {},
        {"X-CSRF-Token": "forged"},
        {"X-CSRF-Token": console.csrf(), "Origin": "https://evil.example"},
        {"X-CSRF-Token": console.csrf(), "Origin": "null"},
    ]
    for headers in refused:
        response = client.post("/api/keys", json=wish(), headers=headers)
        assert (response.status_code, response.json()["code"]) == (403, "CM-IDE-07")
    good = {"X-CSRF-Token": console.csrf(), "Origin": origin}
    assert client.post("/api/keys", json=wish(), headers=good).status_code == 201


def test_a_login_lands_where_it_began_and_is_recorded(console: Console) -> None:
    name, subject = console.site.person("utilisateur")
    assert console.sign_in(name, retour="/documents?p=2") == "/documents?p=2"
    kind, actor, data = console.app.state.worker.facts[-1]
    assert (kind, actor) == ("casemate.auth.login.v1", subject)
    assert data == {"name": name, "roles": "utilisateur", "acr": 1}
    assert LOGIN_COOKIE not in console.client.cookies


def test_a_login_does_not_leave_the_site(console: Console) -> None:
    name, _ = console.site.person("utilisateur")
    assert console.sign_in(name, retour="https://evil.example/") == "/"


def test_cookies_are_out_of_reach_of_scripts(console: Console) -> None:
    response = console.client.get("/connexion", follow_redirects=False)
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("query", "language"), [("en", "en"), ("fr", "fr"), ("xx", "fr")])
def test_keycloak_speaks_the_language_of_the_console(
    console: Console, query: str, language: str
) -> None:
    gone = console.client.get(
        "/connexion", params={"langue": query, "confirmer": "1"}, follow_redirects=False
    )
    asked = parse_qs(urlsplit(gone.headers["location"]).query)
    assert asked["ui_locales"] == [language]
    assert asked["acr_values"] == ["2"]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"state": "x", "iss": "y", "code": "z"}, id="made up"),
        pytest.param({"error": "access_denied"}, id="refused"),
    ],
)
def test_a_return_that_nobody_began_is_refused(console: Console, query: dict[str, str]) -> None:
    response = console.client.get("/connexion/retour", params=query)
    assert (response.status_code, response.json()["code"]) == (400, "CM-IDE-06")
    assert not console.client.cookies


def test_signing_out_needs_the_token_of_the_forms(console: Console) -> None:
    name, _ = console.site.person("rssi")
    console.sign_in(name, otp=console.client.portal.call(next_code, name))  # type: ignore[union-attr]
    csrf = console.csrf()
    refused = console.client.post("/deconnexion", data={"csrf": "forged"})
    assert refused.status_code == 403
    gone = console.client.post("/deconnexion", data={"csrf": csrf}, follow_redirects=False)
    assert gone.status_code == 303
    assert "/protocol/openid-connect/logout" in gone.headers["location"]
    assert cookie_name(console.site.origin) not in console.client.cookies
    assert console.client.get("/api/keys").status_code == 401


@pytest.mark.parametrize("token", ["", "a.b.c"])
def test_a_logout_that_keycloak_did_not_announce_is_refused(
    console: Console, token: str
) -> None:
    response = console.client.post("/deconnexion/annonce", data={"logout_token": token})
    assert response.status_code in {401, 422}


def test_an_access_token_announces_no_logout(console: Console) -> None:
    name, _ = console.site.person("utilisateur")
    console.sign_in(name)
    token = console.bearer()["Authorization"].removeprefix("Bearer ")
    response = console.client.post("/deconnexion/annonce", data={"logout_token": token})
    assert response.status_code == 401
    assert console.client.get("/api/keys").status_code == 200
