"""The built-in extractive engine: an OpenAI-compatible ASGI application that only quotes.

It reads the passages that the last system message gives (`prompt.py`), quotes their sentences
that answer the last user message best, with their numbers, and says that it does. Without a
passage, or without a word in common, it says that it does not know. `usage` counts words.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from appliance.rag.extract import extract
from appliance.rag.prompt import read_passages

NOT_FOUND = "Je ne trouve pas de réponse dans les documents que vous pouvez lire."
QUOTED = "Extraits des documents, cités tels quels :"
BODY_MOST = 4 << 20  # bytes

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_WORD = re.compile(r"\s*\S+")


class _Part(msgspec.Struct):
    type: str
    text: str = ""


METRICS = """\
# HELP casemate_engine_requests_total Requests that were answered.
# TYPE casemate_engine_requests_total counter
casemate_engine_requests_total {ended}
# HELP process_start_time_seconds Start of the process, seconds since 1970.
# TYPE process_start_time_seconds gauge
process_start_time_seconds {since}
"""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class _Format(msgspec.Struct):
    type: str


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool = False
    stream_options: _StreamOptions | None = None
    response_format: _Format | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None


class _Answer(msgspec.Struct, frozen=True):
    """What is said, and what it is said to cost."""

    words: Sequence[str]  # with the space before them
    finish: str
    usage: dict[str, int]


class _RefusalError(Exception):
    """A request that is not answered, with the status that says so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


_decode = msgspec.json.Decoder(_Request).decode
_encode = msgspec.json.Encoder().encode


class Engine:
    """The application."""

    def __init__(
        self, model: str, *, version: str, now: Callable[[], float], new_id: Callable[[], str]
    ) -> None:
        self._model, self._version, self._now, self._new_id = model, version, now, new_id
        self._since, self._ended = int(now()), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http", "served without lifespan and web sockets"
        try:
            if (scope["method"], scope["path"]) == ("POST", "/v1/chat/completions"):
                await self._chat(_read(await _body(receive)), send)
            elif (scope["method"], scope["path"]) == ("GET", "/metrics"):
                page = METRICS.format(ended=self._ended, since=self._since)
                await _send(send, 200, page.encode(), b"text/plain; version=0.0.4")
            else:
                await _json(send, 200, self._page(scope["method"], scope["path"]))
        except _RefusalError as exc:
            error = {"message": str(exc), "type": "BadRequestError", "param": None}
            await _json(send, exc.status, {"error": error | {"code": exc.status}})

    def _page(self, method: str, path: str) -> dict[str, Any]:
        model = {"id": self._model, "object": "model", "created": 0, "owned_by": "casemate"}
        pages: dict[str, dict[str, Any]] = {
            "/health": {},
            "/version": {"version": self._version},
            "/v1/models": {"object": "list", "data": [model]},
        }
        if path not in pages and path != "/v1/chat/completions":
            raise _RefusalError(404, "no such page")
        if method not in {"GET", "HEAD"} or path not in pages:
            raise _RefusalError(405, "method not allowed")
        return pages[path]

    async def _chat(self, request: _Request, send: Send) -> None:
        if request.model != self._model:
            raise _RefusalError(404, f"the model {request.model!r} does not exist")
        answer = _answer(request)
        self._ended += 1  # of who leaves before the end too, as vLLM counts them
        head = {"id": f"chatcmpl-{self._new_id()}", "created": int(self._now())}
        if request.stream:
            options = request.stream_options
            usage = bool(options and options.include_usage)
            await _stream(send, self._events(head, answer, usage=usage))
            return
        message = {"role": "assistant", "content": "".join(answer.words)}
        choice = {"index": 0, "message": message, "finish_reason": answer.finish}
        kind = {"object": "chat.completion", "model": self._model}
        await _json(send, 200, head | kind | {"choices": [choice], "usage": answer.usage})

    def _events(
        self, head: Mapping[str, Any], answer: _Answer, *, usage: bool
    ) -> Iterator[bytes]:
        kind = {"object": "chat.completion.chunk", "model": self._model}

        def event(delta: dict[str, str], finish: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            return b"data: %b\n\n" % _encode({**head, **kind, "choices": [choice]})

        yield event({"role": "assistant", "content": ""})
        for word in answer.words:
            yield event({"content": word})
        yield event({}, answer.finish)
        if usage:
            last = {**head, **kind, "choices": [], "usage": answer.usage}
            yield b"data: %b\n\n" % _encode(last)
        yield b"data: [DONE]\n\n"


def _answer(request: _Request) -> _Answer:
    texts = [message.text for message in request.messages]
    roles = [message.role for message in request.messages]
    system = _last(texts, roles, "system")
    passages = read_passages(system)
    found = extract(
        _last(texts, roles, "user"), passages, numbers=[passage.n for passage in passages]
    )
    text = f"{QUOTED}\n\n{found.text}" if found.sentences else NOT_FOUND
    words = _WORD.findall(text)
    most = request.max_completion_tokens or request.max_tokens or len(words)
    prompt = sum(len(t.split()) for t in texts)
    said = words[: max(most, 1)]
    usage = {"prompt_tokens": prompt, "completion_tokens": len(said)}
    usage["total_tokens"] = prompt + len(said)
    return _Answer(said, "stop" if len(said) == len(words) else "length", usage)


def _last(texts: Sequence[str], roles: Sequence[str], role: str) -> str:
    return next(
        (t for t, r in zip(reversed(texts), reversed(roles), strict=True) if r == role), ""
    )


def _read(body: bytes) -> _Request:
    try:
        request = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _RefusalError(400, f"the request cannot be read: {exc}") from exc
    if request.response_format and request.response_format.type != "text":
        raise _RefusalError(400, "this engine quotes: it writes no JSON")
    if request.n not in {None, 1}:
        raise _RefusalError(400, "this engine gives one answer")
    if not request.messages:
        raise _RefusalError(400, "there is no message")
    return request


async def _body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise _RefusalError(400, "the request is not whole")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > BODY_MOST:
            raise _RefusalError(413, "the request is too long")
        if not message.get("more_body"):
            return b"".join(pieces)


async def _stream(send: Send, events: Iterator[bytes]) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for event in events:
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _json(send: Send, status: int, content: Mapping[str, Any]) -> None:
    await _send(send, status, _encode(content), b"application/json")


async def _send(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
