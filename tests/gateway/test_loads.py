"""Each start of an engine is in the log once, however many workers see it."""

import asyncio

import pytest

from appliance.audit.event import encode, is_id, parse
from appliance.gateway.loads import loaded
from tests.gateway.engine import engine
from tests.gateway.stand import Json, Site, eventually, gateway, records

PAGES = {
    "/metrics": b"process_start_time_seconds 1.79e9\n",
    "/version": b'{"version": "0.23.0"}',
    "/v1/models": b'{"data": [{"id": "x", "root": "/models/small-3", "max_model_len": 4096}]}',
}


def test_what_an_engine_says_of_itself_is_kept_and_no_path() -> None:
    event = loaded("chat", PAGES)
    assert event.data == {
        "model": "chat", "since": 1_790_000_000, "version": "0.23.0", "folder": "small-3",
        "context": 4096,
    }  # fmt: skip
    assert parse(encode(event)) == event


def test_the_same_start_is_the_same_event_and_another_is_not() -> None:
    assert loaded("chat", PAGES) == loaded("chat", PAGES)
    again = {**PAGES, "/metrics": b"process_start_time_seconds 1.8e9\n"}
    assert loaded("chat", again).id != loaded("chat", PAGES).id
    assert loaded("other", PAGES).id != loaded("chat", PAGES).id


@pytest.mark.parametrize(
    "pages",
    [
        {},
        {"/metrics": b"\xff", "/version": b"[1]", "/v1/models": b"<html>"},
        {"/version": b'{"version": 3}', "/v1/models": b'{"data": [3]}'},
        {"/v1/models": b'{"data": {}}', "/metrics": b"process_start_time_seconds x\n"},
        {"/v1/models": b'{"data": [{"root": 1, "max_model_len": -1}]}'},
    ],
)
def test_an_engine_that_says_nothing_is_noted_all_the_same(pages: dict[str, bytes]) -> None:
    event = loaded("chat", pages)
    assert event.data == {"model": "chat"}
    assert is_id(event.id)


def test_each_start_is_in_the_log_once_for_all_workers(site: Site) -> None:
    async def loads() -> list[Json]:
        found = [e for e in await records(site) if e["type"] == "casemate.model.load.v1"]
        return [e["data"] for e in found if e["data"]["model"] == "chat"]

    async def main() -> None:
        async with (
            engine(site.engine) as chat,
            gateway(site, "gateway-0") as ana,
            gateway(site, "gateway-1"),
        ):

            async def seen(count: int) -> bool:
                return len(await loads()) >= count

            await eventually(lambda: seen(1))
            await chat.stop()
            assert (await ana.chat())[0] == 503
            await chat.start()
            await eventually(lambda: seen(2))
            await asyncio.sleep(1.5)  # the other worker looks once a second
            first, second = await loads()
            assert second["since"] == first["since"] + 1
            assert first["folder"] == "small-3"

    asyncio.run(main())
