"""POST /v1/chat/completions as a raw ASGI application: the eight steps of DESIGN.md, section 5.

Invariants: an engine is called only once the intent is durable; the last event leaves only once
the terminal record is; each intent gets exactly one terminal record from here. No database
connection is held while an engine works.
"""

import asyncio
import logging
import time
from dataclasses import dataclass

import msgspec

from appliance.audit.client import RecorderError, new_id
from appliance.audit.content import ContentKey
from appliance.audit.event import Completion, Failed, Interrupted, Refused
from appliance.errors import ApplianceError
from appliance.gateway import chat, grounded, terms
from appliance.gateway.answer import Answer, AnswerError, Flow, Head, chunk, completion
from appliance.gateway.call import Call, Receive, Terminal
from appliance.gateway.departures import Departures
from appliance.gateway.documents import Documents, DocumentsAwayError
from appliance.gateway.engines import Engines
from appliance.gateway.guards import Guard
from appliance.gateway.recording import Recording
from appliance.gateway.reply import Asked, Message, Reply, Send
from appliance.gateway.rulings import Ruling, Rulings
from appliance.gateway.upstream import Response, UnreachedError, UpstreamError
from appliance.identity.access import Authenticator
from appliance.identity.principal import Principal
from appliance.ledger.admission import StoppedError

log = logging.getLogger(__name__)

ROUTE = "chat"
_TARGET = b"/v1/chat/completions"
_BODY_FACTOR, _BODY_REST = 3, 65_536  # a body may be longer than its text: escapes, JSON
_OK, _ENGINE_REFUSES = 200, {400, 413, 422}
_FAILED = (UpstreamError, AnswerError, DocumentsAwayError)


class EngineRefusedError(ApplianceError):
    """The engine says that the request is wrong, as one too long for its model is."""

    code = "CM-MOD-04"


