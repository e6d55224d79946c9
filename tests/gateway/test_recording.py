"""Recorder away, back, restarted: nothing is served without a record."""

import asyncio
import signal
from typing import Any

import pytest

from appliance.gateway.call import Call
from appliance.gateway.recording import Recording
from tests import recording
from tests.gateway.engine import engine
from tests.gateway.stand import Site, calls, client, gateway, kinds, records


def test_without_a_recorder_every_model_route_is_a_503_and_no_engine_is_asked(
    site: Site,
) -> None:
    async def main() -> None:
        engines = engine(site.engine), engine(site.embedder)
        async with engines[0] as chat, engines[1] as embedder, gateway(site) as ana:
            assert (await ana.chat())[0] == 200
            recording.end(site.recorder)
            status, body, _ = await ana.chat()
            assert (status, body["error"]["code"]) == (503, "CM-JRN-01")
            asked = {"model": "vecteurs", "input": "x"}
            status, body, _ = await ana.post("/v1/embeddings", asked)
            assert (status, body["error"]["code"]) == (503, "CM-JRN-01")
            assert (len(chat.asked), len(embedder.embedded)) == (1, 0)
            assert (await ana.get("/health"))[1]["recorder"] == "away"
            site.recorder = recording.start(site.log)
            assert (await ana.chat())[0] == 200

    asyncio.run(main())


def test_an_answer_goes_on_over_a_restart_of_the_recorder(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            chat.pause = 0.3
            asking = asyncio.create_task(ana.stream())
            await chat.arrived.wait()
            site.restart_recorder()
            events = await asking
            assert events[-1]["casemate"]["receipt"]["index"] > 0
            assert kinds(await records(site)).count("llm.completion") == 1

    asyncio.run(main())


def test_an_answer_whose_record_cannot_be_made_ends_in_an_error(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            chat.pause = 0.2
            asking = asyncio.create_task(ana.stream())
            await chat.arrived.wait()
            await asyncio.sleep(0.2)
            recording.end(site.recorder)
            events = await asking
            assert events[-1]["error"]["code"] == "CM-JRN-01"
            assert all("casemate" not in e for e in events)
            site.recorder = recording.start(site.log)

    asyncio.run(main())


def test_a_worker_that_is_told_to_end_finishes_what_it_serves(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat:
            worker = await asyncio.to_thread(site.start_gateway, "gateway-0")
            async with client(site) as ana:
                chat.pause = 0.2
                asking = asyncio.create_task(ana.stream())
                await chat.arrived.wait()
                worker.terminate()
                assert (await asking)[-1]["casemate"]["receipt"]["index"] > 0
            assert await asyncio.to_thread(worker.wait, 20) in {0, -signal.SIGTERM}
            assert kinds(await calls(site))[-1] == "llm.completion"

    asyncio.run(main())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
def test_a_stop_that_comes_with_the_intents_answer_reaches_no_engine(
    site: Site, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Recording.begin

    async def stopped_meanwhile(self: Recording, call: Call, policy: str) -> Any:
        place = await begin(self, call, policy)
        self.recorder.stopped = True
        return place

    monkeypatch.setattr(Recording, "begin", stopped_meanwhile)

    async def main() -> None:
        engines = engine(site.engine), engine(site.embedder)
        async with engines[0] as chat, engines[1] as embedder, gateway(site) as ana:
            messages = [{"role": "user", "content": "x"}]
            asked = {"/v1/chat/completions": {"model": "chat", "messages": messages}}
            body = asked.get(path, {"model": "vecteurs", "input": "x"})
            status, answer, _ = await ana.post(path, body)
            assert (status, answer["error"]["code"]) == (503, "CM-MOD-05")
            assert (chat.asked, embedder.embedded) == ([], [])
            end = (await calls(site))[-1]
            assert end["reason"] == "CM-MOD-05"
            assert set(end["spend"].values()) == {0}

    asyncio.run(main())
