"""The person's application keys: issued, shown once, revoked."""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from appliance.console.context import Visit, Visitor, utc_now
from appliance.console.menu import KEYS
from appliance.console.page import NO_CONTENT
from appliance.console.problem import of_error
from appliance.errors import ApplianceError
from appliance.identity.keys import GRANTABLE
from appliance.identity.principal import Scope
from appliance.identity.routes import KeyIn, Keys
from appliance.rag.documents import visible_collections

router = APIRouter(include_in_schema=False)
DURATIONS = (30, 90, 180, 365)  # days
OwnKeys = Annotated[Keys, Depends()]


class Terms:
    """The form of a key."""

    def __init__(
        self,
        nom: Annotated[str, Form(max_length=100)] = "",
        jours: Annotated[int, Form()] = DURATIONS[1],
        marquage: Annotated[int, Form(ge=0, le=9)] = 0,
        collection: Annotated[list[str], Form(max_length=50)] = [],  # noqa: B006 - FastAPI copies
    ) -> None:
        self.nom, self.marquage, self.collections = nom.strip(), marquage, collection
        self.jours = jours if jours in DURATIONS else DURATIONS[0]

    def wish(self, visit: Visit) -> KeyIn:
        """Return the same in the words of identity.

        Raises:
            ValidationError: No name.
        """
        return KeyIn(
            name=self.nom,
            scopes=GRANTABLE & visit.caller.scopes,
            expires_at=utc_now() + timedelta(days=self.jours),
            collections=self.collections,
            max_label=self.marquage,
        )


@router.get("/cles")
async def keys_page(visit: Visitor, own: OwnKeys) -> Response:
    """List the person's keys."""
    visit.check(Scope.KEYS_OWN)
    return await _page(visit, own, Terms())


@router.post("/cles")
async def issue(visit: Visitor, own: OwnKeys, form: Annotated[Terms, Depends()]) -> Response:
    """Issue a key and show it, this once."""
    visit.check(Scope.KEYS_OWN)
    try:
        issued = await own.issue(visit.caller, form.wish(visit))
    except ApplianceError as exc:
        return await _page(visit, own, form, problem=of_error(exc))
    except ValidationError:
        return RedirectResponse(KEYS.href, HTTPStatus.SEE_OTHER)
    created = {"name": issued.key.name, "secret": issued.secret}
    response = await _page(visit, own, Terms(), created=created)
    response.headers["Cache-Control"] = "no-store"
    return response


@router.post("/cles/{key}/revoquer")
async def revoke(visit: Visitor, own: OwnKeys, key: UUID) -> Response:
    """Revoke a key, at once and for good."""
    visit.check(Scope.KEYS_OWN)
    await own.revoke(visit.caller, key)
    return RedirectResponse(KEYS.href, HTTPStatus.SEE_OTHER)


async def _page(visit: Visit, own: Keys, form: Terms, **more: object) -> Response:
    keys = await own.all(visit.caller)
    async with visit.transaction() as conn:
        collections = await visible_collections(conn)
    values: dict[str, Any] = {"created": None, "problem": None, **more}
    ranks = range(min(visit.caller.clearance, len(visit.console.policy.labels) - 1) + 1)
    shell = visit.shell(0, NO_CONTENT, KEYS.href)
    return visit.page(
        "keys.html",
        shell,
        keys=list(reversed(keys)),
        collections=collections,
        durations=DURATIONS,
        ranks=ranks,
        form=form,
        **values,
    )
