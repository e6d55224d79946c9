"""The log in the words of OCSF 1.8.0, for a site's security monitoring.

A derived form (notes of the log, 8.3): never evidence. Each line carries the index and the hash
of its leaf, so that it can be tied back. Names of ours are frozen, those of OCSF move: what was
said with which table is `mapping_version` in each line. A line has 4 000 bytes at most, since
common collectors cut longer ones; what does not fit is left out and says so (`is_truncated`).

Spec: https://schema.ocsf.io/1.8.0/ (classes 3001, 3002, 3004, 3005, 6002, 6003, 6005, 6008).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from appliance.audit.event import Event, Intent, Leaf, encode, event_type

MAPPING_VERSION: Final = 1  # raised with each change of `MAPPING` or of a shape below
SCHEMA_VERSION: Final = "1.8.0"
LINE_BYTES_MAX: Final = 4_000

Json = dict[str, Any]
SUCCESS, FAILURE, OTHER_STATUS = 1, 2, 99  # status_id
INFORMATIONAL, LOW, MEDIUM, HIGH = 1, 2, 3, 4  # severity_id
OTHER: Final = 99  # activity_id
DENIED: Final = 2  # action_id of the profile security_control

ACCOUNT, AUTHENTICATION, ENTITY, ACCESS = 3001, 3002, 3004, 3005
LIFECYCLE, API, DATASTORE, ERROR = 6002, 6003, 6005, 6008

REQUIRED: Mapping[int, tuple[str, ...]] = {
    ACCOUNT: ("user",),
    AUTHENTICATION: ("user", "service"),  # of service and dst_endpoint at least one
    ENTITY: ("entity",),
    ACCESS: ("privileges", "user"),
    LIFECYCLE: ("app",),
    API: ("actor", "api", "src_endpoint"),
    DATASTORE: ("actor", "src_endpoint", "databucket"),  # or database, or table
    ERROR: (),
}
"""What a class demands beside `REQUIRED_OF_ALL`."""

REQUIRED_OF_ALL = (
    "activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid",
)  # fmt: skip

_MODEL_CALL = "casemate.llm."
_ELSEWHERE = {"actor", "id", "request", "type"}


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a type is in OCSF."""

    class_uid: int
    activity_id: int
    status_id: int = SUCCESS
    severity_id: int = INFORMATIONAL
    denied: bool = False  # the profile security_control says who refused
    by_action: Mapping[str, int] | None = None  # value of `action` -> activity


_ACCOUNT_ACTIONS = {
    "create": 1, "enable": 2, "password": 3, "reset": 4, "disable": 5, "delete": 6,
    "lock": 9, "enrol": 10, "unenrol": 11, "unlock": 12,
}  # fmt: skip
_ENTITY_ACTIONS = {"create": 1, "update": 3, "delete": 4, "enable": 8, "disable": 9}
_ACCESS_ACTIONS = {"create": 1, "grant": 1, "delete": 2, "revoke": 2}
_LOGON, _LOGOFF, _SWITCH = 1, 2, 7

