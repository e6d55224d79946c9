import json

from appliance.install.answers import check
from appliance.install.inventory import inventory, variables
from tests.install.stage import GIVEN, RELEASE

SITE = "/etc/casemate/site.toml"


def test_the_inventory_is_one_machine_with_the_answers() -> None:
    values = variables(check(GIVEN), RELEASE, SITE)
    read = json.loads(inventory(values, "/opt/casemate/controller/bin/python"))
    site = read["all"]["children"]["site"]
    assert site["hosts"]["casemate"]["ansible_connection"] == "local"
    assert site["hosts"]["casemate"]["casemate_seq"] == 7
    assert site["hosts"]["casemate"]["casemate_release_dir"] == "/var/lib/casemate/releases/7"
    assert site["hosts"]["casemate"]["casemate_domain"] == "casemate.site.internal"
    assert site["hosts"]["casemate"]["casemate_admin_domain"] == "admin.casemate.site.internal"
    assert site["hosts"]["casemate"]["casemate_overrides"] == []
    assert site["hosts"]["casemate"]["casemate_administrator"] == ""
    assert "casemate_zones" not in site["hosts"]["casemate"], (
        "the closed ones of the playbooks stay"
    )


def test_a_zone_that_is_not_named_stays_closed() -> None:
    users = {"users": {"interface": "eno1", "sources": ["192.0.2.0/24"]}}
    zones = variables(check({**GIVEN, "zones": users}), RELEASE, SITE)["casemate_zones"]
    closed = {"interface": "lo", "sources": []}
    assert zones == {**users, "admin": closed, "logs": closed, "gpu": closed, "backup": closed}


def test_the_models_that_are_named_are_served_and_no_others() -> None:
    chat = {"instance": "chat", "kind": "chat", "id": "folder", "name": "mistral"}
    values = variables(check({**GIVEN, "models": [{**chat, "context": 2048}]}), RELEASE, SITE)
    assert values["casemate_models"] == [{**chat, "context": 2048, "memory": 1}]
    placed = {"cards": [0, 1], "share": 70}
    values = variables(
        check({**GIVEN, "models": [{**chat, "context": 64, **placed}]}), RELEASE, SITE
    )
    assert values["casemate_models"] == [{**chat, "context": 64, "memory": 1, **placed}]
    assert "casemate_models" not in variables(check(GIVEN), RELEASE, SITE), (
        "those of the playbooks stay"
    )


def test_the_playbooks_hear_who_answers_for_a_check_and_when_the_bundle_was_made() -> None:
    wish = {"overrides": [{"check": "luks", "reason": "Baie scellée"}]}
    values = variables(check({**GIVEN, **wish}), RELEASE, SITE, created=1_700_000_000)
    assert values["casemate_not_before"] == 1_700_000_000
    assert values["casemate_overrides"] == [
        {"id": "luks", "reason": "Baie scellée", "operator": "C. Vasseur"}
    ]


def test_the_collector_of_logs_is_named_or_nothing_is_sent() -> None:
    assert variables(check(GIVEN), RELEASE, SITE)["casemate_collector"] == ""
    wish = {"collector": "collecteur.site.internal"}
    found = variables(check({**GIVEN, **wish}), RELEASE, SITE)
    assert found["casemate_collector"] == "collecteur.site.internal"


def test_alerts_go_to_a_relay_and_a_recipient_or_nowhere() -> None:
    found = variables(check(GIVEN), RELEASE, SITE)
    assert (found["casemate_relay"], found["casemate_alerts_to"]) == ("", "")
    wish = {"alerts": {"relay": "courriel.site.internal", "to": "astreinte@site.internal"}}
    found = variables(check({**GIVEN, **wish}), RELEASE, SITE)
    assert found["casemate_relay"] == "courriel.site.internal"
    assert found["casemate_alerts_to"] == "astreinte@site.internal"


def test_people_are_named_without_a_password() -> None:
    wish = {"people": [{"login": "vasseur", "name": "C. Vasseur", "rights": "administer"}]}
    assert variables(check({**GIVEN, **wish}), RELEASE, SITE)["casemate_people"] == [
        {"login": "vasseur", "name": "C. Vasseur", "rights": "administer", "ssh_keys": []}
    ]


def test_the_same_answers_give_the_same_bytes() -> None:
    values = variables(check(GIVEN), RELEASE, SITE)
    assert inventory(values, "python") == inventory(dict(values), "python")
