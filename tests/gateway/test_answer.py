"""Answers of engines: what leaves as it came, what is rewritten, what is held to the end."""

import json
from typing import Any

import pytest

from appliance.gateway.answer import (
    Answer,
    AnswerError,
    AnswerRefusedError,
    Flow,
    Head,
    chunk,
    completion,
)
from appliance.gateway.grounded import Inert
from appliance.gateway.guards import Guard

FLAG = Guard({})
MASK = Guard({"phone": "mask", "email": "mask"})
REFUSE = Guard({"secret": "refuse"})
TEXT = "Appelez le 06 12 34 56 78 ou jean.dupont@exemple.fr, merci."
MASKED = MASK.check(TEXT).text
assert "06 12" not in MASKED
SECRET = "ghp_" + "a1B2c3D4" * 4
BASE = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
DONE = b"data: [DONE]\n\n"


def flowing(guard: Guard = FLAG, inert: Inert | None = None) -> Answer:
    return Answer(Flow(guard, inert))


def event(text: str | None, finish: str | None = None, **more: object) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = json.dumps({**BASE, "choices": [choice], **more}, separators=(",", ":"))
    return b"data: %b\n\n" % body.encode()


def usage(prompt: int, completion_: int) -> dict[str, int]:
    total = prompt + completion_
    return {"prompt_tokens": prompt, "total_tokens": total, "completion_tokens": completion_}


def final(prompt: int = 1, completion_: int = 2) -> bytes:
    body = json.dumps({**BASE, "choices": [], "usage": usage(prompt, completion_)})
    return b"data: %b\n\n" % body.encode()


def events(stream: bytes) -> list[dict[str, Any]]:
    lines = [e[6:] for e in stream.split(b"\n\n") if e]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def text_of(stream: bytes) -> str:
    choices = [e["choices"][0]["delta"] for e in events(stream) if e["choices"]]
    return "".join(delta.get("content") or "" for delta in choices)


def whole_stream(answer: Answer, *pieces: bytes) -> bytes:
    out = b"".join(answer.feed(piece) for piece in pieces)
    return out + answer.flush() + answer.last(b'{"outcome":"answer"}')


def test_flagged_bytes_leave_as_they_came_wherever_they_are_cut() -> None:
    stream = b"".join(event(c) for c in TEXT)
    for step in (1, 7, 64, len(stream)):
        answer = flowing()
        pieces = [stream[i : i + step] for i in range(0, len(stream), step)]
        assert b"".join(answer.feed(piece) for piece in pieces) == stream
        answer.feed(final() + DONE)
        answer.flush()
        assert answer.flags == ["email", "phone"]


def test_running_usage_leaves_no_trace_and_counts_what_was_generated() -> None:
    answer = flowing()
    for n, letter in enumerate("Bonjour", 1):
        data = event(letter, usage=usage(5, n))
        assert answer.feed(data) == event(letter)
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 7)


def test_running_usage_in_another_layout_is_taken_out_too() -> None:
    body = (
        b'data: {"choices": [{"delta": {"content": "x"}}], "usage" : {"prompt_tokens": 1}}\n\n'
    )
    answer = flowing()
    assert events(answer.feed(body)) == [{"choices": [{"delta": {"content": "x"}}]}]
    assert answer.usage is not None


def test_text_that_looks_like_usage_stays() -> None:
    tricky = ',"usage":{"prompt_tokens":5,"total_tokens":6,"completion_tokens":1}'
    data = event(tricky, usage=usage(5, 1))
    assert flowing().feed(data) == event(tricky)


def test_a_null_usage_is_no_usage() -> None:
    answer = flowing()
    assert answer.feed(event("x", usage=None)) == event("x", usage=None)
    assert answer.usage is None


def test_the_last_event_waits_for_the_record() -> None:
    answer = flowing()
    out = answer.feed(event("Oui") + event(None, "stop") + final(3, 1) + DONE)
    assert out == event("Oui") + event(None, "stop")
    assert answer.flush() == b""
    last = answer.last(b'{"label":1}')
    assert last.endswith(DONE)
    assert events(last) == [
        {**BASE, "choices": [], "usage": usage(3, 1), "casemate": {"label": 1}}
    ]
    assert (answer.finish, answer.texts) == ("stop", ["Oui"])


def test_an_engine_without_a_last_usage_event_gets_one_of_ours() -> None:
    answer = flowing()
    out = whole_stream(answer, event("x", "stop", usage=usage(3, 1)) + DONE)
    assert events(out)[-1]["usage"] == usage(3, 1)
    assert events(out)[-1]["choices"] == []


@pytest.mark.parametrize("cut", range(1, len(TEXT)))
def test_a_match_cut_anywhere_is_masked(cut: int) -> None:
    answer = flowing(MASK)
    pieces = event(TEXT[:cut]), event(TEXT[cut:]), event(None, "stop") + final() + DONE
    out = whole_stream(answer, *pieces)
    assert text_of(out) == "".join(answer.texts) == MASKED
    assert answer.flags == ["email", "phone"]
    assert [e["choices"][0]["finish_reason"] for e in events(out) if e["choices"]][-1] == "stop"


