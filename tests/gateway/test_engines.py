"""Engines that go away and come back; the log and the health page say so."""

import asyncio
from pathlib import Path

import pytest

from appliance.gateway.engines import Engine, Engines
from appliance.gateway.upstream import UnreachedError
from tests.gateway.engine import engine
from tests.gateway.stand import Json, Site, eventually, gateway, kinds, records, until


def parts(events: list[Json]) -> list[tuple[str, str]]:
    named = zip(kinds(events), events, strict=True)
    return [(kind, e["data"]["part"]) for kind, e in named if kind.startswith("service.")]


def test_an_engine_that_dies_is_a_503_at_once_and_is_back_by_itself(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            assert (await ana.chat())[0] == 200
            await chat.stop()
            async with asyncio.timeout(5):
                status, body, headers = await ana.chat()
            assert (status, body["error"]["code"]) == (503, "CM-MOD-01")
            assert headers["retry-after"]
            await chat.start()

            async def back() -> bool:
                return (await ana.chat())[0] == 200

            await eventually(back)
            told = [p for p in parts(await records(site)) if p[1] == "engine chat"]
            assert told == [
                ("service.degraded", "engine chat"),
                ("service.restored", "engine chat"),
            ]

    asyncio.run(main())


def test_an_engine_that_dies_in_an_answer_ends_it_with_an_error(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            chat.pause = 0.2
            asking = asyncio.create_task(ana.stream())
            await chat.arrived.wait()
            await asyncio.sleep(0.3)
            await chat.stop()
            async with asyncio.timeout(5):
                events = await asking
            assert events[-1]["error"]["code"] == "CM-MOD-01"
            await chat.start()

    asyncio.run(main())


def test_a_request_is_refused_before_its_intent_while_an_engine_is_away(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            await chat.stop()
            await ana.chat()
            before = kinds(await records(site)).count("llm.request")
            for _ in range(5):
                assert (await ana.chat())[0] == 503
            assert kinds(await records(site)).count("llm.request") == before
            await chat.start()

    asyncio.run(main())


def test_health_shows_who_is_away(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, engine(site.embedder), gateway(site) as ana:

            async def health() -> Json:
                found: Json = (await ana.get("/health"))[1]
                return found

            async def is_(state: str) -> bool:
                return bool((await health())["engines"]["chat"] == state)

            await eventually(lambda: is_("ready"))
            now = await health()
            assert now["engines"] == {"chat": "ready", "reserve": "ready", "perdu": "away"}
            assert now["vectors"] == "ready"
            assert now["recorder"] == now["database"] == now["identity"] == "ready"
            assert now["status"] == "degraded"
            await chat.stop()
            await eventually(lambda: is_("away"))
            await chat.start()

    asyncio.run(main())


def test_a_frozen_engine_is_away_after_two_looks(tmp_path: Path) -> None:
    async def main() -> None:
        told: list[tuple[str, bool]] = []

        async def freeze(_: object, writer: asyncio.StreamWriter) -> None:
            await released.wait()
            writer.close()

        path, released = tmp_path / "s", asyncio.Event()
        server = await asyncio.start_unix_server(freeze, path)
        came: list[Engine] = []
        engines = Engines({"m": path}, None, 1, lambda *it: told.append(it), came.append)
        frozen = engines.of("m")
        frozen.missed = 1
        frozen.pool.limits = type(frozen.pool.limits)(silence=0.1)
        engines.tick()
        await until(lambda: told)
        assert (told, came) == ([("m", False)], [])
        with pytest.raises(UnreachedError):
            frozen.check()
        engines.close()
        released.set()
        server.close()
        await asyncio.sleep(0.05)

    asyncio.run(main())


def test_a_model_without_an_engine_here_is_away() -> None:
    async def main() -> None:
        engines = Engines({}, ("v", Path("/nonexistent/s")), 1, lambda *_: None, lambda _: None)
        assert engines.of("v").name == "v"
        with pytest.raises(UnreachedError):
            engines.of("m")
        engines.close()

    asyncio.run(main())
