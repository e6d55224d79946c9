"""Step 2 of a request: what its caller may do, and what it may cost. Pure."""

import base64
import hmac
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from appliance.errors import ApplianceError
from appliance.gateway.chat import ChatRequest
from appliance.gateway.grounded import INSTRUCTIONS
from appliance.identity.policy import Model, Policy
from appliance.identity.principal import Principal, Scope, check_scope
from appliance.rag.retrieve import UnknownCollectionError

_PROMPT_BYTES = len(INSTRUCTIONS.encode()) + 2


class LimitError(ApplianceError):
    """A value is beyond the limits of the site."""

    code = "CM-DRT-11"


class ModelError(ApplianceError):
    """No such model, or none that the caller may use: the answer does not tell."""

    code = "CM-DRT-12"

    def __init__(self) -> None:
        super().__init__("no such model for you")


class UngroundedError(ApplianceError):
    """The site lets no model answer without documents."""

    code = "CM-DRT-13"


class LengthError(ApplianceError):
    """The request is longer than the site allows."""

    code = "CM-NET-02"


class Terms(msgspec.Struct, frozen=True):
    """What one request was granted."""

    model: str
    max_tokens: int
    temperature: float
    collections: tuple[str, ...]
    ceiling: int  # highest label that passages may have
    label: int  # of the request: the ceiling, or 0 where nothing is read
    team: str
    reserve: dict[str, int]  # budget to tokens, the worst case


def allowed(policy: Policy, caller: Principal, kind: str) -> dict[str, Model]:
    """Return the models of a kind that the caller may use."""
    return {
        name: model
        for name, model in policy.models.items()
        if model.kind == kind and _may(caller, name, model)
    }


def decide(policy: Policy, caller: Principal, request: ChatRequest, size: int) -> Terms:
    """Grant a chat.

    Args:
        policy: Of the site.
        caller: Who asks.
        request: What they ask.
        size: Of the body, in bytes; the text of the messages is not longer.

    Raises:
        ForbiddenError: The scope is missing.
        ModelError: The model is not theirs.
        LimitError: Temperature or length of the answer.
        TeamChoiceError: They have to name a team.
        UnknownCollectionError: The key does not open a collection.
        UngroundedError: No collection is named, and one is needed.
    """
    check_scope(caller, Scope.CHAT)
    model = _model(policy, caller, request.model, "chat")
    max_tokens, temperature = _bounded(policy, request)
    asked = request.casemate
    team = caller.team(asked.team if asked else "")
    collections = _collections(caller, asked.collections if asked else ())
    if not (collections or policy.ungrounded):
        raise UngroundedError("name a collection: no model answers without documents here")
    worst = size + max_tokens
    if collections:
        limits = policy.limits
        worst += limits.passages * limits.passage_bytes + _PROMPT_BYTES
    ceiling = min(caller.reads_up_to, model.max_label)
    return Terms(
        request.model, max_tokens, temperature, collections, ceiling,
        ceiling if collections else 0, team, dict.fromkeys(budgets(caller, team), worst),
    )  # fmt: skip


def decide_embedding(policy: Policy, caller: Principal, model: str, size: int) -> Terms:
    """Grant the embedding of texts of `size` bytes. Raises as `decide` does."""
    check_scope(caller, Scope.EMBED)
    _model(policy, caller, model, "embed")
    team = "" if len(caller.teams) > 1 else caller.team()  # who has several pays alone
    reserve = dict.fromkeys(budgets(caller, team), size)
    return Terms(model, 0, 0, (), caller.reads_up_to, 0, team, reserve)


def check_length(text: str, longest: int) -> None:
    """Let a text pass of at most `longest` bytes.

    Raises:
        LengthError: It is longer.
    """
    if len(text) > longest or (not text.isascii() and len(text.encode()) > longest):
        raise LengthError(f"the text is longer than {longest} bytes")


def budgets(caller: Principal, team: str) -> list[str]:
    """Return the budgets that pay."""
    keys = ["site", f"user:{caller.account}"]
    if team:
        keys.append(f"team:{team}")
    if caller.key:
        keys.append(f"key:{caller.key.id}")
    return keys


def salt(site_key: bytes, terms: Terms) -> str:
    """Return the engine's `cache_salt`: no cache timing across teams, labels, collections."""
    return _salt(site_key, terms.label, terms.collections, terms.team)


@lru_cache(maxsize=1_024)
def _salt(site_key: bytes, label: int, collections: tuple[str, ...], team: str) -> str:
    parts = (str(label), *sorted(collections), team)
    text = b"".join(len(p.encode()).to_bytes(4, "big") + p.encode() for p in parts)
    digest = hmac.digest(site_key, b"casemate/cache-salt/v1" + text, "sha256")
    return base64.urlsafe_b64encode(digest).decode()


def _may(caller: Principal, name: str, model: Model) -> bool:
    if model.roles and caller.roles.isdisjoint(model.roles):
        return False
    return not (caller.key and caller.key.models and name not in caller.key.models)


def _model(policy: Policy, caller: Principal, name: str, kind: str) -> Model:
    model = policy.models.get(name)
    if model is None or model.kind != kind or not _may(caller, name, model):
        raise ModelError
    return model


def _bounded(policy: Policy, request: ChatRequest) -> tuple[int, float]:
    limits = policy.limits
    asked = request.max_tokens or request.max_completion_tokens
    max_tokens = asked or limits.max_tokens_default
    if max_tokens > limits.max_tokens:
        raise LimitError(f"max_tokens is at most {limits.max_tokens}")
    temperature = request.temperature
    if temperature is None:
        temperature = limits.temperature_default
    if temperature > limits.temperature:
        raise LimitError(f"temperature is at most {limits.temperature}")
    return max_tokens, temperature


def _collections(caller: Principal, asked: Sequence[str]) -> tuple[str, ...]:
    """Return what to search. Outside the key is as if it did not exist."""
    own = caller.key.collections if caller.key else ()
    if not asked:
        return own
    if own and not set(asked) <= set(own):
        raise UnknownCollectionError
    return tuple(dict.fromkeys(asked))


def spent(reserve: Mapping[str, int], tokens: int) -> dict[str, int]:
    """Return what a request spends of its reservation: what was used, never more."""
    return {budget: min(tokens, worst) for budget, worst in reserve.items()}
