from typing import Any

import pytest

from appliance.audit.event import FACTS, Kind, encode, is_id, parse
from appliance.identity.events import (
    OVERLAP,
    Place,
    Row,
    Told,
    is_own_token,
    of_administrator,
    of_person,
    switched_off,
)

UUID = "0f7d3c1a-1111-4222-8333-123456789abc"


def person(what: str, **fields: Any) -> Row:
    return {
        "id": UUID, "time": 1_770_000_000_000, "type": what, "userId": "u-1",
        "clientId": "casemate-console", "ipAddress": "192.0.2.7", **fields,
    }  # fmt: skip


def administrator(operation: str, resource: str, path: str, **fields: Any) -> Row:
    who = {"userId": "admin-1", "clientId": "c-1", "ipAddress": "192.0.2.8"}
    return {
        "id": UUID, "time": 1_770_000_000_000, "operationType": operation,
        "resourceType": resource, "resourcePath": path, "authDetails": who, **fields,
    }  # fmt: skip


def event_of(told: Told) -> Any:
    """Return the event that the log gets, from its bytes."""
    made = FACTS[Kind(told.kind)](actor=told.actor, id=told.id, data=told.data)
    return parse(encode(made))


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("LOGIN", "auth.login"),
        ("TOKEN_EXCHANGE", "auth.login"),
        ("LOGOUT", "auth.logout"),
        ("LOGIN_ERROR", "auth.denied"),
        ("CODE_TO_TOKEN_ERROR", "auth.denied"),
        ("REFRESH_TOKEN_ERROR", "auth.denied"),
        ("UPDATE_CREDENTIAL", "admin.user"),
        ("REMOVE_TOTP", "admin.user"),
        ("A_TYPE_OF_THE_NEXT_RELEASE", "admin.user"),
        ("A_TYPE_OF_THE_NEXT_RELEASE_ERROR", "auth.denied"),
    ],
)
def test_each_type_of_keycloak_becomes_one_of_ours_and_none_is_dropped(
    what: str, kind: str
) -> None:
    told = of_person(person(what), "casemate")
    assert told is not None
    assert event_of(told).kind == f"casemate.{kind}.v1"
    assert told.data.get("action", what.lower()) == what.lower()


@pytest.mark.parametrize("what", ["CODE_TO_TOKEN", "REFRESH_TOKEN", "USER_INFO_REQUEST"])
def test_steps_of_a_login_are_told_by_the_login(what: str) -> None:
    assert of_person(person(what), "casemate") is None


def token(client: str, address: str) -> Row:
    return person("CLIENT_LOGIN", clientId=client, ipAddress=address)


def test_tokens_of_our_services_are_left_out_on_this_machine_only() -> None:
    assert is_own_token(token("casemate-worker", "127.0.0.1"))
    assert of_person(token("casemate-worker", "127.0.0.1"), "casemate") is None
    # A stolen secret, used from elsewhere; and an application of the site.
    for row in (token("casemate-worker", "192.0.2.9"), token("courrier", "127.0.0.1")):
        told = of_person(row, "casemate")
        assert told is not None
        assert told.kind == "casemate.auth.login.v1"
    wrong = {**token("casemate-worker", "127.0.0.1"), "type": "CLIENT_LOGIN_ERROR"}
    denied = of_person(wrong, "casemate")
    assert denied is not None
    assert denied.kind == "casemate.auth.denied.v1"


def test_a_client_without_an_account_is_its_own_actor() -> None:
    told = of_person(person("CLIENT_LOGIN", userId=None, clientId="courrier"), "casemate")
    assert told is not None
    assert told.actor == "courrier"


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        ("USER", "admin.user"),
        ("USER_SESSION", "admin.user"),
        ("REALM_ROLE_MAPPING", "admin.role"),
        ("GROUP_MEMBERSHIP", "admin.role"),
        ("GROUP", "admin.role"),
        ("REALM", "config.change"),
        ("AUTH_EXECUTION", "config.change"),
        ("A_RESOURCE_OF_THE_NEXT_RELEASE", "config.change"),
    ],
)
def test_each_change_of_an_administrator_becomes_one_of_ours(resource: str, kind: str) -> None:
    told = of_administrator(administrator("UPDATE", resource, "users/u-2/x"), "casemate")
    event = event_of(told)
    assert event.kind == f"casemate.{kind}.v1"
    assert event.data["user"] == "u-2"
    assert event.actor == "admin-1"


