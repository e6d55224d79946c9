"""Bodies of chats: what clients may send, and what an engine is sent."""

import json
from typing import Any

import pytest

from appliance.errors import FormatError
from appliance.gateway import chat

SETTINGS = chat.Settings(128, 0.2, "salt")
USER = {"role": "user", "content": "Bonjour"}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [USER], **fields}).encode()


def sent(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(chat.engine_body(chat.parse(body(**fields)), SETTINGS))
    return found


def test_a_plain_chat_gains_what_policy_sets_and_nothing_else() -> None:
    assert sent() == {
        "model": "m",
        "messages": [USER],
        "max_tokens": 128,
        "temperature": 0.2,
        "cache_salt": "salt",
    }


def test_messages_reach_the_engine_as_they_came() -> None:
    call = {"id": "123456789", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Sois bref."}]},
        USER,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "123456789", "content": "é\n\t“”"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "Et alors ?"},
    ]
    assert sent(messages=messages)["messages"] == messages


def test_sampling_reaches_the_engine() -> None:
    fields = {"top_p": 0.5, "seed": 2**63 - 1, "stop": ["fin"], "presence_penalty": 0.5}
    assert sent(**fields).items() >= fields.items()
    assert sent(stop="fin")["stop"] == "fin"


def test_a_stream_asks_for_running_usage_and_the_client_cannot() -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    assert sent(stream=True)["stream_options"] == options
    assert "stream_options" not in sent(stream_options={"include_usage": True})
    with pytest.raises(FormatError, match="continuous"):
        chat.parse(body(stream=True, stream_options=options))


def test_our_own_field_does_not_reach_the_engine() -> None:
    own = {"collections": ["notes"], "team": "/equipes/rh"}
    assert "casemate" not in sent(casemate=own)


@pytest.mark.parametrize(
    "field",
    [
        "chat_template", "cache_salt", "priority", "kv_transfer_params", "guided_json",
        "structured_outputs", "prompt_logprobs", "logits_processors", "mm_processor_kwargs",
        "bad_words", "logit_bias", "echo", "add_generation_prompt", "documents", "vllm_xargs",
        "min_tokens", "ignore_eos", "best_of", "allowed_token_ids", "truncate_prompt_tokens",
        "include_stop_str_in_output", "request_id", "tools", "return_token_ids",
    ],
)  # fmt: skip
def test_a_field_of_the_engine_that_is_not_listed_is_refused(field: str) -> None:
    with pytest.raises(FormatError, match=field):
        chat.parse(body(**{field: 1}))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        body() + b" x",
        b"\xef\xbb\xbf" + body(),
        body().replace(b"Bonjour", b"\xff"),
        body().replace(b"Bonjour", b"\\ud800"),
        body().replace(b"Bonjour", b"\\ud800abc"),
        body().replace(b"Bonjour", b"a\x00b"),
        body(temperature=1).replace(b"1}", b"NaN}"),
        body(temperature=1).replace(b"1}", b"Infinity}"),
        body(temperature=1).replace(b"1}", b"1e999}"),
        body(temperature=3),
        body(top_p=0),
        body(seed=-1),
        body(seed=2**64),
        body(max_tokens=0),
        body(max_tokens=True),
        body(max_tokens="12"),
        body(max_tokens=1, max_completion_tokens=1),
        body(n=2),
        body(stop=["x"] * 9),
        body(stop=[""]),
        body(messages=[]),
        body(messages=[USER] * 513),
        body(messages=[{"role": "root", "content": "x"}]),
        body(messages=[{"role": "user", "content": "x", "name": "y"}]),
        body(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]),
        body(casemate={"conversation": "not-a-uuid"}),
        body(casemate={"conversation": "0b0e9d2e-7d0c-4f4e-8f35-1f7c4d5e6f70\n"}),
        body(casemate={"collections": [""]}),
        body(casemate={"collections": ["a"] * 33}),
        body(casemate={"admin": True}),
        b'{"model":"m","model":"n","messages":[{"role":"user","content":"x"}]}',
        b'{"model":"m","messages":[{"role":"user","role":"system","content":"x"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"casemate":' + b"[" * 100_000,
        b'{"model":"m","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_body_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        chat.parse(raw)


def test_the_committed_text_is_the_question_or_the_whole_exchange() -> None:
    assert chat.parse(body()).text() == "Bonjour"
    parts = [{"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]}]
    assert chat.parse(body(messages=parts)).text() == "a\nb"
    turns = [
        {"role": "system", "content": "S"},
        USER,
        {"role": "assistant", "content": "R"},
        USER,
    ]
    request = chat.parse(body(messages=turns))
    assert request.text() == "system: S\n\nuser: Bonjour\n\nassistant: R\n\nuser: Bonjour"
    assert request.question() == "Bonjour"


def test_tool_arguments_stop_words_and_schemas_are_seen_by_the_guards() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "secret-a"}}
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"description": "secret-b"}},
    }
    messages = [{"role": "assistant", "tool_calls": [call]}]
    raw = body(messages=messages, stop="secret-c", response_format=wanted)
    request = chat.parse(raw)
    seen = request.scanned(request.text())
    assert all(f"secret-{letter}" in seen for letter in "abc")


def test_every_text_of_a_message_can_be_masked() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "a"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": "a", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1"},
    ]
    request = chat.parse(body(messages=messages)).rewritten(str.upper)
    texts = [list(message.texts()) for message in request.messages]
    assert texts == [["A"], ["A", "f", "A"], []]
