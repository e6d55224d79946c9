"""What the owner of a key loses, the key loses: against the real Keycloak."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from psycopg_pool import AsyncConnectionPool

from appliance.db.pool import Pool
from appliance.identity import directory as module
from appliance.identity import store
from appliance.identity.access import Authenticator
from appliance.identity.directory import Directory, Service, clearance_of, lost
from appliance.identity.keys import ApplicationKey, Terms
from appliance.identity.principal import Principal, Scope, UnauthenticatedError
from tests.identity.realm import SITE_SECRET, authenticating, bearer
from tests.identity.waiting import until
from tests.identity_server import SECRETS, Site

Work = Callable[[Directory, Authenticator, str], Awaitable[None]]
BEFORE = store.PersonRow("s", "n", ["utilisateur"], ["/a", "/b"], 2, enabled=True)


def run(request: pytest.FixtureRequest, site: Site, subject: str, work: Work) -> None:
    """Issue a key to `subject`, then work with a directory and a gateway's authenticator."""
    console: str = request.getfixturevalue("console_database")
    gateway: str = request.getfixturevalue("gateway_database")
    service = Service(site.realm, "casemate-console", SECRETS["console"])

    async def inner() -> None:
        pool: Pool = AsyncConnectionPool(console, open=False, timeout=2)
        async with (
            pool,
            aiohttp.ClientSession() as http,
            authenticating(site.realm, gateway) as authenticator,
        ):
            key = await issue(pool, subject)
            await work(Directory(pool, service, http), authenticator, key)

    asyncio.run(inner())


async def issue(pool: Pool, subject: str) -> str:
    key = ApplicationKey(secrets.token_bytes(16))
    end = datetime.now(UTC) + timedelta(hours=1)
    terms = Terms(subject, "k", frozenset({Scope.CHAT}), end, max_label=3)
    owner = Principal(subject, "n", frozenset({"utilisateur"}), frozenset(), (), 0)
    async with pool.connection() as conn:
        await store.act_as(conn, owner)
        await store.issue_key(conn, terms, key.digest(SITE_SECRET))
        row = store.PersonRow(subject, "n", ["utilisateur"], [], 0, enabled=True)
        await store.put_person(conn, row)
    return key.text()


def test_the_directory_tells_roles_groups_and_inherited_clearance(
    request: pytest.FixtureRequest, site: Site
) -> None:
    name, subject = site.person("utilisateur", groups=("/equipes/rh",), clearance=1)

    async def work(directory: Directory, authenticator: Authenticator, key: str) -> None:
        assert await directory.look() == 0
        caller = await authenticator.principal(bearer(key))
        assert (caller.name, caller.groups, caller.clearance) == (name, ("/equipes/rh",), 2)
        assert caller.scopes == {Scope.CHAT}

    run(request, site, subject, work)


def test_the_key_of_a_disabled_owner_is_refused_also_where_it_is_cached(
    request: pytest.FixtureRequest, site: Site
) -> None:
    _, subject = site.person("utilisateur")

    async def work(directory: Directory, authenticator: Authenticator, key: str) -> None:
        await directory.look()
        await authenticator.principal(bearer(key))
        site.admin().write("put", f"/users/{subject}", {"enabled": False}, "disabled")
        assert await directory.look() == 1
        await authenticator.revocations.read()
        for _ in range(2):
            with pytest.raises(UnauthenticatedError):
                await authenticator.principal(bearer(key))
        assert await directory.look() == 0  # told once

    run(request, site, subject, work)


def test_a_lost_group_is_lost_for_the_key_and_the_rest_goes_on(
    request: pytest.FixtureRequest, site: Site
) -> None:
    _, subject = site.person("utilisateur", groups=("/equipes/rh",))

    async def work(directory: Directory, authenticator: Authenticator, key: str) -> None:
        await directory.look()
        await authenticator.principal(bearer(key))
        admin = site.admin()
        (group,) = admin.get(f"/users/{subject}/groups")
        admin.write("delete", f"/users/{subject}/groups/{group['id']}", {}, "left")
        assert await directory.look() == 1
        await authenticator.revocations.read()
        authenticator._cache.clear()
        caller = await authenticator.principal(bearer(key))
        assert (caller.groups, caller.clearance) == ((), 0)

    run(request, site, subject, work)


