"""The way back of an answer: heads, bodies, errors before and after the head."""

import asyncio
import json
from typing import Any

import pytest

from appliance.audit.frame import Answer as Place
from appliance.errors import ApplianceError, FormatError
from appliance.gateway.reply import Asked, Reply
from appliance.gateway.terms import LengthError
from appliance.gateway.upstream import UpstreamError
from tests.gateway.test_call import call

Sent = list[dict[str, Any]]


def asked(*messages: dict[str, Any], headers: Any = ()) -> tuple[Asked, Sent]:
    sent: Sent = []
    waiting = list(messages)

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    return Asked.of({"headers": list(headers)}, receive, send), sent


def part(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_the_address_is_the_last_hop_that_our_front_end_wrote() -> None:
    forged = (b"x-forwarded-for", b"10.9.9.9, 192.0.2.7 ")
    made, _ = asked(headers=[forged, (b"authorization", b"Bearer x"), (b"a", b"b")])
    assert (made.address, made.authorization) == ("192.0.2.7", b"Bearer x")
    nobody, _ = asked()
    assert (nobody.address, nobody.authorization, nobody.english) == ("", b"", False)


def test_a_body_in_pieces_is_read_whole() -> None:
    made, _ = asked(part(b"ab", more=True), part(b"", more=True), part(b"c"))
    assert asyncio.run(made.body(3)) == b"abc"


def test_a_long_body_is_refused_without_reading_it_all() -> None:
    made, _ = asked(part(b"abcd", more=True))
    with pytest.raises(LengthError):
        asyncio.run(made.body(3))


def test_a_body_that_is_cut_is_refused() -> None:
    made, _ = asked(part(b"ab", more=True), {"type": "http.disconnect"})
    with pytest.raises(FormatError):
        asyncio.run(made.body(10))


def reply(made: Asked) -> Reply:
    return Reply(call(), Place(1, 7, "leaf"), made)


def test_an_error_before_the_head_is_an_answer_and_after_it_an_event() -> None:
    async def main() -> None:
        made, sent = asked()
        await reply(made).fail(UpstreamError("away"))
        assert (sent[0]["status"], sent[1].get("more_body")) == (503, None)
        made, sent = asked(headers=[(b"accept-language", b"en")])
        running = reply(made)
        await running.begin(b"data: 1\n\n")
        await running.fail(UpstreamError("away"))
        assert sent[0]["status"] == 200
        assert (
            json.loads(sent[-1]["body"].removeprefix(b"data: "))["error"]["message"] == "away"
        )
        assert not sent[-1].get("more_body")

    asyncio.run(main())


def test_an_answer_carries_its_records_and_its_length() -> None:
    async def main() -> None:
        made, sent = asked()
        await reply(made).whole(b"{}")
        headers = dict(sent[0]["headers"])
        assert headers[b"x-casemate-receipt"] == b"7; leaf=leaf"
        assert headers[b"content-length"] == b"2"
        assert [m["type"] for m in sent] == ["http.response.start", "http.response.body"]

    asyncio.run(main())


def test_the_head_of_a_stream_leaves_even_without_an_event() -> None:
    async def main() -> None:
        made, sent = asked()
        await reply(made).begin(b"")
        assert sent[1] == {"type": "http.response.body", "body": b"", "more_body": True}

    asyncio.run(main())


def test_a_refusal_says_nothing_of_the_caller() -> None:
    async def main() -> None:
        made, sent = asked(headers=[(b"authorization", b"Bearer secret")])
        await made.refuse(ApplianceError("internal error"))
        assert b"secret" not in sent[1]["body"]
        assert sent[0]["status"] == 500

    asyncio.run(main())