MAPPING: Mapping[str, Mapped] = {
    f"casemate.{name}.v1": mapped
    for name, mapped in {
        "admin.access": Mapped(AUTHENTICATION, _LOGON, by_action={"sudo": _SWITCH}),
        "admin.role": Mapped(ACCESS, 1, by_action=_ACCESS_ACTIONS),
        "admin.user": Mapped(ACCOUNT, OTHER, by_action=_ACCOUNT_ACTIONS),
        "audit.anchor": Mapped(ENTITY, 1),
        "audit.degraded": Mapped(ERROR, 1, FAILURE, HIGH),
        "audit.epoch": Mapped(ENTITY, 1, severity_id=HIGH),
        "audit.export": Mapped(DATASTORE, 1),
        "audit.heartbeat": Mapped(LIFECYCLE, OTHER),
        "audit.loss": Mapped(ERROR, 1, FAILURE, HIGH),
        "audit.prune": Mapped(DATASTORE, 7),
        "audit.read": Mapped(DATASTORE, 1),
        "audit.search": Mapped(DATASTORE, 4),
        "audit.start": Mapped(LIFECYCLE, 3),
        "audit.stop": Mapped(LIFECYCLE, 4),
        "auth.denied": Mapped(AUTHENTICATION, _LOGON, FAILURE, LOW, denied=True),
        "auth.login": Mapped(AUTHENTICATION, _LOGON, by_action={"sudo": _SWITCH}),
        "auth.logout": Mapped(AUTHENTICATION, _LOGOFF),
        "authz.denied": Mapped(API, OTHER, FAILURE, LOW, denied=True),
        "budget.change": Mapped(ENTITY, 3),
        "clock.step": Mapped(LIFECYCLE, OTHER, severity_id=MEDIUM),
        "config.change": Mapped(ENTITY, 3, by_action=_ENTITY_ACTIONS),
        "content.approve": Mapped(API, 1),
        "content.erase": Mapped(DATASTORE, 7),
        "content.erased": Mapped(DATASTORE, 7),
        "content.read": Mapped(DATASTORE, 10, severity_id=LOW),
        "evidence.observe": Mapped(API, 1),
        "gate.decide": Mapped(API, 1),
        "human.flag": Mapped(API, 1, severity_id=MEDIUM),
        "human.review": Mapped(API, 1),
        "install.phase": Mapped(LIFECYCLE, 1),
        "key.issue": Mapped(ENTITY, 1),
        "key.revoke": Mapped(ENTITY, 4),
        "key.rotate": Mapped(ENTITY, 3, severity_id=MEDIUM),
        "llm.completion": Mapped(API, OTHER),
        "llm.error": Mapped(API, OTHER, FAILURE, LOW),
        "llm.interrupted": Mapped(API, OTHER, FAILURE),
        "llm.refused": Mapped(API, OTHER, FAILURE, LOW, denied=True),
        "llm.request": Mapped(API, 1, OTHER_STATUS),  # its end says how it went
        "model.load": Mapped(LIFECYCLE, 3),
        "policy.change": Mapped(ENTITY, 3),
        "rag.collection": Mapped(DATASTORE, 6, by_action={"update": 2, "delete": 7}),
        "rag.delete": Mapped(DATASTORE, 7),
        "rag.ingest": Mapped(DATASTORE, 5),
        "rag.open": Mapped(DATASTORE, 1),
        "rag.retrieve": Mapped(DATASTORE, 4),
        "service.approve": Mapped(LIFECYCLE, 6, severity_id=LOW),
        "service.boot": Mapped(LIFECYCLE, 3),
        "service.degraded": Mapped(ERROR, 1, FAILURE, MEDIUM),
        "service.restored": Mapped(LIFECYCLE, 6),
        "service.stop": Mapped(LIFECYCLE, 4, severity_id=MEDIUM),
        "tool.call": Mapped(API, 1, OTHER_STATUS),
        "tool.result": Mapped(API, OTHER),
    }.items()
}
"""Every type of the log; a test holds it against `event.TYPES`."""


def flat(event: Event) -> Json:
    """Return the fields of an event by one name each, without those that OCSF has places for.

    The fields of a fact's `data` stand beside the others; those of an amount are named
    `spend.site`; the rules of a guard are one text.
    """
    fields: Json = msgspec.to_builtins(event)
    data: Json = fields.pop("data", {})
    found: Json = {}
    for name, value in {**fields, **data}.items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}": amount for key, amount in value.items()}
        elif isinstance(value, list):
            found[name] = " ".join(value)
        elif name not in _ELSEWHERE and value is not None:
            found[name] = value
    return found


def to_ocsf(leaf: Leaf, origin: str, digest: str) -> Json:
    """Return a leaf as an OCSF event.

    Args:
        leaf: As it was parsed from its canonical bytes.
        origin: Of the log.
        digest: Hash of the leaf, base64, by which the line is tied to the log.
    """
    kind = event_type(leaf.event)
    mapped, said = MAPPING[kind], flat(leaf.event)
    activity = (mapped.by_action or {}).get(str(said.get("action")), mapped.activity_id)
    made: Json = {
        "activity_id": activity,
        "category_uid": mapped.class_uid // 1000,
        "class_uid": mapped.class_uid,
        "message": kind,
        "metadata": _metadata(leaf, kind, origin),
        "severity_id": mapped.severity_id,
        "status_id": mapped.status_id,
        "time": leaf.at // 1000,  # milliseconds
        "type_uid": mapped.class_uid * 100 + activity,
        "unmapped": {
            "leaf": digest, "mapping_version": MAPPING_VERSION, "uid": leaf.uid, **said,
        },
    }  # fmt: skip
    for name in REQUIRED[mapped.class_uid]:
        made[name] = _SHAPES[name](said, kind, leaf)
    profiles: list[str] = []
    if mapped.denied:
        made["action_id"] = DENIED
        profiles.append("security_control")
    if kind.startswith(_MODEL_CALL):
        made |= _intelligence(leaf, said)
        profiles.append("ai_operation")
    if profiles:
        made["metadata"]["profiles"] = profiles
    if code := said.get("reason"):
        made["status_code"] = code
    return made


