"""The OpenAPI document's parts, from the same types that read the bodies. Pure."""

from typing import Annotated, Any

import msgspec

from appliance.gateway.chat import ChatRequest
from appliance.gateway.embedding import EmbeddingRequest
from appliance.gateway.health import Health

_TEMPLATE = "#/components/schemas/{name}"
_REFUSALS = {
    "400": "The body is not in the form",
    "401": "No valid credential",
    "402": "A budget would be passed",
    "403": "Not permitted: scope, model, limit, team or filter",
    "404": "No such collection for the caller",
    "409": "It contradicts the state of the service",
    "413": "Too long",
    "429": "All places are taken",
    "502": "The engine's answer cannot be read",
    "503": "Log, identity, documents or engine away, or the service is stopped",
}


class Stop(msgspec.Struct, forbid_unknown_fields=True):
    """Body of /v1/service/stop and /v1/service/approve."""

    reason: str = ""


class Approval(msgspec.Struct, forbid_unknown_fields=True):
    """Body of /v1/content/approve."""

    record: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]  # terminal record of the request
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Visa(msgspec.Struct, forbid_unknown_fields=True):
    """Body of /v1/content/visa: a list of contents to eliminate, and the visa that it got."""

    list: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    first: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    end: Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
    count: Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
    sha256: Annotated[str, msgspec.Meta(min_length=64, max_length=64)]
    reference: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class Approved(msgspec.Struct):
    """The record of an approval."""

    receipt: dict[str, str | int]


class Stopped(msgspec.Struct):
    """Whether all generation is stopped, and the record of the act."""

    stopped: bool
    receipt: dict[str, str | int]


class ModelCard(msgspec.Struct):
    """A model as OpenAI's clients list it."""

    id: str
    kind: str  # chat or embed
    object: str = "model"
    owned_by: str = "casemate"
    created: int = 0


class ModelList(msgspec.Struct):
    """The models that the caller may use."""

    data: list[ModelCard]
    object: str = "list"


class ErrorDetail(msgspec.Struct):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(msgspec.Struct):
    """An error, as OpenAI's clients read it."""

    error: ErrorDetail


def _ref(struct: type) -> dict[str, Any]:
    return {"$ref": _TEMPLATE.format(name=struct.__name__)}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def operation(body: type | None, result: dict[str, Any], *codes: str) -> dict[str, Any]:
    """Return what FastAPI's document has to say of an operation.

    Args:
        body: Type of its body, if it has one.
        result: Content of its answer 200.
        codes: Statuses of refusals.
    """
    responses: dict[str, Any] = {"200": {"description": "Done", "content": result}}
    for code in codes:
        responses[code] = {"description": _REFUSALS[code], "content": _json(_ref(ErrorBody))}
    found: dict[str, Any] = {"responses": responses, "security": [{"bearer": []}]}
    if body is not None:
        found["requestBody"] = {"required": True, "content": _json(_ref(body))}
    return found


_MODEL_REFUSALS = [code for code in _REFUSALS if code != "409"]
CHAT = operation(
    ChatRequest, {**_json({"type": "object"}), "text/event-stream": {}}, *_MODEL_REFUSALS
)
EMBEDDINGS = operation(EmbeddingRequest, _json({"type": "object"}), *_MODEL_REFUSALS)
MODELS = operation(None, _json(_ref(ModelList)), "401", "403", "503")
HEALTH = {"responses": {"200": {"description": "Health", "content": _json(_ref(Health))}}}
SERVICE = operation(Stop, _json(_ref(Stopped)), "400", "401", "403", "409", "413", "503")
VISA = operation(Visa, _json(_ref(Approved)), "400", "401", "403", "413", "503")
APPROVAL = operation(Approval, _json(_ref(Approved)), "400", "401", "403", "413", "503")


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add the types and the security scheme to FastAPI's document."""
    types = [ChatRequest, EmbeddingRequest, Health, Stop, Stopped, ModelList, ErrorBody]
    types += [Approval, Approved, Visa]
    _, schemas = msgspec.json.schema_components(types, ref_template=_TEMPLATE)
    components = document.setdefault("components", {})
    components["schemas"] = schemas
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path in document["paths"].values():
        for found in path.values():
            found["responses"].pop("422", None)  # FastAPI's own, which we never send
    return document
