import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from appliance.identity import keyring
from appliance.identity.keyring import Keyring
from appliance.identity.principal import RevocationUnknownError, UnauthenticatedError
from appliance.identity.tokens import UnknownKidError
from tests.identity.tokens import Signer
from tests.identity.waiting import until


class Realm:
    """Serves a JWK set that the test changes, and counts who asks."""

    def __init__(self, document: Any) -> None:
        self.document, self.status, self.asked = document, 200, 0

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response(self.document, status=self.status)


@asynccontextmanager
async def serving(realm: Realm) -> AsyncIterator[Keyring]:
    app = web.Application()
    app.router.add_get("/certs", realm.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with aiohttp.ClientSession() as http:
            yield Keyring(f"http://127.0.0.1:{port}/certs", http)
    finally:
        await runner.cleanup()


def test_a_rotated_key_is_picked_up_and_a_withdrawn_one_dropped(
    signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "POLL", 0.02)
    fresh = Signer(signer.private, "fresh")

    async def run() -> None:
        realm = Realm(signer.jwks())
        async with serving(realm) as ring, ring:
            await ring.key_of(signer.token())
            realm.document = fresh.jwks()
            await until(lambda: signer.kid not in ring.keys)
            await ring.key_of(fresh.token())
            with pytest.raises(UnknownKidError):
                await ring.key_of(signer.token())

    asyncio.run(run())


def test_a_token_with_a_new_key_makes_a_worker_look_at_once(
    signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "DAMPING", 0.0)
    fresh = Signer(signer.private, "fresh")

    async def run() -> None:
        realm = Realm(signer.jwks())
        async with serving(realm) as ring, ring:
            realm.document = {"keys": [signer.jwk(), fresh.jwk()]}
            await ring.key_of(fresh.token())
            assert realm.asked == 2

    asyncio.run(run())


def test_a_flood_of_unknown_keys_asks_the_realm_once(signer: Signer) -> None:
    async def refused(ring: Keyring, kid: str) -> None:
        with pytest.raises(UnauthenticatedError):
            await ring.key_of(signer.token(kid=kid))

    async def run() -> None:
        realm = Realm(signer.jwks())
        async with serving(realm) as ring, ring:
            ring._asked -= keyring.DAMPING  # the first fetch was long ago
            await asyncio.gather(*[refused(ring, f"forged-{n}") for n in range(500)])
            assert realm.asked == 2
            await ring.key_of(signer.token())

    asyncio.run(run())


@pytest.mark.parametrize(
    ("document", "status"),
    [
        pytest.param({"keys": []}, 200, id="empty set"),
        pytest.param({"error": "Bootstrap in progress"}, 503, id="starting"),
        pytest.param([], 200, id="nonsense"),
        pytest.param("x", 200, id="text"),
    ],
)
def test_known_keys_are_kept_while_the_realm_answers_none(
    signer: Signer, document: object, status: int
) -> None:
    async def run() -> None:
        realm = Realm(signer.jwks())
        async with serving(realm) as ring, ring:
            realm.document, realm.status = document, status
            await ring._fetch()
            assert realm.asked == 2
            await ring.key_of(signer.token())

    asyncio.run(run())


def test_without_any_key_it_is_not_known_who_calls(signer: Signer) -> None:
    async def run() -> None:
        realm = Realm({})
        async with serving(realm) as ring, ring:
            with pytest.raises(RevocationUnknownError):
                await ring.key_of(signer.token())

    asyncio.run(run())


def test_a_realm_that_is_away_at_the_start_is_asked_again(
    signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "DAMPING", 0.01)

    async def run() -> None:
        realm = Realm(signer.jwks())
        realm.status = 503
        async with serving(realm) as ring, ring:
            assert not ring.keys
            realm.status = 200
            await until(lambda: bool(ring.keys))

    asyncio.run(run())
