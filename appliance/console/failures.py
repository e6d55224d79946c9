"""Failures as pages: where nobody is signed in, an invitation; elsewhere what happened.

For htmx the answer is a fragment, or an order to go and sign in. A defect shows a code and
nothing of itself.
"""

import logging
from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import TemplateError
from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from appliance.console.context import anonymous_shell, code_of, console_of, visit_of
from appliance.console.gateway import GatewayError
from appliance.console.problem import Problem, explain, of_error
from appliance.errors import ApplianceError
from appliance.identity.principal import StepUpError, UnauthenticatedError

log = logging.getLogger(__name__)

_REOPENED = frozenset({"question", "documents", "cles", "modeles", "contenus"})


async def on_expected(request: Request, exc: Exception) -> Response:
    """Answer an expected failure."""
    assert isinstance(exc, ApplianceError)
    if isinstance(exc, UnauthenticatedError):
        if _asking(request):
            return await _page(request, of_error(exc), known=False)
        return sign_in_first(request)
    if isinstance(exc, StepUpError):
        return sign_in_first(request, confirm=True)
    problem = exc.problem if isinstance(exc, GatewayError) else of_error(exc)
    return await _page(request, problem)


async def on_database(request: Request, exc: Exception) -> Response:
    """Answer when PostgreSQL is away: nobody's rights are known."""
    log.warning("database away", extra={"reason": type(exc).__name__})
    return await _page(request, explain("CM-IDE-03"), known=False)


async def on_http(request: Request, exc: Exception) -> Response:
    """Answer what the framework refuses: no such page, wrong method."""
    assert isinstance(exc, HTTPException)
    missing = exc.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
    code = "CM-DOC-01" if missing else "CM-NET-01"
    return await _page(request, explain(code, status=404 if missing else exc.status_code))


async def on_form(request: Request, exc: Exception) -> Response:
    """Answer a form or an address that is not in the expected form."""
    assert isinstance(exc, RequestValidationError)
    in_path = any(error["loc"][0] == "path" for error in exc.errors())
    return await _page(request, explain("CM-DOC-01" if in_path else "CM-NET-01"))


async def on_defect(request: Request, exc: Exception) -> Response:
    """Answer a defect. Nothing of it leaves."""
    log.error("defect", exc_info=exc)
    return await _page(request, explain("CM-NET-00"), known=not isinstance(exc, TemplateError))


def sign_in_first(request: Request, *, confirm: bool = False) -> Response:
    """Send the person to sign in, or to confirm with a code, and back to where they were."""
    back = request.url.path if request.method == "GET" else _origin_page(request)
    address = f"/connexion?retour={quote(back)}&langue={code_of(request)}"
    address += "&confirmer=1" if confirm else ""
    if request.headers.get("hx-request") == "true":
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": address})
    if request.url.path == "/" and not confirm:
        return welcome(request, address)
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})


def _asking(request: Request) -> bool:
    """Say whether a browser without JavaScript sent a question: its text is given back."""
    sent = (request.method, request.url.path) == ("POST", "/question")
    return sent and request.headers.get("hx-request") != "true"


def _origin_page(request: Request) -> str:
    """Return a page that can be opened again, for a form whose answer has no address."""
    first = request.url.path.split("/")[1]
    return f"/{first}" if first in _REOPENED else "/"


def welcome(request: Request, address: str) -> Response:
    """Invite to sign in."""
    renderer = console_of(request).renderer
    values = {"shell": anonymous_shell(request), "href": address, "message": None}
    return HTMLResponse(renderer.page("welcome.html", code_of(request), **values))


async def _page(request: Request, problem: Problem, *, known: bool = True) -> Response:
    """Return the page of a problem, inside the shell when the person is known."""
    console, code = console_of(request), code_of(request)
    if request.headers.get("hx-request") == "true":
        shell = anonymous_shell(request)
        html = console.renderer.part("parts/alert.html", code, shell=shell, problem=problem)
        return HTMLResponse(
            html, problem.status, {"HX-Retarget": ".toasts", "HX-Reswap": "beforeend"}
        )
    try:
        visit = await visit_of(request) if known and request.method == "GET" else None
    except (ApplianceError, DatabaseError, PoolTimeout):
        visit = None
    if visit is not None:
        return visit.page("error.html", visit.shell(), problem.status, problem=problem)
    draft = (await request.form()).get("q", "") if _asking(request) else ""
    values = {"shell": anonymous_shell(request), "problem": problem, "draft": draft}
    html = console.renderer.page("error_alone.html", code, **values)
    return HTMLResponse(html, problem.status)
