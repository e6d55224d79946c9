"""Answer of an engine: what of it may leave, and what is held until the record is durable.

Where nothing rewrites the text, bytes pass as they came, one whole server-sent event after the
other, less the running `usage` that we asked for, and the rules see the decoded text. Else the
text of one read leaves as one event of ours, less what a rule may still match; reasoning text
stays. The event with the final `usage` and what follows it is always held.
"""

from typing import Any

import msgspec

from appliance.errors import ApplianceError
from appliance.gateway.grounded import Inert
from appliance.gateway.guards import Guard, Window

_NONE = msgspec.Raw(b"null")
_PREFIX, _DONE, _END = b"data: ", b"data: [DONE]", b"\n\n"
_UTF8_MAX = 4  # bytes of a character, and no token is shorter than a byte


class AnswerError(ApplianceError):
    """The engine's answer cannot be read."""

    code = "CM-MOD-02"


class AnswerRefusedError(ApplianceError):
    """A rule of the site refuses what the engine wrote."""

    code = "CM-FIL-02"


class Usage(msgspec.Struct):
    """As the engine counts."""

    prompt_tokens: int
    completion_tokens: int = 0


class _Call(msgspec.Struct):
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    function: _Call | None = None


class _Text(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None  # vLLM 0.32
    reasoning_content: str | None = None  # the older name of the same
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    delta: _Text | None = None
    message: _Text | None = None
    finish_reason: str | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice]
    usage: msgspec.Raw = _NONE


class Head(msgspec.Struct):
    """What all events of a stream share."""

    id: str = ""
    object: str = "chat.completion.chunk"
    created: int = 0
    model: str = ""


_decode = msgspec.json.Decoder(_Body).decode
_decode_head = msgspec.json.Decoder(Head).decode
_decode_usage = msgspec.json.Decoder(Usage | None).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_NO_USAGE = msgspec.Raw(b'{"prompt_tokens":0,"total_tokens":0,"completion_tokens":0}')


class Flow:
    """The way of a text out: guard, then inert links where the answer is grounded.

    A guard that holds nothing back reads the text once, at its end: only the record asks.
    """

    def __init__(self, guard: Guard, inert: Inert | None = None) -> None:
        self.inert = inert
        self._guard = guard
        self._window = Window(guard) if guard.holds else None
        self.rewrites = self._window is not None or inert is not None

    def push(self, text: str, *, last: bool = False) -> str:
        """Return what may leave now.

        Raises:
            AnswerRefusedError: Nothing more may.
        """
        if self._window is not None:
            text = self._window.mask(text, last=last)
            if self._window.refused:
                raise AnswerRefusedError("a rule of the site refuses this answer")
        return self.inert.push(text, last=last) if self.inert else text

    def flags(self, left: str) -> list[str]:
        """Return the rules that fired. `left`: the text that left."""
        found = self._guard.check(left).flags if self._window is None else self._window.found
        return sorted(found)


