"""What is sent to the collector of the site: to whom, with which proof, and what waits."""

import re
from typing import Any

import pytest
import yaml

from appliance.install.answers import AnswersError, check
from tests.install.stage import GIVEN
from tests.playbooks.rendering import ROLES, render, variables

COLLECTOR = "collecteur.site.internal"
SENT = render("logs", "logs.conf.j2", {"logs_collector": COLLECTOR})
UNIT = render("logs", "casemate-logs.service.j2", {})
OWN = variables("logs")
TASKS = ROLES / "logs" / "tasks"


def tasks(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((TASKS / name).read_text("utf-8"))
    return found


def test_the_collector_proves_its_name_and_we_prove_ours() -> None:
    for word in (
        'StreamDriverMode="1"',
        'StreamDriverAuthMode="x509/name"',
        f'StreamDriverPermittedPeers="{COLLECTOR}"',
        f'target="{COLLECTOR}" port="6514" protocol="tcp"',
        'TCP_Framing="octet-counted"',
    ):
        assert word in SENT


def test_the_key_comes_as_a_credential_and_only_root_reads_it_before() -> None:
    assert "LoadCredential=client.key:/etc/casemate/collector/client.key\n" in UNIT
    assert 'StreamDriver.KeyFile="/run/credentials/casemate-logs.service/client.key"' in SENT
    (key,) = (one for one in OWN["__logs_files"] if one["name"] == "client.key")
    assert key["modes"] == ["0400"]


def test_what_waits_is_on_the_disk_bounded_and_tried_for_ever() -> None:
    for word in (
        'queue.filename="collector"',
        'queue.maxDiskSpace="2048m"',
        'queue.saveOnShutdown="on"',
        'queue.syncQueueFiles="on"',
        'action.resumeRetryCount="-1"',
    ):
        assert word in SENT
    assert "ReadWritePaths=/var/lib/casemate/logs\n" in UNIT


def test_each_message_is_numbered_so_that_a_gap_is_seen() -> None:
    assert "set $/sequence = $/sequence + 1;" in SENT
    assert '[meta sequenceId=\\"%$!sequence%\\"]' in SENT
    assert 'template="numbered"' in SENT


def test_losses_are_counted_where_the_measures_read_them() -> None:
    counts = OWN["__logs_counts"]
    assert f'log.file="{counts}"' in SENT
    assert variables("monitoring")["__monitoring_counts"] == counts
    assert "RuntimeDirectory=casemate-logs\n" in UNIT


def test_without_a_collector_nothing_is_installed_and_nothing_runs() -> None:
    for name in ("install.yml", "configure.yml"):
        for task in tasks(name):
            module = next(word for word in task if word.startswith("ansible.builtin."))
            if module.endswith((".apt", ".systemd_service")) or "__logs_settings" in str(task):
                assert "logs_collector | length" in str(task["when"]), task["name"]


def test_the_answers_name_the_collector_or_nothing() -> None:
    assert check(GIVEN).collector == ""
    assert check({**GIVEN, "collector": COLLECTOR}).collector == COLLECTOR
    with pytest.raises(AnswersError, match="collector"):
        check({**GIVEN, "collector": "192.0.2.7; accept"})


def test_the_unit_is_held_in_and_has_no_capability() -> None:
    for wall in ("CapabilityBoundingSet=", "ProtectSystem=strict", "NoNewPrivileges=yes"):
        assert f"{wall}\n" in UNIT
    assert re.search(r"^User=casemate-logs$", UNIT, re.MULTILINE)


def test_the_numbers_of_the_user_are_nobody_elses() -> None:
    base = yaml.safe_load((ROLES / "base_system" / "vars" / "main.yml").read_text("utf-8"))
    taken = {**base["__base_system_users"], **base["__base_system_groups"]}
    assert OWN["__logs_uid"] not in taken.values()
