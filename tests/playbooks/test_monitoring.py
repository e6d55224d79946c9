"""What is measured, on which ports, and what an alert says."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]
from ansible.template import Templar, trust_as_template  # type: ignore[import-untyped]

from appliance.audit.anchored import to_file
from appliance.audit.frame import Anchored
from tests.playbooks.rendering import ROLES, render, variables

ROLE = ROLES / "monitoring"
RULES: list[dict[str, Any]] = yaml.safe_load((ROLE / "files" / "rules.yml").read_text("utf-8"))[
    "groups"
][0]["rules"]
PLAYED: dict[str, Any] = yaml.safe_load((ROLE / "files" / "rules_test.yml").read_text("utf-8"))
FLOWS: list[dict[str, Any]] = yaml.safe_load(
    (ROLES / "nftables" / "vars" / "main.yml").read_text("utf-8")
)["__nftables_flows"]
OWN = variables("monitoring")
PROGRAM = ROLE / "files" / "casemate-measures"


@pytest.mark.parametrize("unit", OWN["__monitoring_units"], ids=lambda unit: unit["name"])
def test_what_measures_listens_on_the_loopback_alone_and_is_held_in(
    unit: dict[str, Any],
) -> None:
    text = render("monitoring", "casemate.conf.j2", {"item": unit})
    assert f"--web.listen-address=127.0.0.1:{unit['port']}" in text
    assert not re.search(r"listen-address=(?!127\.0\.0\.1:|\s|$)", text)
    for wall in ("IPAddressDeny=any", "CapabilityBoundingSet=", "ProtectSystem=strict"):
        assert f"{wall}\n" in text


def test_each_port_that_is_read_has_a_flow_of_prometheus() -> None:
    settings = yaml.safe_load(render("monitoring", "prometheus.yml.j2", {}))
    read = {
        int(job["static_configs"][0]["targets"][0].rpartition(":")[2])
        for job in settings["scrape_configs"]
    }
    (flow,) = (flow for flow in FLOWS if flow["name"] == "measures")
    assert set(flow["ports"]) == read
    assert flow["users"] == ["prometheus"]


RELAY = {
    "monitoring_relay": "courriel.site.internal",
    "monitoring_relay_addresses": ["192.0.2.25"],
    "monitoring_alerts_to": "exploitation@site.internal",
    "monitoring_domain": "casemate.site.internal",
}


def test_without_a_relay_nothing_is_sent() -> None:
    settings = yaml.safe_load(render("monitoring", "alertmanager.yml.j2", {}))
    assert settings["receivers"] == [{"name": "here"}]
    assert settings["route"]["receiver"] == "here"
    for unit in OWN["__monitoring_units"]:
        text = render("monitoring", "casemate.conf.j2", {"item": unit})
        assert re.findall(r"^IPAddressAllow=(.*)$", text, re.MULTILINE) == ["localhost"]


def test_alerts_go_to_the_relay_that_proves_its_name_and_to_no_other_machine() -> None:
    settings = yaml.safe_load(render("monitoring", "alertmanager.yml.j2", RELAY))
    assert settings["global"]["smtp_smarthost"] == "courriel.site.internal:25"
    assert settings["global"]["smtp_require_tls"] is True
    (receiver,) = settings["receivers"]
    assert settings["route"]["receiver"] == receiver["name"]
    (mail,) = receiver["email_configs"]
    assert mail["to"] == "exploitation@site.internal"
    assert mail["tls_config"] == {
        "ca_file": "/etc/casemate/relay/ca.crt", "server_name": "courriel.site.internal",
        "min_version": "TLS12",
    }  # fmt: skip
    allowed = {
        unit["name"]: re.findall(
            r"^IPAddressAllow=(.*)$",
            render("monitoring", "casemate.conf.j2", {**RELAY, "item": unit}),
            re.MULTILINE,
        )
        for unit in OWN["__monitoring_units"]
    }
    assert allowed.pop("prometheus-alertmanager") == ["localhost", "192.0.2.25"]
    assert all(found == ["localhost"] for found in allowed.values())


def test_a_mail_says_what_is_seen_and_what_to_do_without_an_address_of_ours() -> None:
    settings = yaml.safe_load(render("monitoring", "alertmanager.yml.j2", RELAY))
    mail = settings["receivers"][0]["email_configs"][0]
    assert mail["html"] == "", "its own form has links to this machine"
    assert "{{ .Annotations.summary }}\n→ {{ .Annotations.remedy }}" in mail["text"]
    assert mail["headers"]["Subject"].endswith("{{ .Status }} : {{ .CommonLabels.alertname }}")
    assert mail["send_resolved"] is True


def test_nothing_is_sent_without_the_authority_of_the_relay_and_a_recipient() -> None:
    tasks = yaml.safe_load((ROLE / "tasks" / "precheck.yml").read_text("utf-8"))
    (asked,) = (task for task in tasks if task["name"].startswith("Refuse to send"))
    loader = DataLoader()
    there = {"stat": {"isreg": True, "uid": 0, "mode": "0644"}}

    def holds(**changes: Any) -> bool:
        values = {**OWN, **RELAY, "__monitoring_relay": there, **changes}
        templar = Templar(loader=loader, variables=values)
        conditions = map(trust_as_template, asked["ansible.builtin.assert"]["that"])
        return all(templar.evaluate_conditional(one) for one in conditions)

    assert holds()
    for wrong in ({"isreg": False}, {"uid": 33}, {"mode": "0666"}):
        assert not holds(__monitoring_relay={"stat": {**there["stat"], **wrong}})
    assert not holds(__monitoring_relay={"stat": {}})
    for name in ("monitoring_alerts_to", "monitoring_domain", "monitoring_relay_addresses"):
        assert not holds(**{name: ""})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_is_said_in_both_languages_with_a_remedy_and_is_played(
    rule: dict[str, Any],
) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert " / " in rule["annotations"]["summary"]
    assert rule["annotations"]["remedy"]
    raised = yaml.safe_dump(PLAYED["tests"][0]["promql_expr_test"])
    assert rule["alert"] in raised


def test_at_rest_no_alert_is_raised_though_every_measure_is_there() -> None:
    raised, rest = PLAYED["tests"]
    assert rest["promql_expr_test"] == [
        {"expr": "count(ALERTS)", "eval_time": "35m", "exp_samples": []}
    ]
    names = [
        {re.split(r"[{ ]", series["series"])[0] for series in one["input_series"]}
        for one in (raised, rest)
    ]
    assert names[0] == names[1]


def measure(tmp_path: Path, *units: str) -> dict[str, float]:
    """Run the program on a staged machine; return the measures by their name and label."""
    for name in ("out", "pki", "recorder", "recorder/journal", "waiting"):
        (tmp_path / name).mkdir(exist_ok=True)
    names = "out", "pki", "recorder", "waiting", "counts", "copy"
    folders = [str(tmp_path / name) for name in names]
    argv = ["sh", str(PROGRAM), *folders, "3600", *units]
    subprocess.run(argv, check=True, capture_output=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["casemate.prom"]
    lines = (tmp_path / "out" / "casemate.prom").read_text().splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


def test_the_program_counts_what_waits_and_what_is_not_signed(tmp_path: Path) -> None:
    at_rest = measure(tmp_path)
    assert at_rest["casemate_recorder_unsigned_seconds"] == 0
    assert at_rest["casemate_sessions_waiting"] == 0
    assert at_rest["casemate_seal_broken"] == 0
    checkpoint = tmp_path / "recorder" / "checkpoint"
    checkpoint.touch()
    subprocess.run(["touch", "-d", "90 seconds ago", str(checkpoint)], check=True)
    (tmp_path / "recorder" / "journal" / "0").touch()
    (tmp_path / "waiting" / "1.json").touch()
    (tmp_path / "waiting" / "used").touch()
    found = measure(tmp_path)
    assert 85 <= found["casemate_recorder_unsigned_seconds"] <= 120
    assert (found["casemate_sessions_waiting"], found["casemate_seal_broken"]) == (1, 1)


def test_the_program_says_how_old_the_last_anchor_is_and_how_old_it_may_be(
    tmp_path: Path,
) -> None:
    found = measure(tmp_path)
    assert found["casemate_anchor_limit_seconds"] == 3_600
    assert found["casemate_anchored_seconds"] == found["casemate_measured_seconds"]
    key = tmp_path / "recorder" / "signing.key"
    key.touch()
    subprocess.run(["touch", "-d", "@1795000000", str(key)], check=True)
    assert measure(tmp_path)["casemate_anchored_seconds"] == 1_795_000_000
    anchored = to_file(Anchored(41, 1_795_431_600, "paper"))
    (tmp_path / "recorder" / "anchored").write_bytes(anchored)
    assert measure(tmp_path)["casemate_anchored_seconds"] == 1_795_431_600


def test_the_program_repeats_the_figures_of_the_copy_and_nothing_else_of_that_file(
    tmp_path: Path,
) -> None:
    assert not [name for name in measure(tmp_path) if "forwarder" in name]
    (tmp_path / "copy").write_text(
        "casemate_forwarder_away_since_seconds 12\ncasemate_forwarder_lost 3\n"
        "casemate_forwarder_received 9\ncasemate_forwarder_measured_seconds 77\n"
        'casemate_unit_up{unit="casemate-recorder"} 1\ncasemate_forwarder_lost x\n'
    )
    found = measure(tmp_path)
    assert {name: n for name, n in found.items() if "forwarder" in name} == {
        "casemate_forwarder_away_since_seconds": 12,
        "casemate_forwarder_lost": 3,
        "casemate_forwarder_measured_seconds": 77,
    }
    assert 'casemate_unit_up{unit="casemate-recorder"}' not in found


def test_the_program_adds_up_the_last_counts_of_each_queue(tmp_path: Path) -> None:
    def line(name: str, full: int, near: int) -> str:
        counts = f'"enqueued": 9, "discarded.full": {full}, "discarded.nf": {near}'
        return f'Mon Nov 23 15:27:34 2026: {{ "name": "{name}", {counts}, "maxqsize": 1 }}\n'

    assert measure(tmp_path)["casemate_logs_lost"] == 0
    early = line("collector queue", 1, 0) + line("collector queue[DA]", 0, 0)
    late = line("collector queue", 4, 0) + line("collector queue[DA]", 20, 3)
    (tmp_path / "counts").write_text(early + late + line("main Q", 100, 0))
    assert measure(tmp_path)["casemate_logs_lost"] == 127


def test_the_program_reads_when_a_certificate_ends_and_whether_a_unit_runs(
    tmp_path: Path,
) -> None:
    (tmp_path / "pki").mkdir()
    certificate = tmp_path / "pki" / "users.crt"
    words = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=x"]
    words += ["-days", "10", "-keyout", str(tmp_path / "key"), "-out", str(certificate)]
    subprocess.run(words, check=True, capture_output=True)
    found = measure(tmp_path, "no-such-unit")
    end = found['casemate_certificate_end_seconds{name="users"}']
    assert 9 * 86_400 < end - found["casemate_measured_seconds"] <= 10 * 86_400
    assert found['casemate_unit_up{unit="no-such-unit"}'] == 0
