"""Clients that leave: the engine is told at once, the record says what it cost."""

import asyncio
from typing import Any

import pytest

from appliance.gateway.departures import Departures
from tests.gateway.engine import Engine, engine
from tests.gateway.stand import Client, Json, Site, calls, eventually, gateway, kinds, until
from tests.gateway.test_call import call


async def leave(ana: Client, chat: Engine, when: str) -> None:
    """Ask, and break the connection at a phase."""
    chat.pause = 0.05 if when == "in the stream" else 0.0
    if when == "before the head":
        chat.hold()
    chat.words = ["mot "] * 200
    asking = asyncio.create_task(ana.raw_stream(max_tokens=100))
    await chat.arrived.wait()
    await until(lambda: chat.running)
    await asyncio.sleep({"at once": 0.0, "in the stream": 0.4}.get(when, 0.3))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def ending(site: Site) -> Json:
    """Return the terminal record of the one request, once it is there."""

    async def ended() -> bool:
        return len(await calls(site)) == 2

    await eventually(ended)
    return (await calls(site))[-1]


@pytest.mark.parametrize("when", ["before the head", "in the stream"])
def test_a_client_that_leaves_ends_the_engines_work(site: Site, when: str) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            await leave(ana, chat, when)
            await until(lambda: chat.aborted == 1)
            end = await ending(site)
            assert (kinds([end]), end["finish"]) == (["llm.interrupted"], "client_left")
            if when == "in the stream":
                assert end["prompt_tokens"] == 7
                assert 3 <= end["completion_tokens"] <= 40
                assert end["spend"]["site"] == 7 + end["completion_tokens"]
            else:
                assert end["spend"]["site"] > 7

    asyncio.run(main())


def test_a_client_that_leaves_a_body_that_is_no_stream_ends_it(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            chat.hold()
            asking = asyncio.create_task(ana.chat(max_tokens=10))
            await chat.arrived.wait()
            await asyncio.sleep(0.1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await until(lambda: chat.aborted == 1)
            end = await ending(site)
            assert end["finish"] == "client_left"
            assert end["spend"] == (await calls(site))[0]["reserve"]

    asyncio.run(main())


def test_many_that_leave_at_any_moment_leave_one_end_each(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            chat.words, chat.pause = ["mot "] * 20, 0.02
            asking = []
            for n in range(60):
                asking.append(asyncio.create_task(ana.raw_stream()))
                await asyncio.sleep(0.005)
                if n % 2:
                    asking[n // 2].cancel()
            await asyncio.gather(*asking, return_exceptions=True)

            async def over() -> bool:
                return not chat.running and len(await calls(site)) % 2 == 0

            await eventually(over)
            found = await calls(site)
            intents = [e["request"] for e in found if kinds([e]) == ["llm.request"]]
            ends = [e["request"] for e in found if kinds([e]) != ["llm.request"]]
            assert sorted(intents) == sorted(ends)
            assert len(chat.asked) <= len(intents)

    asyncio.run(main())


class Task:
    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    def cancel(self) -> bool:
        self.cancelled.set()
        return True


def test_only_requests_older_than_a_tick_are_watched() -> None:
    async def main() -> None:
        asked: list[str] = []

        async def receive() -> dict[str, Any]:
            asked.append("x")
            return {"type": "http.disconnect"}

        departures = Departures()
        task = Task()
        short, long = call(receive=receive, task=Task()), call(receive=receive, task=task)
        departures.add(short)
        departures.add(long)
        departures.discard(short)
        await asyncio.wait_for(task.cancelled.wait(), 5)
        assert long.left
        assert not short.left
        assert asked == ["x"]
        departures.close()

    asyncio.run(main())


def test_who_leaves_while_their_answer_settles_was_served() -> None:
    async def main() -> None:
        async def receive() -> dict[str, Any]:
            settling.task = None
            return {"type": "http.disconnect"}

        settling = call(receive=receive, task=Task())
        departures = Departures()
        departures.add(settling)
        await asyncio.sleep(0.7)
        assert not settling.left
        departures.close()

    asyncio.run(main())
