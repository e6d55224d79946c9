"""HTTP face of the gateway: the hot path as a route, and everything beside it."""

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, cast

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from starlette.types import Receive, Scope, Send

from appliance.audit.client import new_id
from appliance.audit.event import Kind, fact
from appliance.errors import FormatError
from appliance.gateway import openapi, terms
from appliance.gateway.consent import approval, visa
from appliance.gateway.embedding import BODY_BYTES, Embeddings
from appliance.gateway.health import Examination
from appliance.gateway.hot import Hot, Parts
from appliance.gateway.reply import Asked
from appliance.identity import principal
from appliance.identity.access import current_principal
from appliance.identity.principal import Principal, check_scope

router = APIRouter()
_STOP_BYTES = 4_096
_REASON_CHARACTERS = 200


def need(scope: principal.Scope | None) -> Callable[..., Awaitable[Principal]]:
    """Build the dependency that admits callers with a scope, and remembers who is refused."""

    async def check(request: Request) -> Principal:
        request.state.caller = caller = await current_principal(request)
        if scope is not None:
            check_scope(caller, scope)
        return caller

    return check


Anybody = Annotated[Principal, Depends(need(None))]
Embedder = Annotated[Principal, Depends(need(principal.Scope.EMBED))]
Stopper = Annotated[Principal, Depends(need(principal.Scope.STOP))]
Opener = Annotated[Principal, Depends(need(principal.Scope.CONTENT_APPROVE))]
Eliminator = Annotated[Principal, Depends(need(principal.Scope.ERASURE_APPROVE))]
Approver = Annotated[Principal, Depends(need(principal.Scope.START_APPROVE))]


class Raw(Response):
    """The hot path, reached through the router: the dispatcher goes there directly."""

    def __init__(self, hot: Hot) -> None:
        super().__init__()
        self._hot = hot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        await self._hot(scope, receive, send)


@router.post("/v1/chat/completions", openapi_extra=openapi.CHAT)
async def complete_chat(request: Request) -> Response:
    """Answer a chat, from the documents where collections are named."""
    return Raw(cast("Hot", request.state.hot))


@router.post("/v1/embeddings", openapi_extra=openapi.EMBEDDINGS)
async def embed(caller: Embedder, request: Request) -> Response:
    """Return the vectors of texts."""
    embeddings = cast("Embeddings", request.state.embeddings)
    body = await _body(request, BODY_BYTES)
    answer, headers = await embeddings.answer(caller, body, request.receive)
    response = Response(answer, media_type="application/json")
    response.raw_headers += headers
    return response


@router.get("/v1/models", openapi_extra=openapi.MODELS)
async def list_models(caller: Anybody, request: Request) -> Response:
    """List the models that the caller may use."""
    policy = _parts(request).rulings.current.policy
    cards = [
        openapi.ModelCard(name, kind)
        for kind, scope in (("chat", principal.Scope.CHAT), ("embed", principal.Scope.EMBED))
        if scope in caller.scopes
        for name in terms.allowed(policy, caller, kind)
    ]
    return _answer(openapi.ModelList(cards))


@router.get("/health", openapi_extra=openapi.HEALTH)
async def health(request: Request) -> Response:
    """Tell how the parts are: names and states, for whoever asks."""
    examination = cast("Examination", request.state.examination)
    return _answer(await examination.look(time.monotonic()))


@router.post("/v1/service/stop", openapi_extra=openapi.SERVICE)
async def stop(caller: Stopper, request: Request) -> Response:
    """Stop all generation, on every worker, at once."""
    return await _switch(request, caller, Kind.SERVICE_STOP)


@router.post("/v1/service/approve", openapi_extra=openapi.SERVICE)
async def approve(caller: Approver, request: Request) -> Response:
    """Approve starting again: it takes two people."""
    return await _switch(request, caller, Kind.SERVICE_APPROVE)


@router.post("/v1/content/approve", openapi_extra=openapi.APPROVAL)
async def approve_opening(caller: Opener, request: Request) -> Response:
    """Approve that the content of one record is opened: it takes two people, in two roles."""
    try:
        wish = msgspec.json.decode(await _body(request, _STOP_BYTES), type=openapi.Approval)
    except msgspec.DecodeError as exc:
        raise FormatError(str(exc)) from exc
    event = approval(caller, wish, new_id(), time.time())
    place = await _parts(request).recording.recorder.append(event)
    return _answer(openapi.Approved({"index": place.index, "leaf": place.leaf}))


@router.post("/v1/content/visa", openapi_extra=openapi.VISA)
async def give_visa(caller: Eliminator, request: Request) -> Response:
    """Record the visa of a list of contents to eliminate."""
    try:
        wish = msgspec.json.decode(await _body(request, _STOP_BYTES), type=openapi.Visa)
    except msgspec.DecodeError as exc:
        raise FormatError(str(exc)) from exc
    event = visa(caller, wish, new_id())
    place = await _parts(request).recording.recorder.append(event)
    return _answer(openapi.Approved({"index": place.index, "leaf": place.leaf}))


async def _switch(request: Request, caller: Principal, kind: Kind) -> Response:
    try:
        wish = msgspec.json.decode(await _body(request, _STOP_BYTES), type=openapi.Stop)
    except msgspec.DecodeError as exc:
        raise FormatError(str(exc)) from exc
    recorder = _parts(request).recording.recorder
    reason = wish.reason[:_REASON_CHARACTERS]
    place = await recorder.append(fact(kind, caller.subject, new_id(), reason=reason))
    state = await recorder.status()
    receipt: dict[str, str | int] = {"index": place.index, "leaf": place.leaf}
    return _answer(openapi.Stopped(state.stopped, receipt))


def _parts(request: Request) -> Parts:
    return cast("Parts", request.state.parts)


async def _body(request: Request, limit: int) -> bytes:
    asked = Asked.of(request.scope, request.receive, _nowhere)
    return await asked.body(limit)


async def _nowhere(_: object) -> None:
    raise RuntimeError("FastAPI answers here")


def _answer(body: object) -> Response:
    return Response(msgspec.json.encode(body), HTTPStatus.OK, media_type="application/json")
