"""Stock clients: the `openai` package, and tools that only know a static bearer."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import openai
import psycopg
import pytest

from appliance.identity import revocation, store
from appliance.identity.keys import ApplicationKey, Terms
from appliance.identity.principal import Principal, Scope
from tests.gateway.engine import engine
from tests.gateway.stand import Client, Site, calls, eventually, gateway
from tests.gateway.test_history import set_connections

OWNER = store.PersonRow("ana", "ana", ["utilisateur"], ["/equipes/rh"], 1, enabled=True)


def stock(site: Site, token: str) -> openai.AsyncOpenAI:
    transport = httpx2.AsyncHTTPTransport(uds=str(site.folder / "gateway-0.sock"))
    http: Any = httpx2.AsyncClient(transport=transport)
    return openai.AsyncOpenAI(
        api_key=token, base_url="http://gateway/v1", http_client=http, max_retries=0
    )


def test_the_stock_client_reads_answers_streams_vectors_models_and_errors(site: Site) -> None:
    async def main() -> None:
        engines = engine(site.engine), engine(site.embedder)
        mine = stock(site, site.realm.token())
        async with engines[0] as chat, engines[1], gateway(site), mine as client:
            asked: Any = {
                "model": "chat", "messages": [{"role": "user", "content": "Bonjour ?"}],
            }  # fmt: skip
            whole = await client.chat.completions.create(**asked)
            assert whole.choices[0].message.content == chat.text
            assert whole.usage is not None
            assert whole.usage.completion_tokens == 5
            text, last = "", None
            stream = await client.chat.completions.create(**asked, stream=True)
            async for event in stream:
                last = event
                text += (event.choices[0].delta.content or "") if event.choices else ""
            assert text == chat.text
            assert last is not None
            assert last.model_extra is not None
            assert last.model_extra["casemate"]["receipt"]["index"] > 0
            vectors = await client.embeddings.create(
                model="vecteurs", input=["un", "deux"], encoding_format="float"
            )
            assert len(vectors.data) == 2
            assert "chat" in [m.id async for m in client.models.list()]
            with pytest.raises(openai.PermissionDeniedError) as caught:
                await client.chat.completions.create(**{**asked, "model": "absent"})
            assert caught.value.code == "CM-DRT-12"
            with pytest.raises(openai.BadRequestError):
                await client.chat.completions.create(**asked, n=2)

    asyncio.run(main())


@pytest.fixture
def issue(site: Site, console_database: str) -> Callable[..., str]:
    """Return a function that issues a key of ana and returns its text."""
    secret = (site.folder / "site-secret").read_bytes()

    def give(number: int, **changes: Any) -> str:
        key = ApplicationKey(number.to_bytes(16, "big"))
        end = datetime.now(UTC) + timedelta(hours=1)
        terms = Terms("ana", "outil", frozenset({Scope.CHAT}), end, max_label=1)

        async def put() -> None:
            async with await psycopg.AsyncConnection.connect(console_database) as conn:
                caller = Principal("ana", "ana", frozenset(), frozenset(), (), 0)
                await store.act_as(conn, caller)
                made = replace(terms, **changes)
                await store.issue_key(conn, made, key.digest(secret))
                await store.put_person(conn, OWNER)

        asyncio.run(put())
        return key.text()

    return give


def test_a_key_answers_within_its_terms_and_pays_its_own_budget(
    site: Site, issue: Callable[..., str]
) -> None:
    narrow = issue(1, models=frozenset({"chat"}), collections=("rh",))
    plain = issue(2)
    embedding = issue(3, scopes=frozenset({Scope.EMBED}))
    elsewhere = issue(4, networks=("192.0.2.0/24",))

    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:

            def holding(text: str) -> Client:
                return Client(ana.http, ana.realm, text)

            assert (await holding(plain).chat())[0] == 200
            intent, end = await calls(site)
            assert intent["key"]
            assert f"key:{intent['key']}" in end["spend"]
            assert intent["actor"] == "ana"
            body = (await holding(narrow).chat(model="perdu"))[1]
            assert body["error"]["code"] == "CM-DRT-12"
            other = {"collections": ["notes"]}
            assert (await holding(narrow).chat(casemate=other))[0] == 404
            assert (await holding(embedding).chat())[1]["error"]["code"] == "CM-DRT-01"
            assert (await holding(elsewhere).chat())[0] == 401
            within = {"x-forwarded-for": "192.0.2.9"}
            messages = [{"role": "user", "content": "x"}]
            raw = {"model": "chat", "messages": messages}
            found, _, _ = await holding(elsewhere).post("/v1/chat/completions", raw, within)
            assert found == 200
            assert len(chat.asked) == 2

    asyncio.run(main())


def test_without_a_database_known_callers_go_on_until_revocations_are_too_old(
    site: Site, owner_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "STALE", 4.0)
    monkeypatch.setattr(revocation, "POLL", 0.5)

    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            assert (await ana.chat())[0] == 200
            set_connections(owner_database, allowed=False)
            try:
                assert (await ana.chat())[0] == 200

                async def unknown() -> bool:
                    status, body, _ = await ana.chat()
                    return status == 503 and body["error"]["code"] == "CM-IDE-03"

                await eventually(unknown, 30)
                before = len(chat.asked)
                assert (await ana.chat())[0] == 503
                assert len(chat.asked) == before
            finally:
                set_connections(owner_database, allowed=True)

            async def back() -> bool:
                return (await ana.chat())[0] == 200

            await eventually(back, 30)

    asyncio.run(main())
