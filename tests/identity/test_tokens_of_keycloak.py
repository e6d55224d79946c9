"""Tokens that the real Keycloak gives: which open the gateway, and which do not."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import jwt
import pytest

from appliance.identity.login import Tokens
from appliance.identity.principal import UnauthenticatedError
from tests.identity.console import Worker, working
from tests.identity.realm import bearer
from tests.identity_server import PASSWORD, SECRETS, Site

Work = Callable[[Worker], Awaitable[None]]


def run(site: Site, dsn: str, work: Work) -> None:
    async def inner() -> None:
        async with working(site.realm, dsn, site.origin, SECRETS["console"]) as worker:
            await work(worker)

    asyncio.run(inner())


async def sign_in(worker: Worker, site: Site) -> Tokens:
    name, _ = site.person("utilisateur")
    url, cookie = worker.party.begin("/")
    query = await asyncio.to_thread(site.browser().login, url, name, PASSWORD)
    return (await worker.party.finish(query, cookie))[0]


def service_token(site: Site, realm: str, client: str, secret: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
    address = f"{site.instance.address}/realms/{realm}/protocol/openid-connect/token"
    with urlopen(Request(address, urlencode(form).encode())) as answer:  # noqa: S310 - ours
        return str(json.load(answer)["access_token"])


def test_only_the_access_token_of_a_person_opens_the_gateway(
    site: Site, console_database: str
) -> None:
    async def work(worker: Worker) -> None:
        tokens = await sign_in(worker, site)
        await worker.authenticator.principal(bearer(tokens.access))
        for other in (tokens.identity, tokens.refresh):
            with pytest.raises(UnauthenticatedError):
                await worker.authenticator.principal(bearer(other))

    run(site, console_database, work)


@pytest.mark.parametrize("realm", ["casemate", "casemate-admin"])
def test_the_token_of_the_provisioning_client_opens_nothing(
    site: Site, console_database: str, realm: str
) -> None:
    """In the site's realm it has no audience of ours; the other realm signs with other keys."""
    token = service_token(site, realm, "casemate-provision", SECRETS["provision"])

    async def work(worker: Worker) -> None:
        with pytest.raises(UnauthenticatedError):
            await worker.authenticator.principal(bearer(token))

    run(site, console_database, work)


def test_the_worker_is_a_service_with_one_role_and_a_name_for_its_budget(
    site: Site, console_database: str
) -> None:
    token = service_token(site, "casemate", "casemate-worker", SECRETS["worker"])

    async def work(worker: Worker) -> None:
        caller = await worker.authenticator.principal(bearer(token))
        assert caller.roles == {"vectorisation"}
        assert (caller.account, caller.clearance, caller.groups) == ("casemate-worker", 0, ())

    run(site, console_database, work)


def test_a_person_without_a_role_is_nobody(site: Site, console_database: str) -> None:
    name, subject = site.person("utilisateur")

    async def work(worker: Worker) -> None:
        url, cookie = worker.party.begin("/")
        query = await asyncio.to_thread(site.browser().login, url, name, PASSWORD)
        tokens, _ = await worker.party.finish(query, cookie)
        admin = site.admin()
        role = admin.get("/roles/utilisateur")
        path = f"/users/{subject}/role-mappings/realm"
        admin.write("delete", path, [role], "taken")
        tokens = await worker.party.refresh(tokens.refresh)
        with pytest.raises(UnauthenticatedError):
            await worker.authenticator.principal(bearer(tokens.access))

    run(site, console_database, work)


def test_a_key_rotated_at_keycloak_is_picked_up_without_a_restart(
    site: Site, console_database: str
) -> None:
    async def work(worker: Worker) -> None:
        before = await sign_in(worker, site)
        admin = site.admin()
        fresh = {
            "name": "rotated",
            "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {"priority": ["300"], "keySize": ["2048"], "algorithm": ["RS256"]},
        }
        admin.write("post", "/components", fresh, "rotated")
        worker.authenticator.keyring._asked -= 60  # the last look was a while ago
        after = await sign_in(worker, site)
        kids = {jwt.get_unverified_header(t.access)["kid"] for t in (before, after)}
        assert len(kids) == 2
        for tokens in (before, after):  # both keys are published: nobody is logged out
            await worker.authenticator.principal(bearer(tokens.access))
        for component in admin.get("/components", name="rotated"):
            admin.write("delete", f"/components/{component['id']}", {}, "as before")

    run(site, console_database, work)
