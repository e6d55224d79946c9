"""The outermost application: the hot path goes straight, the rest to FastAPI.

Errors are OpenAI-shaped, also for what no route answers and for defects.
"""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from appliance.audit.client import RecorderError
from appliance.errors import ApplianceError, FormatError
from appliance.gateway import wire
from appliance.gateway.hot import Hot
from appliance.gateway.recording import Recording
from appliance.gateway.server import HOT_PATH
from appliance.identity.access import client_address

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_NOT_FOUND, _NOT_ALLOWED = 404, 405


class UnknownPathError(ApplianceError):
    """No route answers here."""

    code = "CM-NET-03"


class MethodError(ApplianceError):
    """A route answers here, not to this method."""

    code = "CM-NET-04"


class Dispatcher:
    """What uvicorn runs."""

    def __init__(self, application: FastAPI) -> None:
        self._application = application
        application.add_exception_handler(ApplianceError, answer_error)
        application.add_exception_handler(HTTPException, answer_http_error)
        application.add_exception_handler(Exception, answer_defect)
        self.hot: Hot | None = None  # once the worker has started

    def __call__(self, scope: Message, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve."""
        if (
            self.hot is not None
            and scope["type"] == "http"
            and scope["path"] == HOT_PATH
            and scope["method"] == "POST"
        ):
            return self.hot(scope, receive, send)
        return self._application(scope, receive, send)


async def answer_error(request: Request, exc: Exception) -> Response:
    """Turn a domain error into a response, and record it."""
    assert isinstance(exc, ApplianceError)
    recording = cast("Recording", request.state.recording)
    caller = getattr(request.state, "caller", None)
    if caller is None:
        recording.refusals.unknown(client_address(request), exc.code)
    elif not isinstance(exc, RecorderError):
        recording.refused(caller.subject, exc.code, request.url.path.rpartition("/")[2])
    return _response(request, exc)


async def answer_http_error(request: Request, exc: Exception) -> Response:
    """Turn what the router refuses into a response."""
    assert isinstance(exc, HTTPException)
    errors: dict[int, ApplianceError] = {
        _NOT_FOUND: UnknownPathError("no such path"),
        _NOT_ALLOWED: MethodError("method not allowed"),
    }
    error = errors.get(exc.status_code, FormatError(str(exc.detail)))
    response = _response(request, error)
    response.headers.update(exc.headers or {})
    return response


async def answer_defect(request: Request, exc: Exception) -> Response:
    """Answer for a defect of ours; the log of the process has the rest."""
    log.error("defect", exc_info=exc)
    return _response(request, ApplianceError("internal error"))


def _response(request: Request, exc: ApplianceError) -> Response:
    language = request.headers.get("accept-language", "").encode("latin-1")
    refusal = wire.refusal(exc, english=wire.is_english(language))
    response = Response(refusal.body, refusal.status)
    response.raw_headers = refusal.headers
    return response
