"""What the playbooks say of each other: one order, one set of values, described variables."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
ROLES = sorted(path.name for path in (PLAYBOOKS / "roles").iterdir())
VERBS = ["precheck", "install", "configure", "verify"]
# They measure or prove, and install nothing.
OBSERVERS = {"preflight", "egress_proof"}
ELSEWHERE = {"witness"}  # on a machine of its own, by a playbook of its name


def read(name: str) -> Any:
    return yaml.safe_load((PLAYBOOKS / name).read_text())


SITE = read("site.yml")[0]["roles"]


def test_verification_asks_every_role_of_the_site_with_the_same_values() -> None:
    verified = [
        {
            "role": task["ansible.builtin.import_role"]["name"],
            "tags": task["tags"],
            **{key: task[key] for key in ("vars", "when") if key in task},
        }
        for task in read("verify.yml")[0]["tasks"]
        if task["ansible.builtin.import_role"]["tasks_from"] == "verify.yml"
    ]
    assert verified == SITE


def test_every_role_is_played_and_carries_its_name_as_tag() -> None:
    assert {entry["role"] for entry in SITE} == set(ROLES) - OBSERVERS - ELSEWHERE
    assert all(entry["tags"] == [entry["role"]] for entry in SITE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("release", "apt_repository", id="packages are part of the release"),
        pytest.param("base_system", "apt_repository", id="no service starts when installed"),
        pytest.param("apt_repository", "time_sync", id="the clock's follower is a package"),
        pytest.param("apt_repository", "gpu", id="the driver is packages of the release"),
        pytest.param("gpu", "vllm", id="model servers find device nodes"),
        pytest.param("pki", "haproxy", id="fronts have certificates"),
        pytest.param("haproxy", "nftables", id="a rule names the front's user"),
        pytest.param("nftables", "hardening", id="hardening is last"),
        pytest.param("recorder", "local_access", id="logins are recorded"),
        pytest.param("haproxy", "monitoring", id="what is measured runs"),
        pytest.param("logs", "nftables", id="a rule names who sends logs"),
        pytest.param("monitoring", "nftables", id="a rule names who measures"),
    ],
)
def test_the_order_of_roles_that_binds(before: str, after: str) -> None:
    order = [entry["role"] for entry in SITE]
    assert order.index(before) < order.index(after)


def test_hardening_is_the_last_role() -> None:
    assert SITE[-1]["role"] == "hardening"


@pytest.mark.parametrize("role", sorted(set(ROLES) - OBSERVERS))
def test_a_role_has_the_verbs_in_order(role: str) -> None:
    imported = [
        task["ansible.builtin.import_tasks"].removesuffix(".yml")
        for task in read(f"roles/{role}/tasks/main.yml")
    ]
    places = [VERBS.index(verb) for verb in imported]
    assert all(one < next_one for one, next_one in pairwise(places))
    assert imported[-1] == "verify"


@pytest.mark.parametrize("role", ROLES)
def test_each_default_is_described_and_each_option_without_one_is_required(role: str) -> None:
    options = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"].get(
        "options", {}
    )
    optional = {
        name: option["default"] for name, option in options.items() if "default" in option
    }
    path = PLAYBOOKS / "roles" / role / "defaults" / "main.yml"
    assert optional == (yaml.safe_load(path.read_text()) if path.exists() else {})
    others = [option for name, option in options.items() if name not in optional]
    # What may be left out says what is without it.
    assert all(
        option.get("required") or "Without it" in option["description"] for option in others
    )
    assert all(name.startswith(f"{role}_") for name in options)


@pytest.mark.parametrize("role", sorted(set(ROLES) - OBSERVERS))
def test_its_playbook_gives_each_role_what_it_requires(role: str) -> None:
    options = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"].get(
        "options", {}
    )
    required = {name for name, option in options.items() if option.get("required")}
    played = read(f"{role}.yml")[0]["roles"] if role in ELSEWHERE else SITE
    (entry,) = (entry for entry in played if entry["role"] == role)
    given = set(entry.get("vars", {})) | set(read("waivers.yml"))
    assert required <= given
    assert set(entry.get("vars", {})) <= set(options)


@pytest.mark.parametrize(
    ("inventory", "playbooks"),
    [("single", ["site", "preflight", "egress_proof"]), ("witness", ["witness"])],
)
def test_every_value_of_a_playbook_is_set_by_its_inventory(
    inventory: str, playbooks: list[str]
) -> None:
    known = set(read(f"inventories/{inventory}/group_vars/all.yml"))
    for name in (f"{playbook}.yml" for playbook in playbooks):
        text = (PLAYBOOKS / name).read_text()
        used = {word.strip('{}" /,') for word in text.split() if word.startswith("casemate_")}
        assert used <= known, name


def test_each_waiver_has_a_reason_an_owner_and_dates_within_a_year() -> None:
    for waiver in read("waivers.yml")["hardening_waivers"]:
        assert waiver["control"].startswith("BP-028 R")
        assert len(waiver["reason"]) > 20
        assert waiver["owner"]
        assert waiver["date"] < waiver["until"]
        assert set(waiver) <= {"control", "reason", "owner", "date", "until", "rules"}
