"""Hostile requests: each gets an OpenAI-shaped 4xx, no engine is asked, records are bounded."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.audit.client import RecorderClient
from appliance.gateway.refusals import FIRST
from tests.gateway.engine import engine
from tests.gateway.stand import Client, Json, Realm, Site, calls, gateway, kinds, records

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "Bonjour"}
GOOD: Json = {"model": "chat", "messages": [USER]}
RAW = json.dumps(GOOD).encode()


def with_(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def saying(**fields: Any) -> bytes:
    return with_(messages=[{**USER, **fields}])


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"model=chat",
    "cut": RAW[:-1],
    "more than one": RAW + RAW,
    "a list": b"[" + RAW + b"]",
    "null": b"null",
    "a number": b"1",
    "byte order mark": b"\xef\xbb\xbf" + RAW,
    "UTF-16": RAW.decode().encode("utf-16"),
    "Latin-1": RAW.replace(b"Bonjour", b"caf\xe9"),
    "overlong UTF-8": RAW.replace(b"Bonjour", b"\xc0\xaf"),
    "surrogate in UTF-8": RAW.replace(b"Bonjour", b"\xed\xa0\x80"),
    "lone surrogate": RAW.replace(b"Bonjour", b"\\udc00"),
    "NUL byte": RAW.replace(b"Bonjour", b"\x00"),
    "control character": RAW.replace(b"Bonjour", b"\x07"),
    "NaN": with_(temperature=0.5).replace(b"0.5", b"NaN"),
    "Infinity": with_(temperature=0.5).replace(b"0.5", b"-Infinity"),
    "huge number": with_(max_tokens=1).replace(b"1}", b"1" + b"0" * 400 + b"}"),
    "duplicate key": RAW.replace(b"{", b'{"model": "absent", ', 1),
    "duplicate key inside": RAW.replace(b'"role"', b'"role": "system", "role"'),
    "duplicate escaped key": RAW.replace(b"{", b'{"\\u006dodel": "absent", ', 1),
    "deep list": RAW[:-1] + b', "casemate": ' + b"[" * 200_000,
    "deep object": RAW[:-1] + b', "casemate": ' + b'{"a":' * 200_000,
    "no model": json.dumps({"messages": [USER]}).encode(),
    "no message": with_(messages=[]),
    "model is null": with_(model=None),
    "model is a path": with_(model="../../etc/passwd"),
    "unknown role": saying(role="developer"),
    "content is a number": saying(content=7),
    "an image": saying(content=[{"type": "image_url", "image_url": {"url": "file:///etc"}}]),
    "audio": saying(content=[{"type": "input_audio", "input_audio": {}}]),
    "temperature": with_(temperature=99),
    "temperature as text": with_(temperature="0.5"),
    "negative length": with_(max_tokens=-1),
    "many answers": with_(n=100),
    "stop is a number": with_(stop=3),
    "tools": with_(tools=[]),
    "unknown team": with_(casemate={"team": "/equipes/direction"}),
    "slug with a quote": with_(casemate={"collections": ["x'; DROP TABLE content; --"]}),
    "recursive schema": with_(
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"$ref": "#/$defs/A", "$defs": {
                "A": {"$ref": "#/$defs/A"}}}},
        }
    ),
    "pattern": with_(
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "x", "schema": {"type": "string", "pattern": "(a*)*b"}},
        }
    ),
    **{
        f"vLLM's {field}": with_(**{field: value})
        for field, value in {
            "chat_template": "{{ ''.__class__ }}", "cache_salt": "x", "priority": -1,
            "kv_transfer_params": {}, "structured_outputs": {"regex": "(a+)+$"}, "echo": True,
            "prompt_logprobs": 20, "logits_processors": ["os.system"], "top_k": 1,
            "mm_processor_kwargs": {}, "min_tokens": 4000, "ignore_eos": True, "user": "x",
            "documents": [], "chat_template_kwargs": {}, "logprobs": True,
            "allowed_token_ids": [1], "bad_words": ["x"], "request_id": "1",
            "vllm_xargs": {}, "service_tier": "a",
        }.items()
    },
}  # fmt: skip


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(realm: Realm) -> str:
    header = b64(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    return f"{header}.{b64(json.dumps(realm.claims()).encode())}."


def signed_with_the_public_key(realm: Realm) -> str:
    public = realm.key.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    header = b64(json.dumps({"alg": "HS256", "kid": "k1"}).encode())
    text = f"{header}.{b64(json.dumps(realm.claims()).encode())}"
    return f"{text}.{b64(hmac.digest(public, text.encode(), hashlib.sha256))}"


FORGED: dict[str, Callable[[Realm], str]] = {
    "nothing": lambda _: "",
    "not a token": lambda _: "x.y.z",
    "made-up key": lambda _: "cm_" + "A" * 43,
    "other scheme": lambda realm: f" Basic {realm.token()}",
    "expired": lambda realm: realm.token(exp=int(time.time()) - 60, iat=int(time.time()) - 120),
    "not yet": lambda realm: realm.token(
        iat=int(time.time()) + 600, nbf=int(time.time()) + 600
    ),
    "foreign realm": lambda realm: realm.token(iss="http://127.0.0.1/realms/casemate-admin"),
    "other audience": lambda realm: realm.token(aud="account"),
    "no audience": lambda realm: realm.token(aud=None),
    "an identity token": lambda realm: realm.token(typ="ID"),
    "a refresh token": lambda realm: realm.token(typ="Refresh"),
    "another key": lambda realm: realm.sign(
        realm.claims(), rsa.generate_private_key(65537, 2048)
    ),
    "unknown kid": lambda realm: realm.sign(realm.claims(), kid="k2"),
    "unsigned": unsigned,
    "signed with the public key": signed_with_the_public_key,
    "cut": lambda realm: realm.token()[:-10],
    "changed": lambda realm: realm.token().replace(".", ".A", 1),
    "huge": lambda realm: realm.token() + "A" * 30_000,
    "not ASCII": lambda _: "é" * 20,
}


def shaped(status: int, body: Json) -> None:
    assert 400 <= status < 500
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["code"].startswith("CM-")


def test_there_are_sixty_of_them() -> None:
    assert len(BODIES) + len(FORGED) + 2 >= 60


def test_each_hostile_body_is_a_4xx_and_reaches_no_engine(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            for name, body in BODIES.items():
                status, answer, _ = await ana.post(CHAT, body)
                try:
                    shaped(status, answer)
                except AssertionError as exc:
                    raise AssertionError(f"{name}: {status} {answer}") from exc
            for size in (1_000_000, 20_000_000):
                status, answer, _ = await ana.post(CHAT, b'{"model":"' + b"a" * size + b'"}')
                assert (status, answer["error"]["code"]) == (413, "CM-NET-02")
            assert (await ana.chat())[0] == 200
            assert len(chat.asked) == 1
            events = [e for e in await records(site) if e["actor"] == "ana"]
            assert len(events) == FIRST + 4  # the slug is looked up after its intent

    asyncio.run(main())


def test_each_forged_token_is_a_401(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            for name, forge in FORGED.items():
                forged = Client(ana.http, ana.realm, forge(ana.realm))
                status, answer, headers = await forged.post(CHAT, RAW)
                shaped(status, answer)
                assert (status, headers["www-authenticate"]) == (401, "Bearer"), name
            assert chat.asked == []

    asyncio.run(main())


def test_a_flood_of_401s_is_one_record_per_network(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat:
            async with gateway(site) as ana:
                nobody = Client(ana.http, ana.realm, "x.y.z")
                for _ in range(10):
                    for status, _, _ in await asyncio.gather(
                        *(
                            nobody.post(CHAT, RAW, {"x-forwarded-for": f"192.0.2.{n}"})
                            for n in range(50)
                        )
                    ):
                        assert status == 401
                before = await records(site)
                assert "casemate.auth.denied.v1" not in {e["type"] for e in before}
            denied = [e for e in await records(site) if e["type"] == "casemate.auth.denied.v1"]
            assert [(e["data"]["network"], e["data"]["count"]) for e in denied] == [
                ("192.0.2.0/24", 500)
            ]
            assert chat.asked == []

    asyncio.run(main())


def test_a_flood_of_refusals_of_somebody_is_few_records(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine):
            async with gateway(site) as ana:
                await asyncio.gather(*(ana.chat(model="absent") for _ in range(300)))
            found = [e for e in await records(site) if e["actor"] == "ana"]
            assert len(found) == FIRST + 1
            assert found[-1]["data"]["count"] == 300 - FIRST
            assert await calls(site) == []

    asyncio.run(main())


NOWHERE = [
    ("GET", "/", 404),
    ("GET", "/v1/completions", 404),
    ("POST", "/v1/chat/completions/", 404),
    ("POST", "/v1//chat/completions", 404),
    ("GET", CHAT, 405),
    ("DELETE", "/v1/models", 405),
    ("POST", "/metrics", 404),
    ("POST", "/tokenize", 404),
    ("POST", "/v1/load_lora_adapter", 404),
]


def test_nothing_answers_elsewhere(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine) as chat, gateway(site) as ana:
            for method, path, status in NOWHERE:
                code = {404: "CM-NET-03", 405: "CM-NET-04"}[status]
                async with ana.http.request(
                    method, f"http://g{path}", data=RAW, headers=ana.headers,
                    allow_redirects=False,
                ) as answer:  # fmt: skip
                    body = json.loads(await answer.read())
                    assert (answer.status, body["error"]["code"]) == (status, code), path
            assert chat.asked == []

    asyncio.run(main())


def test_a_defect_is_told_as_one_and_still_ends_its_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ZeroDivisionError

    async def main() -> None:
        async with engine(site.engine), gateway(site) as ana:
            monkeypatch.setattr("appliance.gateway.chat.engine_body", broken)
            status, body, _ = await ana.chat()
            assert (status, body["error"]["code"]) == (500, "CM-NET-00")
            end = (await calls(site))[-1]
            assert (kinds([end]), end["reason"]) == (["llm.error"], "CM-NET-00")
            monkeypatch.setattr("appliance.gateway.chat.parse", broken)
            status, body, _ = await ana.chat()
            assert (status, body["error"]["code"]) == (500, "CM-NET-00")

    asyncio.run(main())


def test_people_read_english_when_they_ask(site: Site) -> None:
    async def main() -> None:
        async with gateway(site) as ana:
            _, french, _ = await ana.post(CHAT, b"{}")
            _, english, _ = await ana.post(CHAT, b"{}", {"accept-language": "en-GB"})
            assert french["error"]["message"].startswith("Demande illisible")
            assert english["error"]["message"].startswith("Object missing")

    asyncio.run(main())


def test_the_recorder_answers_while_a_flood_goes_on(site: Site) -> None:
    async def main() -> None:
        async with engine(site.engine), gateway(site) as ana:
            nobody = Client(ana.http, ana.realm, "x.y.z")
            flood = [asyncio.create_task(nobody.post(CHAT, RAW)) for _ in range(300)]
            assert (await ana.chat())[0] == 200
            await asyncio.gather(*flood)
            reader = RecorderClient(site.log.socket, "test")
            await reader.connect()
            assert (await reader.status()).open == 0
            await reader.close()

    asyncio.run(main())