def test_the_key_of_a_deleted_owner_is_refused(
    request: pytest.FixtureRequest, site: Site
) -> None:
    _, subject = site.person("utilisateur")

    async def work(directory: Directory, authenticator: Authenticator, key: str) -> None:
        site.admin().write("delete", f"/users/{subject}", {}, "deleted")
        assert await directory.look() == 1
        with pytest.raises(UnauthenticatedError):
            await authenticator.principal(bearer(key))

    run(request, site, subject, work)


def test_one_console_at_a_time_asks(request: pytest.FixtureRequest, site: Site) -> None:
    _, subject = site.person("utilisateur")

    async def work(directory: Directory, _: Authenticator, __: str) -> None:
        async with directory._pool.connection() as conn:
            assert await store.alone(conn, module.LOCK)
            site.admin().write("put", f"/users/{subject}", {"enabled": False}, "disabled")
            assert await directory.look() == 0
        assert await directory.look() == 1

    run(request, site, subject, work)


def test_the_pass_repeats_itself_and_survives_a_directory_that_is_away(
    request: pytest.FixtureRequest, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, subject = site.person("utilisateur")
    monkeypatch.setattr(module, "PASS", 0.05)

    async def work(directory: Directory, authenticator: Authenticator, key: str) -> None:
        good, passes = directory._get, 0

        async def flaky(path: str) -> object:
            nonlocal passes
            passes += 1
            if passes == 1:
                raise aiohttp.ClientConnectionError("away")
            return await good(path)

        monkeypatch.setattr(directory, "_get", flaky)
        async with directory:
            site.admin().write("put", f"/users/{subject}", {"enabled": False}, "disabled")
            await until(lambda: passes > 8)
        with pytest.raises(UnauthenticatedError):
            await authenticator.principal(bearer(key))

    run(request, site, subject, work)


@pytest.mark.parametrize(
    ("attributes", "rank"),
    [
        pytest.param(None, 0, id="none"),
        pytest.param({}, 0, id="empty"),
        pytest.param({"clearance": ["1", "3"]}, 3, id="highest"),
        pytest.param({"clearance": ["x", "²", "2"]}, 2, id="garbage beside"),
        pytest.param({"clearance": ["99"]}, 0, id="above the scale"),
        pytest.param([], 0, id="not an object"),
    ],
)
def test_a_clearance_in_disorder_is_none(attributes: object, rank: int) -> None:
    assert clearance_of(attributes) == rank


@pytest.mark.parametrize(
    ("now", "less"),
    [
        pytest.param(BEFORE, False, id="the same"),
        pytest.param(
            store.PersonRow("s", "n", [], ["/a", "/b"], 2, enabled=True), True, id="role"
        ),
        pytest.param(
            store.PersonRow("s", "n", ["utilisateur"], ["/a"], 2, enabled=True),
            True,
            id="group",
        ),
        pytest.param(
            store.PersonRow("s", "n", ["utilisateur"], ["/a", "/b"], 1, enabled=True),
            True,
            id="clearance",
        ),
        pytest.param(
            store.PersonRow("s", "n", ["utilisateur"], ["/a", "/b"], 2, enabled=False),
            True,
            id="disabled",
        ),
        pytest.param(
            store.PersonRow(
                "s", "n", ["utilisateur", "x"], ["/a", "/b", "/c"], 3, enabled=True
            ),
            False,
            id="more",
        ),
    ],
)
def test_only_a_loss_revokes(now: store.PersonRow, *, less: bool) -> None:
    assert lost(BEFORE, now) is less
