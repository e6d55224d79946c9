"""Whatever goes wrong, a request has one intent and one end, also if the engine speaks late."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from tests.gateway.engine import Engine, engine
from tests.gateway.stand import Client, Site, calls, eventually, gateway, kinds

Goes = Callable[[Client, Engine, bool], Awaitable[None]]


async def _asked(ana: Client, *, stream: bool) -> None:
    await (ana.raw_stream() if stream else ana.chat())


async def leaves(ana: Client, chat: Engine, stream: bool) -> None:  # noqa: FBT001 - a row
    chat.hold()
    asking = asyncio.create_task(_asked(ana, stream=stream))
    await chat.arrived.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def fails(ana: Client, chat: Engine, stream: bool) -> None:  # noqa: FBT001
    chat.status, chat.reason = 500, "broken"
    await _asked(ana, stream=stream)


async def is_cut(ana: Client, chat: Engine, stream: bool) -> None:  # noqa: FBT001
    chat.cut_after = 2
    await _asked(ana, stream=stream)


async def is_silent(ana: Client, chat: Engine, stream: bool) -> None:  # noqa: FBT001
    chat.hold()
    await _asked(ana, stream=stream)


async def falls_silent(ana: Client, chat: Engine, stream: bool) -> None:  # noqa: FBT001
    chat.pause = 30
    await _asked(ana, stream=stream)


@pytest.mark.parametrize("stream", [False, True], ids=["body", "stream"])
@pytest.mark.parametrize(
    ("goes", "end", "reason"),
    [
        pytest.param(leaves, "llm.interrupted", "", id="the client leaves"),
        pytest.param(fails, "llm.error", "CM-MOD-02", id="the engine refuses"),
        pytest.param(is_cut, "llm.error", "CM-MOD-01", id="the engine is cut"),
        pytest.param(is_silent, "llm.error", "CM-MOD-01", id="the engine is silent"),
        pytest.param(falls_silent, "llm.error", "CM-MOD-01", id="it falls silent"),
    ],
)
def test_a_request_has_exactly_one_end(
    site: Site, goes: Goes, end: str, reason: str, *, stream: bool
) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site, request_timeout="1") as ana:
            await goes(ana, chat, stream)

            async def ended() -> bool:
                return len(await calls(site)) >= 2

            await eventually(ended)
            chat.held.set()  # and now the engine would answer
            await asyncio.sleep(0.5)
            found = await calls(site)
            assert kinds(found) == ["llm.request", end]
            assert found[1].get("reason", "") == reason
            assert Counter(one["request"] for one in found) == {found[0]["request"]: 2}

    asyncio.run(main())