class GuardRefusedError(ApplianceError):
    """A rule of the site refuses what was asked."""

    code = "CM-FIL-01"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the steps need of the worker."""

    rulings: Rulings
    authenticator: Authenticator
    recording: Recording
    engines: Engines
    documents: Documents
    departures: Departures
    site_key: bytes


class Hot:
    """The application. Its parts are made by the process that runs it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._recording = parts.recording

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started, asked = time.monotonic(), Asked.of(scope, receive, send)
        caller: Principal | None = None
        try:
            auth = self._parts.authenticator
            caller = auth.cached(asked.authorization, time.time(), asked.address)
            if caller is None:
                caller = await auth.principal(asked.authorization, asked.address)
            ruling = self._parts.rulings.current
            call, request = await self._grant(caller, ruling, asked, started)
            place = await self._recording.begin(call, ruling.digest)
        except ApplianceError as exc:
            if caller is None:
                self._recording.refusals.unknown(asked.address, exc.code)
            elif not isinstance(exc, RecorderError):
                self._recording.refused(caller.subject, exc.code, ROUTE)
            await asked.refuse(exc)
        except Exception:  # the edge of the process
            log.exception("defect before an intent")
            await asked.refuse(ApplianceError("internal error"))
        else:
            await self._serve(call, request, ruling, Reply(call, place, asked))

    async def _grant(
        self, caller: Principal, ruling: Ruling, asked: Asked, started: float
    ) -> tuple[Call, chat.ChatRequest]:
        """Steps 2 and 3."""
        longest = ruling.policy.limits.prompt_bytes
        body = await asked.body(longest * _BODY_FACTOR + _BODY_REST)
        request = chat.parse(body)
        granted = terms.decide(ruling.policy, caller, request, len(body))
        text = request.text()
        terms.check_length(text, longest)
        self._recording.check_started()
        request, text, flags = guarded(ruling.inbound, request, text)
        self._parts.engines.of(granted.model).check()
        own = request.casemate
        call = Call(
            new_id(), caller, granted, text, asked.receive, started, ContentKey.new(),
            stream=request.stream, flags=flags,
            conversation=own.conversation if own else None,
        )  # fmt: skip
        return call, request

    async def _serve(
        self, call: Call, request: chat.ChatRequest, ruling: Ruling, reply: Reply
    ) -> None:
        """Steps 5 to 8, whatever happens in them."""
        task = call.task = asyncio.current_task()
        assert task is not None
        self._parts.departures.add(call)
        try:
            self._recording.check_started()  # a stop may have come with the intent's answer
            await self._answer(call, request, ruling, reply)
        except asyncio.CancelledError:
            if not (call.left or call.stopped):  # the worker stops
                await self._close(call, Interrupted, "gateway_stopped")
                raise
            task.uncancel()
            await self._interrupted(call, reply)
        except ApplianceError as exc:
            await self._failed(call, exc, reply)
        except Exception:  # the edge of the process: still exactly one terminal record
            log.exception("defect", extra={"request": call.id})
            await self._failed(call, ApplianceError("internal error"), reply, kind=Failed)
        finally:
            self._parts.departures.discard(call)

    async def _answer(
        self, call: Call, request: chat.ChatRequest, ruling: Ruling, reply: Reply
    ) -> None:
        inert = None
        if call.terms.collections:
            request = await self._ground(call, request, ruling)
            inert = grounded.Inert(len(call.passages))
        answer = call.answer = Answer(Flow(ruling.outbound, inert))
        if call.outcome in {"nearby", "none"}:
            await self._abstain(call, answer, reply)
        else:
            await self._ask(call, answer, request, reply)

    async def _ground(
        self, call: Call, request: chat.ChatRequest, ruling: Ruling
    ) -> chat.ChatRequest:
        """Step 5."""
        await self._parts.documents.ground(call, ruling.policy, request.question())
        given = grounded.numbered(call.passages, ruling.policy.limits.passage_bytes)
        flags = ruling.inbound.check("\n".join(g.body for g in given)).flags if given else ()
        await self._recording.note(call.retrieval(list(flags)))
        messages = grounded.with_passages(request.messages, given)
        return msgspec.structs.replace(request, messages=messages)

    async def _abstain(self, call: Call, answer: Answer, reply: Reply) -> None:
        """Answer without any engine: the documents do not say."""
        text = grounded.NOT_FOUND if call.outcome == "none" else grounded.NEARBY
        head = _head_of(call)
        answer.settle(head, text)
        if not call.stream:
            extra = await self._close(call, Completion, "abstained")
            await reply.whole(_joined(completion(head, text), extra))
            return
        await reply.begin(_first(call))
        events = [chunk(head, {"content": text}), chunk(head, {}, "stop")]
        extra = await self._close(call, Completion, "abstained")
        await reply.last(b"".join(e + b"\n\n" for e in events) + answer.last(extra))

    async def _ask(
        self, call: Call, answer: Answer, request: chat.ChatRequest, reply: Reply
    ) -> None:
        """Step 6."""
        granted, engine = call.terms, self._parts.engines.of(call.terms.model)
        salt = terms.salt(self._parts.site_key, granted)
        settings = chat.Settings(granted.max_tokens, granted.temperature, salt)
        before, call.asked = time.monotonic(), True
        try:
            response = await engine.pool.post(_TARGET, chat.engine_body(request, settings))
        except UnreachedError:
            call.asked = False
            self._parts.engines.lost(engine)
            raise
        call.status = response.status
        call.waited = time.monotonic() - before
        try:
            if response.status != _OK:
                raise await refusal_of(response)
            if call.stream:
                await self._stream(call, answer, response, reply)
            else:
                await self._whole(call, answer, response, reply)
        finally:
            response.close()

    async def _whole(
        self, call: Call, answer: Answer, response: Response, reply: Reply
    ) -> None:
        before = time.monotonic()
        body = await response.read()
        call.waited += time.monotonic() - before
        body = answer.whole(body)
        extra = await self._close(call, Completion)
        await reply.whole(_joined(body, extra))

    async def _stream(
        self, call: Call, answer: Answer, response: Response, reply: Reply
    ) -> None:
        """Step 7."""
        await reply.begin(_first(call) if call.terms.collections else b"")
        while data := await response.chunk():
            if passing := answer.feed(data):
                await reply.event(passing)
        rest = answer.flush()
        extra = await self._close(call, Completion)
        await reply.last(rest + answer.last(extra))

    async def _close(
        self, call: Call, kind: type[Terminal], finish: str = "", reason: str = ""
    ) -> bytes:
        """Step 8: make the terminal record durable, and return what the answer says of it."""
        if call.outcome == "answer" and not call.citations and grounded.NOT_FOUND in call.text:
            call.outcome = "none"  # the model says so
        place = await self._recording.end(call, kind, finish, reason)
        return call.ending(place.index, place.leaf, passages=not call.stream)

    async def _interrupted(self, call: Call, reply: Reply) -> None:
        if not call.stopped:
            await self._close(call, Interrupted, "client_left")
            return
        exc = StoppedError("the service was stopped")
        await self._failed(call, exc, reply, kind=Interrupted)

    async def _failed(
        self, call: Call, exc: ApplianceError, reply: Reply,
        kind: type[Terminal] | None = None,
    ) -> None:  # fmt: skip
        if not call.ended:
            kind = kind or (Failed if isinstance(exc, _FAILED) else Refused)
            try:
                await self._close(call, kind, "stopped" if call.stopped else "", exc.code)
            except RecorderError as away:
                exc = away
        await reply.fail(exc)


def guarded(
    guard: Guard, request: chat.ChatRequest, text: str
) -> tuple[chat.ChatRequest, str, list[str]]:
    """Step 3: return the request and its text, masked where a rule says so, and the rules.

    Raises:
        GuardRefusedError: By a rule.
    """
    seen = request.scanned(text)
    found = guard.check(seen)
    if found.refuse:
        raise GuardRefusedError(f"rule {found.refuse}")
    if found.text != seen:
        request = request.rewritten(lambda part: guard.check(part).text)
        text = request.text()
    return request, text, list(found.flags)


async def refusal_of(response: Response) -> ApplianceError:
    """Return the error for an engine that answered something else than 200."""
    body = await response.read()
    if response.status not in _ENGINE_REFUSES:
        return AnswerError(f"the engine answered {response.status}")
    try:
        message = msgspec.json.decode(body, type=_EngineError).text()
    except msgspec.DecodeError:
        message = "no reason given"
    return EngineRefusedError(message)


class _Reason(msgspec.Struct):
    message: str = ""


class _EngineError(msgspec.Struct):
    error: _Reason | None = None
    message: str = ""

    def text(self) -> str:
        return (self.error.message if self.error else self.message) or "no reason given"


def _head_of(call: Call) -> Head:
    return Head(f"chatcmpl-{call.id}", created=int(time.time()), model=call.terms.model)


def _first(call: Call) -> bytes:
    """Return the first event of a grounded stream: its passages."""
    role = {"role": "assistant", "content": ""}
    return chunk(_head_of(call), role, extra=call.first()) + b"\n\n"


def _joined(body: bytes, extra: bytes) -> bytes:
    return b'%b,"casemate":%b}' % (body.rstrip()[:-1], extra)
