"""Landing page, language, staying signed in; sign-in and sign-out themselves are identity's."""

from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from appliance.console.context import Visitor
from appliance.console.language import CODES
from appliance.console.menu import landing
from appliance.identity.login import safe_path

router = APIRouter(include_in_schema=False)
_YEAR = 365 * 24 * 3600  # seconds


@router.get("/")
async def home(visit: Visitor) -> Response:
    """Go to the page of the person's trade."""
    return RedirectResponse(landing(visit.caller), HTTPStatus.SEE_OTHER)


@router.get("/langue/{code}")
async def choose_language(request: Request, code: str) -> Response:
    """Keep the language that was chosen, and go back."""
    referer = urlsplit(request.headers.get("referer", ""))
    own = referer.netloc == request.headers.get("host")
    response = RedirectResponse(safe_path(referer.path) if own else "/", HTTPStatus.SEE_OTHER)
    if code in CODES:
        response.set_cookie("langue", code, max_age=_YEAR, samesite="strict", path="/")
    return response


@router.post("/session/prolonger")
async def stay(visit: Visitor) -> Response:
    """Stay signed in: finding the session renewed it."""
    if visit.htmx:
        return HTMLResponse(visit.part("parts/stay.html"))
    return RedirectResponse("/", HTTPStatus.SEE_OTHER)


@router.get("/etat")
async def state(visit: Visitor, fois: int = 0) -> Response:
    """Return what is not as usual, while a page waits for it to pass, ten minutes at most."""
    return HTMLResponse(visit.part("parts/state.html", searching=True, look=fois))
