"""The table of flows, the units and the rules of the packet filter say the same."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

ROLES = Path(__file__).parents[2] / "playbooks" / "roles"
FILTER = ROLES / "nftables"
SITE = Path(__file__).parents[2] / "appliance" / "site"
FLOWS: list[dict[str, Any]] = yaml.safe_load((FILTER / "vars" / "main.yml").read_text())[
    "__nftables_flows"
]
UNITS = {
    re.sub(r"@?\.service\.j2\Z", "", path.name): path.read_text()
    for path in ROLES.glob("*/templates/*.service.j2")
}
OPEN = {
    name: {"interface": f"{name}0", "sources": ["192.0.2.0/24", "2001:db8::/64"]}
    for name in ("users", "admin", "logs", "gpu", "backup")
}
CLOSED = {name: {"interface": "lo", "sources": list[str]()} for name in OPEN}


def rules(
    zones: dict[str, Any], clocks: list[str], collectors: Sequence[str] = (),
    relays: Sequence[str] = (), witnesses: Sequence[str] = (),
) -> str:  # fmt: skip
    """Render the rules as the role does."""
    jinja = Environment(  # noqa: S701 - the output is nftables
        loader=FileSystemLoader(FILTER / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    jinja.tests["search"] = lambda text, pattern: re.search(pattern, text) is not None
    values: dict[str, Any] = {
        "ansible_managed": "Managed by Ansible",
        "__nftables_flows": FLOWS,
        "nftables_zones": zones,
        "nftables_time_servers": clocks,
        "nftables_collectors": collectors,
        "nftables_relays": relays,
        "nftables_witnesses": witnesses,
    }
    jinja.globals["lookup"] = lambda _, name: values[name]
    return jinja.get_template("nftables.conf.j2").render(values)


def named(text: str) -> Counter[str]:
    """Return how many rules each flow has."""
    return Counter(re.findall(r'comment "flow (\w+)"', text))


def test_each_flow_has_one_rule_per_family_and_no_rule_is_without_a_flow() -> None:
    two = ["192.0.2.9", "2001:db8::9"]
    found = named(rules(OPEN, two, two, two, two))
    assert found == {flow["name"]: 1 if flow["kind"] == "inside" else 2 for flow in FLOWS}


def test_closed_zones_and_a_site_without_clocks_have_no_rule() -> None:
    found = named(rules(CLOSED, []))
    assert set(found) == {flow["name"] for flow in FLOWS if flow["kind"] == "inside"}


def test_what_leaves_goes_to_the_machine_it_is_for_and_from_one_user() -> None:
    text = rules(CLOSED, ["192.0.2.9"], ["192.0.2.7"], ["192.0.2.25"], ["192.0.2.8"])
    leaving = [line.strip() for line in text.splitlines() if " daddr { " in line]
    assert [line.partition(" counter ")[0] for line in leaving] == [
        "meta skuid { casemate-logs } ip daddr { 192.0.2.7 } tcp dport { 6514 }",
        "meta skuid { prometheus } ip daddr { 192.0.2.25 } tcp dport { 25 }",
        "meta skuid { casemate-forwarder } ip daddr { 192.0.2.7 } tcp dport { 6514 }",
        "meta skuid { casemate-feeder } ip daddr { 192.0.2.8 } tcp dport { 8787 }",
        "meta skuid { _chrony } ip daddr { 192.0.2.9 } udp dport { 123 }",
    ]
    variables = yaml.safe_load((FILTER / "vars" / "main.yml").read_text("utf-8"))
    named_ = {flow["addresses"] for flow in FLOWS if flow["kind"] == "leave"}
    assert named_ == set(variables["__nftables_targets"])


def test_whatever_is_accepted_is_a_flow_or_belongs_to_one() -> None:
    plumbing = {
        "ct state established,related accept",
        'iifname "lo" accept',
        "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept",
        "icmp type destination-unreachable accept",
        "icmpv6 type destination-unreachable accept",
    }
    accepting = {
        line.strip() for line in rules(OPEN, ["192.0.2.9"]).splitlines() if " accept" in line
    }
    assert {line for line in accepting if 'comment "flow ' not in line} == plumbing


def test_every_chain_of_the_kernel_drops_what_no_rule_names() -> None:
    text = rules(OPEN, [])
    assert re.findall(r"hook (\w+) priority filter; policy (\w+);", text) == [
        ("input", "drop"),
        ("forward", "drop"),
        ("output", "drop"),
    ]
    inside = text[text.index("chain inside") :]
    assert inside.rstrip().rstrip("}").rstrip().rstrip("}").rstrip().endswith("drop")


@pytest.mark.parametrize("flow", FLOWS, ids=[flow["name"] for flow in FLOWS])
def test_a_flow_says_who_where_and_why(flow: dict[str, Any]) -> None:
    assert flow["kind"] in {"inside", "enter", "leave"}
    assert flow["protocol"] in {"tcp", "udp"}
    assert flow["ports"]
    assert flow["reason"].endswith(".")
    assert ("zone" in flow) == (flow["kind"] == "enter")
    assert ("users" in flow) == (flow["kind"] != "enter")


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_has_a_declared_flow_or_no_network(unit: str) -> None:
    text = UNITS[unit]
    families = re.search(r"^RestrictAddressFamilies=(.*)$", text, re.MULTILINE)
    speaks = families is None or "AF_INET" in families[1]
    private = re.search(r"^PrivateNetwork=yes$", text, re.MULTILINE) is not None
    declared = any(unit in flow["units"] for flow in FLOWS)
    elsewhere = unit == "casemate-witness"  # no unit of the site: its own walls say who may ask
    assert declared == (speaks and not private and not elsewhere)


def test_the_rules_hold_no_word_that_a_template_left_empty() -> None:
    assert "None" not in rules(OPEN, ["192.0.2.9"])
    assert "{ }" not in rules(CLOSED, [])


def test_what_keycloak_believes_comes_from_the_front_alone() -> None:
    trusted = "127.0.0.2"
    text = rules(OPEN, [])
    to_keycloak = [line for line in text.splitlines() if "dport { 8080 }" in line]
    believed = [line for line in to_keycloak if f"ip saddr {trusted} " in line]
    assert [line.split()[:4] for line in believed] == [["meta", "skuid", "{", "haproxy"]]
    assert all("ip saddr 127.0.0.1 " in line for line in to_keycloak if line not in believed)
    front = (SITE / "templates" / "haproxy.cfg.j2").read_text()
    assert f"source {trusted}" in front
    assert f'"proxy-trusted-addresses={trusted}"' in (SITE / "keycloak.py").read_text()
