"""Each check of the return from a login, against the real Keycloak where one is needed."""

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import aiohttp
import jwt
import msgspec
import pytest

from appliance.identity.keyring import Keyring
from appliance.identity.login import (
    CONTEXT,
    LOGIN_SECONDS,
    Client,
    Departure,
    IdentityUnavailableError,
    LoginError,
    Party,
    safe_path,
)
from appliance.identity.principal import UnauthenticatedError
from appliance.settings import RealmSettings
from tests.identity.waiting import next_code
from tests.identity_server import PASSWORD, SECRETS, Site

KEY = bytes(range(32))
Work = Callable[[Party], Awaitable[None]]


def run(site: Site, work: Work) -> None:
    async def inner() -> None:
        realm = site.realm
        certs = f"{realm.backchannel}/protocol/openid-connect/certs"
        async with aiohttp.ClientSession() as http, Keyring(certs, http) as keyring:
            client = Client(realm, "casemate-console", site.origin, SECRETS["console"])
            await work(Party(client, keyring, http, KEY))

    asyncio.run(inner())


def departure_of(party: Party, cookie: str) -> Departure:
    sealed = base64.urlsafe_b64decode(cookie)
    return msgspec.json.decode(party._seal.open(sealed, CONTEXT), type=Departure)


def resealed(party: Party, departure: Departure, **changes: object) -> str:
    plain = msgspec.json.encode(msgspec.structs.replace(departure, **changes))
    return base64.urlsafe_b64encode(party._seal.seal(plain, CONTEXT, bytes(12))).decode()


def test_a_person_signs_in_with_code_and_pkce(site: Site) -> None:
    name, subject = site.person("utilisateur", groups=("/equipes/accueil",))

    async def work(party: Party) -> None:
        url, cookie = party.begin("/documents")
        asked = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        assert asked["code_challenge_method"] == "S256"
        assert departure_of(party, cookie).verifier not in url
        query = await asyncio.to_thread(site.browser().login, url, name, PASSWORD)
        tokens, departure = await party.finish(query, cookie)
        assert departure.back == "/documents"
        claims = jwt.decode(tokens.access, options={"verify_signature": False})
        assert claims["sub"] == subject
        assert claims["aud"] == "casemate-gateway"
        assert claims["exp"] - claims["iat"] == 60
        assert (claims["roles"], claims["clearance"]) == (["utilisateur"], [1])
        assert jwt.get_unverified_header(tokens.access)["alg"] == "RS256"
        with pytest.raises(LoginError):  # a code is good once
            await party.finish(query, cookie)

    run(site, work)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"nonce": "of another login"}, id="nonce"),
        pytest.param({"verifier": "x" * 64}, id="code verifier"),
        pytest.param({"step_up": True}, id="code asked for and not given"),
    ],
)
def test_a_code_of_another_login_is_refused(site: Site, changes: dict[str, object]) -> None:
    name, _ = site.person("utilisateur")

    async def work(party: Party) -> None:
        url, cookie = party.begin("/")
        query = await asyncio.to_thread(site.browser().login, url, name, PASSWORD)
        cookie = resealed(party, departure_of(party, cookie), **changes)
        with pytest.raises(LoginError):
            await party.finish(query, cookie)

    run(site, work)


def test_keycloak_refuses_a_login_without_pkce(site: Site) -> None:
    async def work(party: Party) -> None:
        url, _ = party.begin("/")
        bare = url.partition("&code_challenge=")[0]
        answer = await asyncio.to_thread(site.browser().ask, bare)
        assert "error=invalid_request" in answer.location

    run(site, work)


@pytest.mark.parametrize(
    ("language", "title"), [("fr", "Connexion — Casemate"), ("en", "Sign in — Casemate")]
)
def test_the_pages_are_ours_and_ask_nobody_else(site: Site, language: str, title: str) -> None:
    async def work(party: Party) -> None:
        url, _ = party.begin("/", language=language)
        page = await asyncio.to_thread(site.browser().ask, url)
        assert f"<title>{title}</title>" in page.text
        addresses = set(re.findall(r'(?:src|href|action)="(https?://[^"/]+)', page.text))
        assert addresses <= {site.origin}
        sheet = re.findall(
            r'href="(/auth/resources/[^"]+/css/casemate-[0-9a-f]{12}\.css)"', page.text
        )
        assert len(sheet) == 1
        found = await asyncio.to_thread(site.browser().ask, f"{site.origin}{sheet[0]}")
        assert (found.status, "--accent" in found.text) == (200, True)

    run(site, work)


@pytest.mark.parametrize("role", ["rssi", "auditeur"])
def test_the_second_factor_is_asked_at_each_sign_in_of_the_role(site: Site, role: str) -> None:
    name, _ = site.person(role)

    async def work(party: Party) -> None:
        url, cookie = party.begin("/")
        with pytest.raises(AssertionError, match="otp"):  # it stays at the page of the code
            await asyncio.to_thread(site.browser().login, url, name, PASSWORD)
        url, cookie = party.begin("/")
        code = await next_code(name)
        query = await asyncio.to_thread(site.browser().login, url, name, PASSWORD, code)
        tokens, _ = await party.finish(query, cookie)
        claims = jwt.decode(tokens.access, options={"verify_signature": False})
        assert {"pwd", "otp"} <= set(claims["amr"])

    run(site, work)