class Answer:
    """One answer, as it comes."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.texts: list[str] = []  # what left
        self.finish = ""
        self.ended = False  # [DONE] was read
        self.characters = 0  # read
        self._usage = _NONE
        self._head: Head | None = None
        self._rest = b""  # of an event whose end has not come
        self._held = b""  # the event with the final usage

    @property
    def text(self) -> str:
        """Return what left, in one piece."""
        if len(self.texts) > 1:
            self.texts = ["".join(self.texts)]
        return self.texts[0] if self.texts else ""

    @property
    def flags(self) -> list[str]:
        """Return the rules of the guard that fired."""
        return self.flow.flags(self.text)

    @property
    def usage(self) -> Usage | None:
        """Return the last count of the engine, if it gave any that can be read."""
        try:
            found: Usage | None = _decode_usage(self._usage)
        except msgspec.DecodeError:
            return None
        return found

    def settle(self, head: Head, text: str) -> None:
        """Take a text of our own, for which no engine was asked."""
        self._head, self._usage, self.ended = head, _NO_USAGE, True
        self.finish = "stop"
        self.texts.append(text)

    @property
    def most_tokens(self) -> int:
        """Return a bound of the tokens that were read."""
        return self.characters * _UTF8_MAX

    def feed(self, data: bytes) -> bytes:
        """Take bytes of a stream, and return those that may leave.

        Raises:
            AnswerError: Not the events of an engine.
            AnswerRefusedError: By the guard.
        """
        buffer = self._rest + data if self._rest else data
        *events, self._rest = buffer.split(_END)
        texts: list[str] = []
        passing: list[bytes] = []
        try:
            for event in events:
                if self.ended:
                    break
                if kept := self._event(event, texts):
                    passing.append(kept)
        except (msgspec.DecodeError, ValueError) as exc:
            raise AnswerError("the engine's events cannot be read") from exc
        if texts:
            self._leave(texts, passing)
        return b"".join([event + _END for event in passing])

    def whole(self, body: bytes) -> bytes:
        """Take a body that is no stream, and return it guarded.

        Raises:
            AnswerError: Not the answer of an engine.
            AnswerRefusedError: By the guard.
        """
        try:
            decoded = _decode(body)
        except (msgspec.DecodeError, ValueError) as exc:
            raise AnswerError("the engine's answer cannot be read") from exc
        self._usage = decoded.usage
        texts: list[str] = []
        for choice in decoded.choices:
            self.finish = choice.finish_reason or self.finish
            _collect(choice.message, texts, content_only=self.flow.rewrites)
        text = "".join(texts)
        self.characters, self.ended = len(text), True
        free = self.flow.push(text, last=True)
        self.texts.append(free)
        whole = free == text and (not self.flow.rewrites or _says_only_content(decoded))
        return body if whole else _with_message(body, free)

    def last(self, extra: bytes) -> bytes:
        """Return what was held, with `"casemate": extra` in its last event."""
        held = self._held.removeprefix(_PREFIX).rstrip()
        if not held:
            head = _encode(self._head or Head())
            held = b'%b,"choices":[],"usage":%b}' % (head[:-1], bytes(self._usage))
        return b'%b%b,"casemate":%b}\n\ndata: [DONE]\n\n' % (_PREFIX, held[:-1], extra)

    def flush(self) -> bytes:
        """Return the end of the text. After the last `feed`, before the terminal record.

        Raises:
            AnswerError: The stream was cut.
            AnswerRefusedError: By the guard.
        """
        if not self.ended or self.usage is None:
            raise AnswerError("the stream has no end")
        free = self.flow.push("", last=True)
        if not self.flow.rewrites:
            return b""
        out: list[bytes] = []
        if free:
            self.texts.append(free)
            out.append(self._chunk({"content": free}))
        out.append(self._chunk({}, self.finish or "stop"))
        return b"".join([event + _END for event in out])

    def _event(self, event: bytes, texts: list[str]) -> bytes:
        """Read one event, and return it if it may pass."""
        if not event.startswith(_PREFIX):
            return event  # a comment
        if event == _DONE:
            self.ended = True
            return b""
        body = _decode(event[6:])
        if self._head is None:
            self._head = _decode_head(event[6:])
        if body.usage != _NONE:
            self._usage = body.usage
            if not body.choices:
                self._held = event
                return b""
            event = _without_usage(event, body.usage)
        return self._choices(body, event, texts)

    def _choices(self, body: _Body, event: bytes, texts: list[str]) -> bytes:
        rewrites = self.flow.rewrites
        for choice in body.choices:
            _collect(choice.delta, texts, content_only=rewrites)
            self.finish = choice.finish_reason or self.finish
        return event if not rewrites or _says_nothing(body) else b""

    def _leave(self, texts: list[str], passing: list[bytes]) -> None:
        text = "".join(texts)
        self.characters += len(text)
        free = self.flow.push(text)
        if not free:
            return
        self.texts.append(free)
        if self.flow.rewrites:
            passing.append(self._chunk({"content": free}))

    def _chunk(self, delta: dict[str, str], finish: str | None = None) -> bytes:
        return chunk(self._head or Head(), delta, finish)


def chunk(
    head: Head, delta: dict[str, str], finish: str | None = None, extra: bytes = b""
) -> bytes:
    """Return one event of a stream, without its end.

    Args:
        head: What the events share.
        delta: Of its one choice.
        finish: Why the answer ends here.
        extra: JSON of the field `casemate`.
    """
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    more = b',"casemate":%b' % extra if extra else b""
    return b'%b%b,"choices":[%b]%b}' % (_PREFIX, _encode(head)[:-1], _encode(choice), more)


def completion(head: Head, text: str) -> bytes:
    """Return the body of an answer of our own that is no stream."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "logprobs": None,
        "finish_reason": "stop",
    }
    whole = msgspec.structs.replace(head, object="chat.completion")
    rest = _encode(choice), bytes(_NO_USAGE)
    return b'%b,"choices":[%b],"usage":%b}' % (_encode(whole)[:-1], *rest)


def _collect(text: _Text | None, into: list[str], *, content_only: bool) -> None:
    if text is None:
        return
    thought = text.reasoning or text.reasoning_content
    if thought and not content_only:
        into.append(thought)
    if text.content:
        into.append(text.content)
    calls = () if content_only else text.tool_calls or ()
    into += [c.function.arguments for c in calls if c.function and c.function.arguments]


def _says_nothing(body: _Body) -> bool:
    """Tell whether an event announces only a role."""
    for choice in body.choices:
        said = choice.delta
        if choice.finish_reason or (
            said and (said.content or said.reasoning_content or said.tool_calls)
        ):
            return False
    return True


def _says_only_content(body: _Body) -> bool:
    said = [choice.message for choice in body.choices if choice.message]
    return not any(m.reasoning or m.reasoning_content or m.tool_calls for m in said)


def _without_usage(event: bytes, usage: msgspec.Raw) -> bytes:
    """Return the bytes that the engine would have sent, had we not asked for running usage."""
    field = b',"usage":' + bytes(usage)
    if field in event:  # inside a string its quotes would be escaped
        return event.replace(field, b"", 1)
    tree: dict[str, Any] = _decode_any(event[6:])
    del tree["usage"]
    return _PREFIX + _encode(tree)


def _with_message(body: bytes, text: str) -> bytes:
    tree: dict[str, Any] = _decode_any(body)
    for choice in tree["choices"]:
        choice["message"] = {"role": "assistant", "content": text}
    return _encode(tree)