def line(leaf: Leaf, origin: str, digest: str) -> bytes:
    """Return `to_ocsf` as one line of JSON Lines, of `LINE_BYTES_MAX` with its final newline.

    Where it is longer, fields of our own are left out, the longest first.
    """
    made = to_ocsf(leaf, origin, digest)
    text = _text(made)
    whole = len(text)
    kept: Json = made["unmapped"]
    while len(text) > LINE_BYTES_MAX:
        free = sorted(kept.keys() - {"leaf", "mapping_version", "uid"})
        del kept[max(free, key=lambda name: len(_text(kept[name])))]
        made["metadata"] |= {"is_truncated": True, "untruncated_size": whole}
        text = _text(made)
    return text


def _text(value: Any) -> bytes:
    return encode(value) + b"\n"


def _metadata(leaf: Leaf, kind: str, origin: str) -> Json:
    made: Json = {
        "event_code": kind,
        "log_name": origin,
        "product": {"name": "Casemate", "vendor_name": "Casemate"},
        "sequence": leaf.index,
        "uid": leaf.event.id,
        "version": SCHEMA_VERSION,
    }
    if request := getattr(leaf.event, "request", None):
        made["correlation_uid"] = request
    return made


def _intelligence(leaf: Leaf, said: Json) -> Json:
    context: Json = {"service": {"name": "casemate"}}
    if isinstance(leaf.event, Intent):
        context["ai_role_id"] = 1  # a person, or an application, asks
        model: Json = {"ai_provider": "local", "name": leaf.event.model}
        return {"ai_model": model, "message_context": context}
    asked, answered = said["prompt_tokens"], said["completion_tokens"]
    context |= {
        "ai_role_id": 2, "completion_tokens": answered, "prompt_tokens": asked,
        "total_tokens": asked + answered,
    }  # fmt: skip
    return {"message_context": context}


def _actor(said: Json, kind: str, leaf: Leaf) -> Json:  # noqa: ARG001 - one shape of `_SHAPES`
    return {"user": {"uid": leaf.event.actor or "-"}}


def _user(said: Json, kind: str, leaf: Leaf) -> Json:  # noqa: ARG001
    return {"uid": str(said.get("user") or leaf.event.actor or "-")}


def _source(said: Json, kind: str, leaf: Leaf) -> Json:  # noqa: ARG001
    """Name where it came from: the address when it is known, else the process of ours."""
    if address := said.get("ip") or said.get("from"):
        return {"ip": str(address)}
    return {"uid": f"uid:{leaf.uid}"}


def _api(said: Json, kind: str, leaf: Leaf) -> Json:
    made: Json = {"operation": kind, "service": {"name": "casemate"}}
    if request := getattr(leaf.event, "request", None):
        made["request"] = {"uid": request}
    if "status" in said:
        made["response"] = {"code": said["status"]}
    return made


def _named(said: Json, kind: str) -> str:
    """Return what an event is about, by the fields that name it."""
    for field in ("name", "budget", "collection", "key", "document", "resource", "digest"):
        if found := said.get(field):
            return str(found)
    return kind


def _entity(said: Json, kind: str, leaf: Leaf) -> Json:  # noqa: ARG001
    return {"name": _named(said, kind), "type": kind.split(".")[1], "type_id": OTHER}


def _bucket(said: Json, kind: str, leaf: Leaf) -> Json:  # noqa: ARG001
    return {"name": _named(said, kind), "type": kind.split(".")[1], "type_id": OTHER}


def _privileges(said: Json, kind: str, leaf: Leaf) -> list[str]:  # noqa: ARG001
    return [str(said.get("role") or said.get("resource") or "-")]


def _service(said: Json, kind: str, leaf: Leaf) -> Json:  # noqa: ARG001
    return {"name": str(said.get("service") or said.get("client") or "casemate")}


def _app(said: Json, kind: str, leaf: Leaf) -> Json:  # noqa: ARG001
    name = str(said.get("part") or said.get("model") or kind.split(".")[1])
    return {"name": name, "vendor_name": "Casemate"}


_SHAPES: Mapping[str, Callable[[Json, str, Leaf], Any]] = {
    "actor": _actor,
    "api": _api,
    "app": _app,
    "databucket": _bucket,
    "entity": _entity,
    "privileges": _privileges,
    "service": _service,
    "src_endpoint": _source,
    "user": _user,
}
