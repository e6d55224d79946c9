"""Models and health: what runs, what is missing, the stop switch."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from appliance.console.context import Visit, Visitor, utc_now
from appliance.console.gateway import GatewayError, Health
from appliance.console.language import mark
from appliance.console.menu import MODELS
from appliance.console.page import NO_CONTENT
from appliance.identity.policy import Model
from appliance.identity.principal import Scope, check_elevated

router = APIRouter(include_in_schema=False)
LOOKS = 60  # refreshes of one page: a forgotten one does not keep a session open
_STATES = {
    "ready": ("ok", "icon:circle-check", mark("en service")),
    "warming": ("info", "icon:loader-circle", mark("en préparation")),
    "away": ("bad", "icon:circle-x", mark("injoignable")),
    "absent": ("mute", "icon:circle-minus", mark("absent")),
    "unknown": ("mute", "icon:circle-help", mark("pas encore demandé")),
}
_PARTS = (
    ("gateway", mark("Passerelle")),
    ("recorder", mark("Journal signé")),
    ("database", mark("Base de données")),
    ("identity", mark("Identité")),
    ("vectors", mark("Vecteurs")),
)
_ENGINE = mark("Moteur")
_STOPPED = mark("L’arrêt est inscrit au journal ; toute génération est arrêtée.")
_APPROVED = mark("Votre accord est inscrit au journal.")
_RESTARTED = mark("Deux personnes l’ont approuvé : le service reprend.")
_USES = {"chat": mark("Réponses aux questions"), "embed": mark("Vecteurs des documents")}
_WRITES = (mark("rédige"), mark("cite mot pour mot, n’écrit rien"))


@dataclass(frozen=True, slots=True)
class Part:
    """A component and how it is."""

    name: str  # msgid
    detail: str
    kind: str
    icon: str
    state: str  # msgid


@dataclass(frozen=True, slots=True)
class Offered:
    """A model as the page shows it."""

    name: str
    use: str  # msgid
    max_label: int
    roles: list[str]
    writes: str  # msgid
    kind: str
    icon: str
    state: str  # msgid


@router.get("/modeles")
async def models_page(visit: Visitor) -> Response:
    """Show models and parts."""
    return await _page(visit)


@router.get("/modeles/sante")
async def health(visit: Visitor, fois: int = 1) -> Response:
    """Return the parts again, a bounded number of times."""
    visit.check(Scope.HEALTH, Scope.STOP, Scope.START_APPROVE)
    html = visit.part("parts/health.html", parts=parts_of(visit), look=fois, looks=LOOKS)
    return HTMLResponse(html)


@router.post("/modeles/arret")
async def stop(visit: Visitor, motif: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Stop all generation."""
    visit.check(Scope.STOP)
    return await _order(visit, "stop", motif)


@router.post("/modeles/reprise")
async def approve(visit: Visitor, motif: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Approve that the service starts again."""
    visit.check(Scope.START_APPROVE)
    check_elevated(visit.caller, utc_now().timestamp())
    return await _order(visit, "approve", motif)


async def _order(visit: Visit, verb: Literal["stop", "approve"], reason: str) -> Response:
    try:
        await visit.console.gateway.order(visit.session.access, verb, reason)
    except GatewayError as exc:
        return await _page(visit, problem=exc.problem, status=exc.problem.status)
    visit = await visit.afresh()
    stopped = (await visit.console.recorder.status()).stopped
    done = _STOPPED if verb == "stop" else _APPROVED if stopped else _RESTARTED
    return await _page(visit, message=done)


async def _page(visit: Visit, status: int = 200, **more: object) -> Response:
    visit.check(Scope.HEALTH, Scope.STOP, Scope.START_APPROVE)
    stopped = await visit.console.recorder.status()
    values: dict[str, Any] = {"message": "", "problem": None, **more}
    health = visit.console.watch.health
    offered = visit.console.policy.models.items()
    return visit.page(
        "models.html",
        visit.shell(0, NO_CONTENT, MODELS.href),
        status,
        parts=parts_of(visit),
        look=1,
        looks=LOOKS,
        models=[offered_as(name, model, health) for name, model in offered],
        stop=stopped,
        may_stop=Scope.STOP in visit.caller.scopes,
        may_approve=Scope.START_APPROVE in visit.caller.scopes,
        **values,
    )


def parts_of(visit: Visit) -> list[Part]:
    """Return the parts, as the gateway sees them."""
    health = visit.console.watch.health
    log = "ready" if visit.state.recorder else "away"
    known = {
        "gateway": "ready" if health else "away",
        "recorder": log,
        "database": health.database if health else "unknown",
        "identity": health.identity if health else "unknown",
        "vectors": health.vectors if health else "unknown",
    }
    parts = [_part(name, known[key], "") for key, name in _PARTS]
    engines = health.engines if health else {}
    return parts + [_part(_ENGINE, state, name) for name, state in engines.items()]


def _part(name: str, state: str, detail: str) -> Part:
    return Part(name, detail, *_STATES.get(state, _STATES["unknown"]))


def offered_as(name: str, model: Model, health: Health | None) -> Offered:
    """Return a model of the policy with its state."""
    state = health.vectors if health and model.kind == "embed" else "unknown"
    if health and model.kind == "chat":
        state = health.engines.get(name, "absent")
    return Offered(
        name,
        _USES[model.kind],
        model.max_label,
        model.roles,
        "" if model.kind == "embed" else _WRITES[model.extractive],
        *_STATES.get(state, _STATES["unknown"]),
    )
