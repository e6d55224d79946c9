"""The pages put together: routers, static files, headers that every answer carries."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.console import failures
from appliance.console.assets import STATIC
from appliance.console.pages import (
    anchors,
    contents,
    documents,
    eliminations,
    exports,
    journal,
    keys,
    models,
    question,
    receipt,
    record,
    sample,
    session,
    visit,
)
from appliance.errors import ApplianceError
from appliance.identity.routes import login as sign_in
from appliance.identity.routes import router as key_api

CSP = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
FORM_BYTES = 1 << 20
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]
_FOREVER = "public, max-age=31536000, immutable"
PAGES = (
    session, question, documents, keys, models, journal, sample, exports, record, anchors,
    contents, eliminations, receipt, visit,
)  # fmt: skip


def assemble(lifespan: Lifespan) -> "Guarded":
    """Return the console: identity's routes, the pages, static files, failures, headers."""
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(sign_in)
    app.include_router(key_api)
    for module in PAGES:
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(ApplianceError, failures.on_expected)
    app.add_exception_handler(DatabaseError, failures.on_database)
    app.add_exception_handler(PoolTimeout, failures.on_database)
    app.add_exception_handler(HTTPException, failures.on_http)
    app.add_exception_handler(RequestValidationError, failures.on_form)
    app.add_exception_handler(Exception, failures.on_defect)
    return Guarded(app)


def too_long(scope: Scope) -> bool:
    """Say whether a form is longer than any of ours: only deposits are long, and stream."""
    if scope["method"] != "POST" or scope["path"].startswith("/documents/"):
        return False
    length = Headers(scope=scope).get("content-length", "")
    return not length.isdecimal() or int(length) > FORM_BYTES


class Guarded:
    """The application with its headers on every answer: policy of content, what may be kept."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if too_long(scope):
            await Response(status_code=413)(scope, receive, send)
            return
        static = scope["path"].startswith("/static/") and b"v=" in scope["query_string"]

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", _FOREVER if static else "no-store")
                headers.setdefault("Vary", "HX-Request, Cookie, Accept-Language")
            await send(message)

        await self._app(scope, receive, sent)
