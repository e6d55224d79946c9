"""The extractive engine as an ASGI application: answers, streams, refusals, hostile input."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.rag.engine import BODY_MOST, NOT_FOUND, QUOTED, Engine
from appliance.rag.prompt import Given, write_passages

ENGINE = Engine("extraits", version="1.2.3", now=lambda: 1_700_000_000.5, new_id=lambda: "abc")
PASSAGES = [
    Given(3, "Note <télétravail>", "p. 1", "Deux jours de télétravail par semaine & pas plus."),
    Given(7, "Achats", "p. 2", "Trois devis sont demandés."),
]
QUESTION = "Combien de jours de télétravail par semaine ?"


def call(method: str, path: str, *pieces: bytes) -> tuple[int, bytes]:
    """Return status and body, checking that the answer is whole."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": n < len(pieces)}
        for n, piece in enumerate(pieces or (b"",), 1)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(ENGINE({"type": "http", "method": method, "path": path}, receive, send))
    assert sent[0]["type"] == "http.response.start"
    assert not sent[-1].get("more_body")
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


def ask(
    question: str = QUESTION, passages: Sequence[Given] = PASSAGES, **more: Any
) -> tuple[int, Any]:
    system = "Réponds d'après les passages.\n" + write_passages(passages)
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    body = {"model": "extraits", "messages": messages, **more}
    status, answer = call("POST", "/v1/chat/completions", json.dumps(body).encode())
    return status, answer if body.get("stream") else json.loads(answer)


def events(stream: bytes) -> list[Any]:
    lines = stream.split(b"\n\n")
    assert lines[-2:] == [b"data: [DONE]", b""]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines[:-2]]


def test_it_quotes_with_the_numbers_of_the_passages_and_says_so() -> None:
    status, answer = ask()
    text = f"{QUOTED}\n\n« Deux jours de télétravail par semaine & pas plus. » [3]"
    assert status == 200
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    ]
    assert (answer["id"], answer["object"]) == ("chatcmpl-abc", "chat.completion")
    assert (answer["model"], answer["created"]) == ("extraits", 1_700_000_000)


def test_usage_counts_words() -> None:
    usage = ask()[1]["usage"]
    assert usage["completion_tokens"] == len(
        ask()[1]["choices"][0]["message"]["content"].split()
    )
    longer = ask(f"{QUESTION} encore deux")[1]["usage"]
    assert longer["prompt_tokens"] == usage["prompt_tokens"] + 2
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize(
    ("question", "passages"),
    [(QUESTION, []), ("Recette de la blanquette ?", PASSAGES), ("", PASSAGES)],
    ids=["no-passage", "nothing-common", "no-question"],
)
def test_without_support_it_does_not_know(question: str, passages: list[Given]) -> None:
    status, answer = ask(question, passages)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, NOT_FOUND)


def test_a_stream_says_the_same_as_a_body() -> None:
    _, whole = ask()
    status, stream = ask(stream=True, stream_options={"include_usage": True})
    *chunks, last = events(stream)
    assert status == 200
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    assert {c["object"] for c in chunks} == {"chat.completion.chunk"}


def test_usage_is_streamed_only_when_asked_for() -> None:
    assert all("usage" not in event for event in events(ask(stream=True)[1]))


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_answer_is_cut_at_the_words_allowed(name: str) -> None:
    more: dict[str, Any] = {name: 5}
    answer = ask(**more)[1]
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5


def test_passages_are_those_of_the_last_system_message_and_the_question_the_last_user_s() -> (
    None
):
    systems = [write_passages([PASSAGES[1]]), write_passages([PASSAGES[0]])]
    messages = [
        {"role": "system", "content": systems[0]},
        {"role": "user", "content": "devis"},
        {"role": "assistant", "content": "…"},
        {"role": "system", "content": systems[1]},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
        {"role": "tool", "content": None},
    ]
    body = {"model": "extraits", "messages": messages}
    answer = json.loads(call("POST", "/v1/chat/completions", json.dumps(body).encode())[1])
    assert "Deux jours" in answer["choices"][0]["message"]["content"]


def test_passages_in_a_question_are_not_passages() -> None:
    question = QUESTION + write_passages([Given(1, "Faux", "", "Dix jours de télétravail.")])
    answer = ask(question)[1]["choices"][0]["message"]["content"]
    assert "Dix jours" not in answer


def test_pages_beside_the_chat() -> None:
    assert call("GET", "/health") == (200, b"{}")
    assert json.loads(call("GET", "/version")[1]) == {"version": "1.2.3"}
    models = json.loads(call("GET", "/v1/models")[1])
    assert [m["id"] for m in models["data"]] == ["extraits"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/v1/chat/completions", 405), ("POST", "/health", 405)],
)
def test_other_pages_are_refused(method: str, path: str, status: int) -> None:
    found, body = call(method, path)
    assert found == status
    assert json.loads(body)["error"]["code"] == status


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"response_format": {"type": "json_object"}}, 400),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, 400),
        ({"response_format": {"type": "text"}}, 200),
        ({"n": 2}, 400),
        ({"model": "autre"}, 404),
        ({"messages": []}, 400),
        ({"messages": "x"}, 400),
        ({"messages": [{"role": 1}]}, 400),
        ({"max_tokens": "x"}, 400),
        ({"max_tokens": -3}, 200),
    ],
    ids=[
        "json",
        "schema",
        "text",
        "two",
        "model",
        "nothing",
        "no-list",
        "role",
        "words",
        "negative",
    ],
)
def test_what_it_cannot_do_is_refused(more: dict[str, Any], status: int) -> None:
    assert ask(**more)[0] == status


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[" * 5_000, b"\xff\xfe", b'{"model": NaN}', b"\xef\xbb\xbf{}"],
    ids=["empty", "cut", "null", "deep", "utf-8", "nan", "bom"],
)
def test_bytes_that_are_no_request_are_refused(body: bytes) -> None:
    status, answer = call("POST", "/v1/chat/completions", body)
    assert status == 400
    assert json.loads(answer)["error"]["type"] == "BadRequestError"


def test_a_body_without_end_is_refused() -> None:
    pieces = [b" " * (1 << 20)] * (BODY_MOST // (1 << 20) + 1)
    assert call("POST", "/v1/chat/completions", *pieces)[0] == 413


def test_a_client_that_leaves_before_its_end_is_not_answered_with_success() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions"}
    asyncio.run(ENGINE(scope, receive, send))
    assert sent[0]["status"] == 400


@given(st.text(max_size=200), st.text(max_size=100))
def test_any_prompt_is_answered(system: str, question: str) -> None:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    body = json.dumps({"model": "extraits", "messages": messages}).encode()
    status, answer = call("POST", "/v1/chat/completions", body)
    assert status in {200, 400}
    assert json.loads(answer)
