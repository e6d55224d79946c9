"""POST /v1/embeddings: recorded and budgeted as every call; the answer is the engine's.

The eight steps without documents and without text to guard on the way out: vectors carry none.
"""

import asyncio
import time
from typing import Annotated, Literal

import msgspec

from appliance.audit.client import new_id
from appliance.audit.content import ContentKey
from appliance.audit.event import Completion, Failed, Interrupted
from appliance.audit.frame import Answer as Place
from appliance.errors import ApplianceError, FormatError
from appliance.gateway import terms
from appliance.gateway.answer import Usage
from appliance.gateway.call import Call, Receive
from appliance.gateway.chat import Name, Text, refuse_double_keys
from appliance.gateway.hot import Parts, refusal_of
from appliance.gateway.upstream import UnreachedError, UpstreamError
from appliance.identity.principal import Principal
from appliance.ledger.admission import StoppedError

ROUTE = "embeddings"
BODY_BYTES = 4_000_000
TEXTS_MAX = 256
_TARGET, _OK = b"/v1/embeddings", 200


class EmbeddingRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What a client may send."""

    model: Name
    input: Text | Annotated[list[Text], msgspec.Meta(min_length=1, max_length=TEXTS_MAX)]
    encoding_format: Literal["float", "base64"] | None = None

    def text(self) -> str:
        """Return all texts."""
        return self.input if isinstance(self.input, str) else "\n".join(self.input)


class _Answer(msgspec.Struct):
    usage: Usage


_decode = msgspec.json.Decoder(EmbeddingRequest).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


def parse(body: bytes) -> EmbeddingRequest:
    """Read what a client sent.

    Raises:
        FormatError: Not such a body.
    """
    try:
        request = _decode(body)
        refuse_double_keys(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise FormatError(str(exc)) from exc
    return request


class Embeddings:
    """The route, without HTTP."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def answer(
        self, caller: Principal, body: bytes, receive: Receive
    ) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Return the engine's body, and the headers that name the records.

        Raises:
            ApplianceError: Refused, stopped, or the engine is away.
        """
        parts, ruling = self._parts, self._parts.rulings.current
        started, request = time.monotonic(), parse(body)
        granted = terms.decide_embedding(ruling.policy, caller, request.model, len(body))
        parts.recording.check_started()
        parts.engines.of(granted.model).check()
        call = Call(
            new_id(), caller, granted, request.text(), receive, started, ContentKey.new(),
            operation="embeddings",
        )  # fmt: skip
        place = await parts.recording.begin(call, ruling.digest)
        answer = await self._served(call, request)
        return answer, call.headers(place.index, place.leaf, time.monotonic())

    async def _served(self, call: Call, request: EmbeddingRequest) -> bytes:
        parts, task = self._parts, asyncio.current_task()
        assert task is not None
        call.task = task
        parts.departures.add(call)
        try:
            parts.recording.check_started()
            answer = await self._ask(call, request)
            await self._end(call, Completion)
        except asyncio.CancelledError:
            if not (call.left or call.stopped):
                await self._end(call, Interrupted, "gateway_stopped")
                raise
            task.uncancel()
            await self._end(call, Interrupted, "stopped" if call.stopped else "client_left")
            raise StoppedError("the service was stopped") from None
        except ApplianceError as exc:
            if not call.ended:
                await self._end(call, Failed, "", exc.code)
            raise
        else:
            return answer
        finally:
            parts.departures.discard(call)
            if not call.ended:
                await self._end(call, Failed, "defect", "CM-NET-00")

    async def _ask(self, call: Call, request: EmbeddingRequest) -> bytes:
        engine = self._parts.engines.of(call.terms.model)
        before, call.asked = time.monotonic(), True
        try:
            response = await engine.pool.post(_TARGET, msgspec.json.encode(request))
        except UnreachedError:
            call.asked = False
            self._parts.engines.lost(engine)
            raise
        try:
            call.status = response.status
            if response.status != _OK:
                raise await refusal_of(response)
            body = await response.read()
            call.waited = time.monotonic() - before
            call.embedded, call.asked = _decode_answer(body).usage.prompt_tokens, False
        except msgspec.DecodeError as exc:
            raise UpstreamError("the engine's answer cannot be read") from exc
        finally:
            response.close()
        return body

    async def _end(
        self, call: Call, kind: type[Completion | Failed | Interrupted],
        finish: str = "stop", reason: str = "",
    ) -> Place:  # fmt: skip
        return await self._parts.recording.end(call, kind, finish, reason)
