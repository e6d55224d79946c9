import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from appliance.audit.event import (
    FACTS,
    TYPES,
    BudgetChange,
    Event,
    Kind,
    Leaf,
    encode,
    event_type,
    fact,
)
from appliance.audit.ocsf import (
    LINE_BYTES_MAX,
    MAPPING,
    REQUIRED,
    REQUIRED_OF_ALL,
    SCHEMA_VERSION,
    line,
    to_ocsf,
)
from appliance.audit.tree import leaf_hash
from tests.recording import completion, intent

ORIGIN = "audit.example/demo"
CHANGE = BudgetChange(
    actor="rssi", budget="user:*", hard=True, id="change-0000000001", limit=5, period="day"
)
HOT_EVENTS: list[Event] = [intent(1), completion(1, spend={"site": 5}), CHANGE]
FACT_EVENTS: list[Event] = [
    fact(kind, "ada", "fact-000000000001", place="rack") for kind in FACTS
]

# Activities of the schema 1.8.0, class by class; 99 is « Other » in each.
ACTIVITIES = {
    3001: range(1, 13), 3002: range(1, 8), 3004: range(1, 14), 3005: range(1, 3),
    6002: range(1, 9), 6003: range(1, 5), 6005: range(1, 11), 6008: range(1, 3),
}  # fmt: skip

OBJECTS: dict[str, Callable[[Any], object]] = {
    "actor": lambda it: it["user"]["uid"],
    "api": lambda it: it["operation"] in TYPES,
    "ai_model": lambda it: it["ai_provider"] and it["name"],
    "app": lambda it: it["name"],
    "databucket": lambda it: it["name"] and it["type_id"] == 99,
    "entity": lambda it: it["name"] and it["type_id"] == 99,
    "message_context": lambda it: it["service"]["name"],
    "privileges": lambda it: isinstance(it, list) and it,
    "service": lambda it: it["name"],
    "src_endpoint": lambda it: it.keys() <= {"ip", "uid"} and it,
    "user": lambda it: it["uid"],
}


def leaf(event: Event) -> Leaf:
    return Leaf(at=1_770_000_000_123_456, boot="b", event=event, index=7, mono=2, uid=882)


def digest(one: Leaf) -> str:
    return base64.b64encode(leaf_hash(one.text())).decode()


def mapped(event: Event) -> dict[str, Any]:
    return to_ocsf(leaf(event), ORIGIN, digest(leaf(event)))


def test_each_type_of_the_log_is_mapped_and_nothing_else() -> None:
    assert set(MAPPING) == TYPES


@pytest.mark.parametrize("kind", sorted(MAPPING))
def test_a_mapping_names_a_class_and_activities_of_the_schema(kind: str) -> None:
    one = MAPPING[kind]
    allowed = {*ACTIVITIES[one.class_uid], 99}
    assert {one.activity_id, *(one.by_action or {}).values()} <= allowed
    assert one.status_id in {1, 2, 99}
    assert one.severity_id in range(1, 7)


@pytest.mark.parametrize("event", [*HOT_EVENTS, *FACT_EVENTS], ids=event_type)
def test_an_event_has_what_its_class_demands(event: Event) -> None:
    made = mapped(event)
    for name in (*REQUIRED_OF_ALL, *REQUIRED[made["class_uid"]]):
        assert made[name] or made[name] == 0, name
    assert made["category_uid"] == made["class_uid"] // 1000
    assert made["type_uid"] == made["class_uid"] * 100 + made["activity_id"]
    assert made["metadata"]["version"] == SCHEMA_VERSION
    assert made["metadata"]["product"]["name"] == "Casemate"
    assert made["time"] == 1_770_000_000_123


@pytest.mark.parametrize("event", [*HOT_EVENTS, *FACT_EVENTS], ids=event_type)
def test_the_objects_inside_have_what_the_schema_demands(event: Event) -> None:
    made = mapped(event)
    for name, check in OBJECTS.items():
        assert name not in made or check(made[name]), name


def test_a_line_is_tied_back_to_the_log() -> None:
    one = leaf(intent(1))
    made = json.loads(line(one, ORIGIN, digest(one)))
    assert made["metadata"]["sequence"] == 7
    assert made["metadata"]["log_name"] == ORIGIN
    assert made["metadata"]["uid"] == one.event.id
    assert made["metadata"]["correlation_uid"] == intent(1).request
    assert made["unmapped"]["leaf"] == digest(one)
    assert made["unmapped"]["mapping_version"] == 1


def test_a_model_call_names_its_model_and_its_end_counts_tokens() -> None:
    assert mapped(intent(1))["ai_model"] == {"ai_provider": "local", "name": intent(1).model}
    context = mapped(completion(1))["message_context"]
    asked, answered = completion(1).prompt_tokens, completion(1).completion_tokens
    assert context["total_tokens"] == asked + answered
    assert mapped(completion(1))["metadata"]["profiles"] == ["ai_operation"]


def test_a_refusal_says_that_we_denied_it_and_why() -> None:
    made = mapped(fact(Kind.AUTHZ_DENIED, "ada", "fact-000000000001", reason="CM-AUT-02"))
    assert (made["status_id"], made["action_id"]) == (2, 2)
    assert made["status_code"] == "CM-AUT-02"
    assert made["metadata"]["profiles"] == ["security_control"]


@pytest.mark.parametrize(
    ("kind", "action", "activity"),
    [
        (Kind.ADMIN_USER, "disable", 5),
        (Kind.ADMIN_USER, "something new", 99),
        (Kind.ADMIN_ROLE, "revoke", 2),
        (Kind.ADMIN_ACCESS, "sudo", 7),
        (Kind.CONFIG_CHANGE, "delete", 4),
        (Kind.RAG_COLLECTION, "update", 2),
    ],
)
def test_the_activity_follows_the_action(kind: Kind, action: str, activity: int) -> None:
    assert mapped(fact(kind, "ada", "fact-000000000001", action=action))["activity_id"] == (
        activity
    )


def test_an_address_is_the_source_where_one_is_known() -> None:
    known = fact(Kind.AUTHZ_DENIED, "ada", "fact-000000000001", ip="192.0.2.7")
    assert mapped(known)["src_endpoint"] == {"ip": "192.0.2.7"}
    assert mapped(intent(1))["src_endpoint"] == {"uid": "uid:882"}


def test_a_line_is_short_enough_for_collectors_and_says_what_it_left_out() -> None:
    data: dict[str, str | int] = {f"field{n}": "é" * (100 if n else 190) for n in range(16)}
    one = leaf(FACTS[Kind.RAG_OPEN](actor="ada", id="fact-000000000001", data=data))
    assert len(encode(one.event)) <= 3_840
    text = line(one, ORIGIN, digest(one))
    assert len(text) <= LINE_BYTES_MAX
    made = json.loads(text)
    assert made["metadata"]["is_truncated"]
    assert made["metadata"]["untruncated_size"] > LINE_BYTES_MAX
    assert "field0" not in made["unmapped"], "the longest goes first"
    assert made["unmapped"]["leaf"] == digest(one)
    assert text.count(b"\n") == 1
    short = leaf(intent(1))
    assert "is_truncated" not in json.loads(line(short, ORIGIN, digest(short)))["metadata"]


def test_amounts_and_rules_are_flat_fields() -> None:
    said = mapped(HOT_EVENTS[1])["unmapped"]
    assert all(isinstance(value, str | int) for value in said.values())
    assert said["spend.site"] == 5
