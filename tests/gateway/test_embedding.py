"""Embeddings: recorded and budgeted as chats are."""

import asyncio
import json
from typing import Any

import pytest

from appliance.errors import FormatError
from appliance.gateway import embedding
from tests.gateway.engine import engine
from tests.gateway.stand import Json, Site, calls, eventually, gateway, kinds, until

ASKED: Json = {"model": "vecteurs", "input": ["un", "deux"], "encoding_format": "float"}


def test_vectors_leave_as_the_engine_made_them_and_are_recorded(site: Site) -> None:
    async def main() -> None:
        async with engine(site.embedder) as made, gateway(site) as ana:
            status, body, headers = await ana.post("/v1/embeddings", ASKED)
            assert status == 200
            assert [d["embedding"] for d in body["data"]] == [[1.0, 0.5, 0.25]] * 2
            assert made.embedded == [ASKED]
            events = await calls(site)
            assert kinds(events) == ["llm.request", "llm.completion"]
            assert events[0]["operation"] == "embeddings"
            assert events[0]["request"] == headers["x-casemate-request"]
            assert events[1]["spend"] == {"site": 6, "user:ana": 6, "team:/equipes/rh": 6}
            assert events[1]["content"] == "none"
            assert "deux" not in json.dumps(events)

    asyncio.run(main())


def test_the_service_account_of_the_worker_pays_under_its_name(site: Site) -> None:
    async def main() -> None:
        async with engine(site.embedder), gateway(site) as ana:
            worker = ana.as_(
                "uuid-of-service", preferred_username="service-account-casemate-worker",
                roles=["utilisateur"], groups=[],
            )  # fmt: skip
            assert (await worker.post("/v1/embeddings", ASKED))[0] == 200
            assert "user:casemate-worker" in (await calls(site))[-1]["spend"]

    asyncio.run(main())


def test_an_embedder_that_is_away_is_a_503(site: Site) -> None:
    async def main() -> None:
        async with engine(site.embedder) as made, gateway(site) as ana:
            await made.stop()
            for _ in range(2):
                status, body, _ = await ana.post("/v1/embeddings", ASKED)
                assert (status, body["error"]["code"]) == (503, "CM-MOD-01")
            for end in await calls(site):
                if kinds([end]) == ["llm.error"]:
                    assert set(end["spend"].values()) == {0}
            await made.start()

    asyncio.run(main())


def test_a_client_that_leaves_leaves_an_end(site: Site) -> None:
    async def main() -> None:
        async with engine(site.embedder) as made, gateway(site) as ana:
            made.hold()
            asking = asyncio.create_task(ana.post("/v1/embeddings", ASKED))
            await until(lambda: made.embedded)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

            async def ended() -> bool:
                return len(await calls(site)) == 2

            await eventually(ended)
            assert (await calls(site))[-1]["finish"] == "client_left"

    asyncio.run(main())


WRONG: list[Json] = [
    {"model": "chat"}, {"model": "absent"}, {"input": []}, {"input": [1, 2]},
    {"input": [[1, 2]]}, {"input": ["x"] * 257}, {"dimensions": 3}, {"user": "x"},
    {"truncate_prompt_tokens": 1}, {"encoding_format": "bytes"}, {"cache_salt": "x"},
]  # fmt: skip


def test_a_wrong_request_reaches_no_engine(site: Site) -> None:
    async def main() -> None:
        async with engine(site.embedder) as made, gateway(site) as ana:
            for changes in WRONG:
                status, body, _ = await ana.post("/v1/embeddings", {**ASKED, **changes})
                assert status in {400, 403}, changes
                assert body["error"]["code"]
            assert made.embedded == []
            assert await calls(site) == []

    asyncio.run(main())


@pytest.mark.parametrize("raw", [b"", b"[]", b'{"model":"v","model":"v","input":"x"}', b"\xff"])
def test_what_is_no_body_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        embedding.parse(raw)


def test_the_text_of_a_request_is_all_its_texts() -> None:
    raw: Any = json.dumps(ASKED).encode()
    assert embedding.parse(raw).text() == "un\ndeux"
    assert embedding.parse(b'{"model":"v","input":"x"}').text() == "x"