def test_a_sensitive_action_asks_again_and_the_token_shows_it(site: Site) -> None:
    name, _ = site.person("rssi")

    async def work(party: Party) -> None:
        browser = site.browser()
        url, cookie = party.begin("/")
        code = await next_code(name)
        query = await asyncio.to_thread(browser.login, url, name, PASSWORD, code)
        await party.finish(query, cookie)
        begun = time.time()
        url, cookie = party.begin("/arret", step_up=True)
        code = await next_code(name)
        query = await asyncio.to_thread(browser.login, url, name, PASSWORD, code)
        tokens, _ = await party.finish(query, cookie)
        for access in (tokens.access, (await party.refresh(tokens.refresh)).access):
            claims = jwt.decode(access, options={"verify_signature": False})
            assert claims["acr"] == "2"
            assert claims["auth_time"] >= int(begun)

    run(site, work)


def local(**changes: str) -> Party:
    """Return a party that needs no Keycloak: it refuses before it asks."""
    realm = RealmSettings(issuer="http://localhost/auth/realms/casemate", backchannel="")
    client = Client(realm, "casemate-console", changes.get("origin", "http://localhost"), "s")
    return Party(client, None, None, KEY)  # type: ignore[arg-type]


def query(party: Party, cookie: str, **changes: str | None) -> dict[str, str]:
    state = departure_of(party, cookie).state
    given = {"state": state, "iss": "http://localhost/auth/realms/casemate", "code": "c"}
    return {key: value for key, value in {**given, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"state": "another"}, id="state of another login"),
        pytest.param({"state": None}, id="no state"),
        pytest.param({"state": "é"}, id="state that is not ASCII"),
        pytest.param({"iss": "http://evil/auth/realms/casemate"}, id="another issuer"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"code": None, "error": "access_denied"}, id="login refused"),
    ],
)
def test_an_answer_that_is_not_ours_is_refused_before_any_request(
    changes: dict[str, str | None],
) -> None:
    party = local()
    _, cookie = party.begin("/")
    with pytest.raises(LoginError):
        asyncio.run(party.finish(query(party, cookie, **changes), cookie))


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param("", id="no cookie"),
        pytest.param("AAAA", id="garbage"),
        pytest.param("!", id="not base64"),
        pytest.param("é", id="not ASCII"),
    ],
)
def test_without_the_cookie_of_the_login_nothing_is_finished(cookie: str) -> None:
    party = local()
    _, good = party.begin("/")
    with pytest.raises(LoginError):
        asyncio.run(party.finish(query(party, good), cookie))


def test_a_cookie_sealed_under_another_key_is_refused() -> None:
    party = local()
    _, cookie = party.begin("/")
    realm = RealmSettings(issuer="i", backchannel="b")
    other = Party(Client(realm, "c", "o", "s"), None, None, KEY[::-1])  # type: ignore[arg-type]
    with pytest.raises(LoginError, match="no login"):
        asyncio.run(other.finish(query(party, cookie), cookie))


@pytest.mark.parametrize("age", [LOGIN_SECONDS + 1, -5])
def test_a_login_that_took_too_long_is_refused(age: float) -> None:
    party = local()
    _, cookie = party.begin("/")
    departure = departure_of(party, cookie)
    cookie = resealed(party, departure, at=time.time() - age)
    with pytest.raises(LoginError, match="too long"):
        asyncio.run(party.finish(query(party, cookie), cookie))


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        pytest.param("/documents?a=1", True, id="path of ours"),
        pytest.param("https://evil/", False, id="address"),
        pytest.param("//evil/", False, id="other host"),
        pytest.param("/\\evil", False, id="backslash"),
        pytest.param("/\t/evil", False, id="tab"),
        pytest.param("/a\r\nSet-Cookie: x", False, id="header"),
        pytest.param("", False, id="nothing"),
        pytest.param("documents", False, id="relative"),
    ],
)
def test_a_login_goes_back_to_a_path_of_this_site_only(path: str, *, kept: bool) -> None:
    assert safe_path(path) == (path if kept else "/")


def test_a_realm_that_is_away_is_told_apart_from_a_refusal(site: Site) -> None:
    async def away(party: Party) -> None:
        with pytest.raises(IdentityUnavailableError):
            await party.refresh("x")

    async def refused(party: Party) -> None:
        with pytest.raises(UnauthenticatedError):
            await party.refresh("x")

    run(site, refused)
    realm = site.realm.model_copy(update={"backchannel": "http://127.0.0.1:1/realms/casemate"})

    async def inner() -> None:
        async with aiohttp.ClientSession() as http:
            client = Client(realm, "casemate-console", site.origin, SECRETS["console"])
            await away(Party(client, None, http, KEY))  # type: ignore[arg-type]

    asyncio.run(inner())
