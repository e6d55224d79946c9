"""Body of POST /v1/chat/completions: what clients may send, and what the engine is sent.

The engine's body is rebuilt from these types: a field that is not listed is a 400 and reaches
nobody. Nothing is added that an engine would turn into tokens, so token ids equal those of a
direct call. msgspec lets the last of two equal keys win, so a second pass refuses them.
"""

import json
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import msgspec

from appliance.errors import FormatError
from appliance.gateway import schema

Text = Annotated[str, msgspec.Meta(max_length=1_000_000)]  # the policy's limit comes later
Name = Annotated[str, msgspec.Meta(max_length=100)]
Slug = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
StopText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Tokens = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z"


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """A piece of text of a message."""

    type: Literal["text"]
    text: Text


class Call(msgspec.Struct, forbid_unknown_fields=True):
    """Name and arguments of a tool call; the arguments are JSON in a string."""

    name: Name
    arguments: Text


class ToolCall(msgspec.Struct, forbid_unknown_fields=True):
    """A call the model made in an earlier turn."""

    id: Name
    type: Literal["function"]
    function: Call


class Message(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One turn."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Text | Annotated[list[Part], msgspec.Meta(max_length=64)] | None = None
    tool_calls: Annotated[list[ToolCall], msgspec.Meta(max_length=64)] = []
    tool_call_id: Name | None = None

    def text(self) -> str:
        """Return every decoded value that the model will read, line by line."""
        if isinstance(self.content, str) and not self.tool_calls:
            return self.content
        return "\n".join(self.texts())

    def texts(self) -> Iterator[str]:
        """Return every decoded value that the model will read."""
        if isinstance(self.content, str):
            yield self.content
        else:
            yield from (part.text for part in self.content or ())
        for call in self.tool_calls:
            yield call.function.name
            yield call.function.arguments

    def rewritten(self, change: Callable[[str], str]) -> "Message":
        """Return the message with every text changed."""
        content: str | list[Part] | None
        if isinstance(self.content, str):
            content = change(self.content)
        else:
            content = self.content and [Part("text", change(p.text)) for p in self.content]
        calls = [
            ToolCall(c.id, c.type, Call(c.function.name, change(c.function.arguments)))
            for c in self.tool_calls
        ]
        return Message(self.role, content, calls, self.tool_call_id)


class Options(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`stream_options`."""

    include_usage: bool = False


class Casemate(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Our own field: what the answer is grounded on, and who pays."""

    collections: Annotated[list[Slug], msgspec.Meta(max_length=32)] = []
    team: Annotated[str, msgspec.Meta(max_length=200)] = ""
    conversation: Annotated[str, msgspec.Meta(pattern=_UUID)] | None = None


class ChatRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a client may send."""

    model: Name
    messages: Annotated[list[Message], msgspec.Meta(min_length=1, max_length=512)]
    stream: bool = False
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None  # the newer name of the same
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    stop: StopText | Annotated[list[StopText], msgspec.Meta(max_length=8)] | None = None
    n: Literal[1] = 1
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    response_format: schema.ResponseFormat | None = None
    stream_options: Options | None = None
    casemate: Casemate | None = None

    def text(self) -> str:
        """Return what the commitment and the history hold: the question, or the exchange."""
        if len(self.messages) == 1:
            return self.messages[0].text()
        return "\n\n".join([f"{m.role}: {m.text()}" for m in self.messages])

    def scanned(self, text: str) -> str:
        """Return `text` and what else an engine is sent, for the guards."""
        if self.stop is None and self.response_format is None:
            return text
        more = [self.stop] if isinstance(self.stop, str) else list(self.stop or ())
        if isinstance(self.response_format, schema.JsonSchema):
            more.append(msgspec.json.encode(self.response_format).decode())
        return "\n".join([text, *more])

    def rewritten(self, change: Callable[[str], str]) -> "ChatRequest":
        """Return the request with every text of its messages changed."""
        messages = [message.rewritten(change) for message in self.messages]
        return msgspec.structs.replace(self, messages=messages)

    def question(self) -> str:
        """Return the last thing that the person says."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.text()
        return ""


class EngineOptions(msgspec.Struct, omit_defaults=True):
    """Usage with each event, so that an answer cut short is counted right."""

    include_usage: bool = False
    continuous_usage_stats: bool = False


class EngineRequest(msgspec.Struct, omit_defaults=True):
    """What the engine is sent."""

    model: str
    messages: list[Message]
    max_tokens: int
    temperature: float
    cache_salt: str
    top_p: float | None = None
    seed: int | None = None
    stop: list[str] | str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_format: schema.ResponseFormat | None = None
    stream: bool = False
    stream_options: EngineOptions | None = None


class Settings(msgspec.Struct, frozen=True):
    """What policy adds to a request."""

    max_tokens: int
    temperature: float
    salt: str  # of the engine's prefix cache


_decode = msgspec.json.Decoder(ChatRequest).decode
_encode = msgspec.json.Encoder().encode
_USAGE = EngineOptions(include_usage=True, continuous_usage_stats=True)


def parse(body: bytes) -> ChatRequest:
    """Read what a client sent.

    Raises:
        FormatError: Not such a body.
    """
    try:
        request = _decode(body)
        refuse_double_keys(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise FormatError(str(exc)) from exc
    if request.max_tokens and request.max_completion_tokens:
        raise FormatError("max_tokens and max_completion_tokens are the same: send one")
    schema.check(request.response_format)
    return request


def engine_body(request: ChatRequest, settings: Settings) -> bytes:
    """Return the body for the engine."""
    return _encode(
        EngineRequest(
            request.model,
            request.messages,
            settings.max_tokens,
            settings.temperature,
            settings.salt,
            request.top_p,
            request.seed,
            request.stop,
            request.presence_penalty,
            request.frequency_penalty,
            request.response_format,
            request.stream,
            _USAGE if request.stream else None,
        )
    )


def _keys(pairs: list[tuple[str, object]]) -> None:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key appears twice")


_scan = json.JSONDecoder(object_pairs_hook=_keys).raw_decode  # builds nothing


def refuse_double_keys(body: bytes) -> None:
    """Let a JSON text that was read pass if its objects have each key once.

    Raises:
        ValueError: One has not.
    """
    _scan(body.decode().lstrip())