def test_the_names_of_roles_are_kept_and_nothing_else_of_what_was_written() -> None:
    body = '[{"id":"r","name":"rssi","description":"d"},{"name":"auditeur"}]'
    row = administrator("CREATE", "REALM_ROLE_MAPPING", "users/u", representation=body)
    assert of_administrator(row, "casemate").data["role"] == "rssi auditeur"
    secret = '{"type":"password","value":"hidden-value","name":"x"}'
    row = administrator("ACTION", "USER", "users/u/reset-password", representation=secret)
    assert "hidden-value" not in str(of_administrator(row, "casemate"))


def test_what_an_unknown_person_typed_is_not_kept() -> None:
    row = person(
        "LOGIN_ERROR", userId=None, error="user_not_found",
        details={"username": "my-password", "redirect_uri": "https://x/?y", "auth_method": "a"},
    )  # fmt: skip
    told = of_person(row, "casemate")
    assert told is not None
    assert told.actor == "anonymous"
    assert "my-password" not in str(told)
    assert told.data["reason"] == "user_not_found"


def test_an_event_of_the_longest_fields_fits_the_log() -> None:
    long = "\U0001f600\n" * 500
    row = person("LOGIN_ERROR", clientId=long, sessionId=long, error=long, ipAddress=long)
    told = of_person(row, "casemate")
    assert told is not None
    assert "\n" not in str(event_of(told).data["client"])
    event_of(of_administrator(administrator(long, long, long), "casemate"))


@pytest.mark.parametrize("given", [UUID, "short", "x" * 90, "é" * 20, "a b" * 9])
def test_an_id_is_ours_whatever_keycloak_gives_and_the_same_each_time(given: str) -> None:
    told = [of_administrator({**administrator("U", "REALM", "")} | {"id": given}, "r")] * 2
    assert is_id(told[0].id)
    assert told[0].id == told[1].id


def test_a_row_of_each_table_has_its_own_id() -> None:
    one = of_person(person("LOGIN"), "casemate")
    other = of_administrator(administrator("UPDATE", "REALM", ""), "casemate")
    assert one is not None
    assert one.id != other.id


ON = {"eventsEnabled": True, "adminEventsEnabled": True, "adminEventsDetailsEnabled": True}


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        ({}, []),
        ({"eventsEnabled": False}, ["eventsEnabled"]),
        ({"adminEventsEnabled": False}, ["adminEventsEnabled"]),
        ({"adminEventsDetailsEnabled": None}, ["adminEventsDetailsEnabled"]),
        ({"enabledEventTypes": []}, []),
    ],
)
def test_events_that_are_switched_off_are_named(
    change: dict[str, Any], lacking: list[str]
) -> None:
    assert switched_off({**ON, **change}) == lacking


def test_a_type_that_is_no_longer_kept_is_named() -> None:
    kept = ["LOGIN", "LOGOUT", "CLIENT_LOGIN", "UPDATE_CREDENTIAL"]
    (only,) = switched_off({**ON, "enabledEventTypes": kept})
    assert only == "enabledEventTypes: LOGIN_ERROR"


def test_a_table_is_read_with_an_overlap_and_from_earlier_when_the_clock_went_back() -> None:
    place = Place(newest=1_000_000)
    assert place.begin(2_000_000) == 1_000_000 - OVERLAP
    assert place.begin(500_000) == 500_000 - OVERLAP
    assert Place().begin(2_000_000) == 0


def test_ids_are_forgotten_once_no_reading_meets_them() -> None:
    place = Place()
    rows = [
        person("LOGIN", id="early-00", time=1_000),
        person("LOGIN", id="late-000", time=900_000),
    ]
    place.done(rows, now=900_000)
    assert place.seen == {"late-000": 900_000}
    assert place.fresh(rows) == [rows[0]]
