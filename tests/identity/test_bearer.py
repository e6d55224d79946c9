"""The token of a service of ours, from a realm that the test plays."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from appliance.errors import FormatError
from appliance.identity.bearer import Account, Bearer

Work = Callable[[Bearer, list[str]], Awaitable[None]]


def run(answer: Any, work: Work, status: int = 200) -> None:
    asked: list[str] = []

    async def give(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"])
        assert (await request.post())["grant_type"] == "client_credentials"
        return web.json_response(answer, status=status)

    async def inner() -> None:
        app = web.Application()
        app.router.add_post("/realms/r/protocol/openid-connect/token", give)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        realm = f"http://127.0.0.1:{runner.addresses[0][1]}/realms/r"
        try:
            async with aiohttp.ClientSession() as http:
                await work(Bearer(Account(realm, "c", "secret"), http), asked)
        finally:
            await runner.cleanup()

    asyncio.run(inner())


@pytest.mark.parametrize(("lasts", "times"), [(60, 1), (5, 2)])
def test_a_token_is_asked_for_again_shortly_before_its_end(lasts: int, times: int) -> None:
    async def work(bearer: Bearer, asked: list[str]) -> None:
        assert await bearer.token() == await bearer.token() == "t"
        assert asked == ["Basic YzpzZWNyZXQ="] * times

    run({"access_token": "t", "expires_in": lasts}, work)


def test_a_refusal_and_an_answer_without_a_token_are_errors() -> None:
    async def refused(bearer: Bearer, asked: list[str]) -> None:
        with pytest.raises(aiohttp.ClientResponseError):
            await bearer.token()
        assert asked

    async def empty(bearer: Bearer, _: list[str]) -> None:
        with pytest.raises(FormatError):
            await bearer.token()

    run({}, refused, 401)
    run({}, empty)


def test_the_secret_is_in_no_description() -> None:
    assert "secret" not in repr(Account("r", "c", "the-secret")).replace("secret=", "")