def test_text_and_end_in_one_read_lose_nothing_when_masked() -> None:
    data = event("") + event("Oui ") + event("merci.", "length") + final() + DONE
    out = whole_stream(flowing(MASK), data)
    assert text_of(out) == "Oui merci."
    assert [e["choices"][0]["finish_reason"] for e in events(out) if e["choices"]][
        -1
    ] == "length"


def test_a_refused_answer_stops_before_the_match_leaves() -> None:
    answer = flowing(REFUSE)
    left = answer.feed(event("Voici : "))
    with pytest.raises(AnswerRefusedError):
        left += answer.feed(event(SECRET + " voilà tout."))
    assert SECRET.encode() not in left


def test_a_refused_match_at_the_very_end_does_not_leave() -> None:
    answer = flowing(REFUSE)
    left = answer.feed(event("Voici : " + SECRET) + final() + DONE)
    with pytest.raises(AnswerRefusedError):
        left += answer.flush()
    assert SECRET.encode() not in left


def test_a_whole_body_is_masked_and_an_innocent_one_untouched() -> None:
    def body(text: str, **more: object) -> bytes:
        message = {"role": "assistant", "content": text, **more}
        return json.dumps({"choices": [{"message": message}], "usage": usage(1, 1)}).encode()

    masked = flowing(MASK).whole(body(TEXT))
    assert json.loads(masked)["choices"][0]["message"]["content"] == MASKED
    innocent = body("Rien à signaler.")
    assert flowing(MASK).whole(innocent) == innocent
    thought = flowing(MASK).whole(body("Rien.", reasoning_content=TEXT))
    assert b"06 12" not in thought
    with pytest.raises(AnswerRefusedError):
        flowing(REFUSE).whole(body("Voici " + SECRET))


def test_reasoning_stays_where_text_is_rewritten_and_is_flagged_where_it_is_not() -> None:
    choice = {"index": 0, "delta": {"reasoning_content": TEXT}, "finish_reason": None}
    data = b"data: %b\n\n" % json.dumps({**BASE, "choices": [choice]}).encode()
    assert b"06 12" not in whole_stream(flowing(MASK), data, final() + DONE)
    answer = flowing()
    assert TEXT.encode() in whole_stream(answer, data, final() + DONE)
    assert answer.flags == ["email", "phone"]


def test_a_grounded_answer_is_inert_and_cites_what_was_given() -> None:
    answer = flowing(FLAG, Inert(2))
    pieces = [event(p) for p in ("Oui [", "1], voir [ici](http", "://x) [9].")]
    out = whole_stream(answer, *pieces, event(None, "stop") + final() + DONE)
    assert text_of(out) == "Oui [1], voir [ici] (http[:]//x) ."
    assert answer.flow.inert is not None
    assert answer.flow.inert.cited == [1]


@pytest.mark.parametrize(
    "data",
    [
        b'data: {"error": {"message": "out of memory"}}\n\n',
        b"data: not json\n\n",
        b'data: {"choices": 1}\n\n',
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
    ],
)
def test_what_is_no_event_of_an_engine_is_an_error(data: bytes) -> None:
    with pytest.raises(AnswerError):
        flowing().feed(data)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b"<html>", b'{"choices":[{"message":1}]}']
)
def test_what_is_no_answer_of_an_engine_is_an_error(body: bytes) -> None:
    with pytest.raises(AnswerError):
        flowing().whole(body)


@pytest.mark.parametrize("data", [event("x"), event("x") + final(), event("x") + DONE])
def test_a_stream_without_its_end_is_an_error(data: bytes) -> None:
    answer = flowing()
    answer.feed(data)
    with pytest.raises(AnswerError):
        answer.flush()


def test_what_follows_the_end_is_passed_over() -> None:
    answer = flowing()
    assert answer.feed(final() + DONE + event("more")) == b""
    assert answer.feed(event("and more")) == b""


def test_comments_pass() -> None:
    assert flowing().feed(b": ping\n\n") == b": ping\n\n"


def test_a_cut_answer_is_bounded_by_what_was_read() -> None:
    answer = flowing()
    answer.feed(event("€uro"))
    assert answer.most_tokens >= len("€uro".encode())


def test_an_answer_of_ours_reads_as_an_engines() -> None:
    answer, head = flowing(), Head("chatcmpl-9", created=3, model="m")
    answer.settle(head, "Non.")
    stream = b"".join(
        e + b"\n\n" for e in (chunk(head, {"content": "Non."}), chunk(head, {}, "stop"))
    )
    out = stream + answer.flush() + answer.last(b"{}")
    assert text_of(out) == "Non."
    assert events(out)[-1]["usage"] == usage(0, 0)
    body = json.loads(completion(head, "Non."))
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Non."}
    assert body["object"] == "chat.completion"
