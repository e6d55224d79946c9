"""The witness and the feeder: whom the site trusts, where it goes; nothing of it is needed."""

from pathlib import Path

import pytest
import yaml

from appliance.audit.cosignature import WitnessKey
from appliance.audit.policy import Policy
from appliance.settings import load
from appliance.trail_settings import FeederSettings
from tests.audit import logs
from tests.playbooks.rendering import ROLES, render, variables

RSSI, DPO = (WitnessKey(f"{name}.test/w", bytes([n]) * 32) for n, name in enumerate(("a", "b")))
KEYS = {"__feeder_keys": logs.VERIFIER_KEYS.split("\n")}
ONE = {"name": "rssi", "key": RSSI.cosigner.text(), "address": "192.0.2.8"}
BY_HAND = {"name": "dpo", "key": DPO.cosigner.text()}


def policy(*witnesses: dict[str, str]) -> Policy:
    return Policy.parse(
        render("feeder", "audit-policy.j2", {**KEYS, "feeder_witnesses": list(witnesses)})
    )


@pytest.mark.parametrize(
    ("witnesses", "quorum"), [([], "none"), ([ONE], "rssi"), ([ONE, BY_HAND], "temoins")]
)
def test_the_policy_of_the_site_is_one_that_those_who_verify_can_read(
    witnesses: list[dict[str, str]], quorum: str
) -> None:
    found = policy(*witnesses)
    assert found.keys == logs.SIGNER.verifiers
    assert [one.name for one in found.witnesses] == [one["name"] for one in witnesses]
    assert found.quorum == quorum


def test_one_of_two_witnesses_is_enough() -> None:
    policy(ONE, BY_HAND).check_quorum(["dpo"])


def test_only_witnesses_with_an_address_are_asked(tmp_path: Path) -> None:
    six = {**ONE, "name": "six", "address": "2001:db8::8"}
    path = tmp_path / "feeder.toml"
    path.write_text(
        render("feeder", "feeder.toml.j2", {"feeder_witnesses": [ONE, BY_HAND, six]})
    )
    assert load(path, FeederSettings).witnesses == {
        "rssi": "http://192.0.2.8:8787", "six": "http://[2001:db8::8]:8787",
    }  # fmt: skip


def test_without_a_witness_nothing_runs() -> None:
    for name in ("install", "configure", "verify"):
        tasks = yaml.safe_load((ROLES / "feeder" / "tasks" / f"{name}.yml").read_text("utf-8"))
        for task in tasks:
            if "casemate-feeder.service" in str(task) and "started" in str(task):
                assert "__feeder_reached | length > 0" in str(task["when"])


def test_the_port_of_the_witness_is_the_one_of_the_flow() -> None:
    flows = variables("nftables")["__nftables_flows"]
    (flow,) = (one for one in flows if one["name"] == "witnesses")
    assert flow["ports"] == [variables("feeder")["feeder_port"]]
    assert flow["ports"] == [variables("witness")["witness_port"]]


def test_the_folder_of_the_anchors_is_the_one_that_the_recorder_reads() -> None:
    own = variables("feeder")["__feeder_anchors"]
    given = {"recorder_origin": "site/log", "recorder_time_zone": "Europe/Paris"}
    assert f'anchors = "{own}"\n' in render("recorder", "recorder.toml.j2", given)
    unit = render("feeder", "casemate-feeder.service.j2", {"feeder_witnesses": [ONE]})
    assert f"ReadWritePaths={own}\n" in unit
    assert "UMask=0027\n" in unit  # what it writes there, the recorder's group can read
