"""The path of a request: order of its records, what leaves, what never does."""

import asyncio
import json
from typing import Any

import pytest

from appliance.audit.client import RecorderClient, new_id
from appliance.audit.content import commit, open_sealed
from appliance.audit.event import BudgetChange
from appliance.identity.policy import Guards
from tests.gateway.engine import Engine, engine, usage
from tests.gateway.stand import Client, Json, Site, calls, gateway, kinds, records

SECRET = "ghp_" + "a1B2c3D4" * 4
IBAN = "FR76 3000 6000 0112 3456 7890 189"


async def of_request(site: Site, headers: Any) -> list[Json]:
    return await records(site, headers["x-casemate-request"])


def test_an_intent_comes_before_the_engine_and_an_end_before_the_answer(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            chat.hold()
            asking = asyncio.create_task(ana.chat())
            await chat.arrived.wait()
            assert kinds(await calls(site))[-1] == "llm.request"
            chat.held.set()
            status, body, headers = await asking
            assert status == 200
            assert body["choices"][0]["message"]["content"] == chat.text
            events = await of_request(site, headers)
            assert kinds(events) == ["llm.request", "llm.completion"]
            assert (events[1]["prompt_tokens"], events[1]["completion_tokens"]) == (7, 5)
            assert events[1]["spend"]["site"] == 12
            assert body["casemate"]["receipt"]["leaf"]

    asyncio.run(main())


def test_no_answer_ends_while_its_terminal_record_is_not_durable(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            chat.pause = 0.05
            asking = asyncio.create_task(ana.stream())
            whole = asyncio.create_task(ana.chat())
            await chat.arrived.wait()
            await asyncio.sleep(0.1)
            site.recorder.send_signal(19)  # SIGSTOP: it takes events and makes nothing durable
            await asyncio.sleep(0.6)
            assert not asking.done()
            assert not whole.done()
            site.recorder.send_signal(18)
            events = await asking
            assert events[-1]["casemate"]["receipt"]["index"] > 0
            assert (await whole)[0] == 200

    asyncio.run(main())


def test_a_stream_leaves_as_the_engine_wrote_it_less_what_we_asked_for(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            raw = await ana.raw_stream()
            chat.continuous = False
            plain = await ana.raw_stream()
            events = raw.split(b"\n\n")
            assert events[:-3] == plain.split(b"\n\n")[:-3]
            assert b'"usage"' not in b"".join(events[:-3])
            assert len(events) == len(chat.words) + 1 + 3
            last = json.loads(events[-3].removeprefix(b"data: "))
            assert last["usage"] == usage(5)
            assert last["casemate"]["outcome"] == "answer"
            assert last["casemate"]["grounded"] is False
            assert events[-2] == b"data: [DONE]"

    asyncio.run(main())


def test_a_body_that_is_no_stream_is_the_engines_with_our_field(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            _, body, headers = await ana.chat(seed=7, temperature=0.0, max_tokens=16)
            own = body.pop("casemate")
            assert own.keys() == {"citations", "outcome", "grounded", "label", "receipt"}
            assert body["usage"] == usage(5)
            sent = chat.asked[0]
            assert len(sent.pop("cache_salt")) > 40
            assert sent == {
                "model": "chat", "messages": [{"role": "user", "content": "Bonjour ?"}],
                "seed": 7, "temperature": 0.0, "max_tokens": 16,
            }  # fmt: skip
            index, _, leaf = headers["x-casemate-receipt"].partition("; leaf=")
            intent = (await of_request(site, headers))[0]
            assert intent["reserve"].keys() == {"site", "user:ana", "team:/equipes/rh"}
            assert int(index) < own["receipt"]["index"]
            assert leaf != own["receipt"]["leaf"]
            assert headers["x-casemate-generated"] == "true"
            assert headers["x-casemate-label"] == "0"
            assert float(headers["x-casemate-overhead-ms"]) >= 0

    asyncio.run(main())


def test_the_log_holds_commitments_that_the_owners_key_opens_and_no_text(site: Site) -> None:
    question = "Quelle est la recette du pâté ?"

    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            _, body, headers = await ana.chat(question)
            events = await of_request(site, headers)
            text = json.dumps(events, ensure_ascii=False)
            assert "pâté" not in text
            assert chat.text not in text
            reader = RecorderClient(site.log.socket, "test")
            await reader.connect()
            sealed = await reader.sealed(body["casemate"]["receipt"]["index"])
            await reader.close()
            key = open_sealed(site.history_key, sealed)
            assert events[0]["prompt"] == commit(key.commitment_key("question"), question)
            assert events[1]["answer"] == commit(key.commitment_key("answer"), chat.text)
            assert events[1]["content"] == "sealed"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("claims", "fields", "status", "code"),
    [
        pytest.param({"roles": ["auditeur"]}, {}, 403, "CM-DRT-01", id="scope"),
        pytest.param({}, {"model": "reserve"}, 403, "CM-DRT-12", id="hidden model"),
        pytest.param({}, {"model": "absent"}, 403, "CM-DRT-12", id="absent model"),
        pytest.param({}, {"model": "vecteurs"}, 403, "CM-DRT-12", id="embedding model"),
        pytest.param({}, {"temperature": 1.5}, 403, "CM-DRT-11", id="temperature"),
        pytest.param({}, {"max_tokens": 5000}, 403, "CM-DRT-11", id="length"),
        pytest.param({"groups": ["/equipes/a", "/equipes/b"]}, {}, 403, "CM-DRT-02", id="team"),
        pytest.param({}, {"casemate": {"team": "/equipes/b"}}, 403, "CM-DRT-02", id="others"),
        pytest.param({}, {"casemate": {"collections": ["x"]}}, 404, "CM-DOC-01", id="slug"),
        pytest.param({}, {"content": SECRET}, 403, "CM-FIL-01", id="secret"),
        pytest.param({}, {"content": "é" * 150_000}, 413, "CM-NET-02", id="long"),
        pytest.param({}, {"logit_bias": {}}, 400, "CM-NET-01", id="unknown field"),
        pytest.param({}, {"model": "perdu"}, 503, "CM-MOD-01", id="engine away"),
    ],
)
def test_what_is_refused_reaches_no_engine_and_is_recorded(
    site: Site, claims: Json, fields: Json, status: int, code: str
) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            content = fields.pop("content", "Bonjour ?")
            for stream in (False, True):
                asked = {**fields, "stream": stream}
                found, body, _ = await ana.as_("eve", **claims).chat(content, **asked)
                assert (found, body["error"]["code"]) == (status, code)
                assert body["error"].keys() == {"message", "type", "param", "code"}
            assert chat.asked == []
            events = [e for e in await records(site) if e["actor"] == "eve"]
            reasons = [e.get("reason") or e.get("data", {}).get("reason") for e in events]
            assert [r for r in reasons if r] == [code, code]

    asyncio.run(main())


def test_who_is_in_two_teams_is_told_which_and_pays_from_the_one_named(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine), gateway(site) as ana:
            eve = ana.as_("eve", groups=["/equipes/achats", "/equipes/paie"])
            _, body, _ = await eve.chat()
            assert "/equipes/achats, /equipes/paie" in body["error"]["message"]
            _, _, headers = await eve.chat(casemate={"team": "/equipes/paie"})
            intent = (await of_request(site, headers))[0]
            assert "team:/equipes/paie" in intent["reserve"]

    asyncio.run(main())


def test_what_a_rule_masks_reaches_neither_engine_nor_history(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            _, _, headers = await ana.chat(f"Mon compte : {IBAN}, merci.")
            sent = chat.asked[0]["messages"][0]["content"]
            assert IBAN not in sent
            assert sent.startswith("Mon compte : ")
            assert sent.endswith(", merci.")
            assert (await of_request(site, headers))[0]["flags"] == ["iban"]

    asyncio.run(main())


def test_what_a_rule_finds_in_an_answer_is_flagged_and_leaves(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            chat.words = ["Le SIREN est ", "732 8", "29 320."]
            events = await ana.stream()
            request = (await calls(site))[-1]
            assert request["flags"] == ["siren"]
            assert "732 8" in json.dumps(events)

    asyncio.run(main())


def test_a_refused_answer_ends_in_an_error_and_a_record(site: Site) -> None:
    async def main() -> None:
        site.set_policy(guards=Guards({}, {"secret": "refuse"}))
        async with engine(site.engine) as chat, gateway(site) as ana:
            chat.words = ["La clé est ", SECRET[:9], SECRET[9:], " voilà"]
            events = await ana.stream()
            assert events[-1]["error"]["code"] == "CM-FIL-02"
            assert SECRET not in json.dumps(events)
            status, body, _ = await ana.chat()
            assert (status, body["error"]["code"]) == (403, "CM-FIL-02")
            found = kinds(await calls(site))
            assert found[-4:] == ["llm.request", "llm.refused"] * 2

    asyncio.run(main())


def test_no_model_answers_alone_where_the_site_forbids_it(site: Site) -> None:
    async def main() -> None:
        site.set_policy(ungrounded=False)
        async with engine(site.engine) as chat, gateway(site) as ana:
            status, body, _ = await ana.chat()
            assert (status, body["error"]["code"]) == (403, "CM-DRT-13")
            assert chat.asked == []

    asyncio.run(main())


def test_a_changed_policy_is_in_force_without_a_restart(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine), gateway(site) as ana:
            assert (await ana.chat())[0] == 200
            site.set_policy(ungrounded=False)
            async with asyncio.timeout(10):
                while (await ana.chat())[0] == 200:
                    pass

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "reason", "answered", "code"),
    [
        (400, "maximum context length is 2048 tokens", 400, "CM-MOD-04"),
        (422, "bad schema", 400, "CM-MOD-04"),
        (404, "no such model", 502, "CM-MOD-02"),
        (500, "out of memory", 502, "CM-MOD-02"),
        (503, "overloaded", 502, "CM-MOD-02"),
    ],
)
def test_an_engine_that_refuses_is_told_in_our_words(
    site: Site, status: int, reason: str, answered: int, code: str
) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            chat.status, chat.reason = status, reason
            for stream in (False, True):
                found, body, _ = await ana.chat(stream=stream)
                assert (found, body["error"]["code"]) == (answered, code)
                assert (reason in body["error"]["message"]) == (answered == 400)
            end = (await calls(site))[-1]
            assert (end["status"], end["reason"]) == (status, code)

    asyncio.run(main())


async def cut(ana: Client, chat: Engine, words: int) -> None:
    chat.cut_after = words
    events = await ana.stream()
    assert events[-1]["error"]["code"] == "CM-MOD-01"
    assert all("casemate" not in e for e in events)


def test_an_answer_cut_by_its_engine_ends_in_an_error_and_its_tokens_count(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            await cut(ana, chat, 4)
            end = (await calls(site))[-1]
            assert kinds([end]) == ["llm.error"]
            assert (end["prompt_tokens"], end["completion_tokens"]) == (7, 3)
            status, body, _ = await ana.chat()
            assert (status, body["error"]["code"]) == (503, "CM-MOD-01")

    asyncio.run(main())


def test_a_budget_that_is_spent_refuses_before_the_engine(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            writer = RecorderClient(site.log.socket, "test")
            await writer.connect()
            change = BudgetChange(
                actor="test", budget="user:ana", hard=True, id=new_id(), limit=200, period="day"
            )
            await writer.append(change)
            await writer.close()
            assert (await ana.chat(max_tokens=10))[0] == 200
            status, body, _ = await ana.chat(max_tokens=150)
            assert (status, body["error"]["code"]) == (402, "CM-BUD-02")
            assert body["error"]["type"] == "insufficient_quota"
            assert len(chat.asked) == 1
            assert (await ana.as_("eve").chat(max_tokens=150))[0] == 200

    asyncio.run(main())


def test_json_mode_reaches_the_engine(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            chat.words = ['{"a":', "1}"]
            status, body, _ = await ana.chat(response_format={"type": "json_object"})
            assert status == 200
            assert json.loads(body["choices"][0]["message"]["content"]) == {"a": 1}
            assert chat.asked[0]["response_format"] == {"type": "json_object"}

    asyncio.run(main())
