"""The copy of the signed log at the collector: only where there is one, and held in."""

from typing import Any

import pytest
import yaml

from tests.playbooks.rendering import ROLES, render, variables

GIVEN = {"forwarder_host": "casemate.test", "forwarder_collector": "collecteur.test"}
UNIT = render("forwarder", "casemate-forwarder.service.j2", GIVEN)
TASKS = ROLES / "forwarder" / "tasks"


@pytest.mark.parametrize("name", ["install.yml", "configure.yml"])
def test_without_a_collector_nothing_is_installed_and_nothing_runs(name: str) -> None:
    tasks: list[dict[str, Any]] = yaml.safe_load((TASKS / name).read_text("utf-8"))
    for task in tasks:
        module = next(word for word in task if word.startswith("ansible.builtin."))
        if module.endswith((".template", ".systemd_service")):
            assert "forwarder_collector | length" in str(task["when"]), task["name"]


def test_it_uses_the_certificates_that_the_logs_of_the_system_use() -> None:
    own, logs = variables("forwarder"), variables("logs")
    assert own["__forwarder_certificates"] == logs["__logs_certificates"]
    assert own["__forwarder_files"] == logs["__logs_files"]
    for one in own["__forwarder_files"]:
        name = one["name"]
        assert f"LoadCredential={name}:/etc/casemate/collector/{name}\n" in UNIT


def test_it_starts_again_with_the_recorder_and_never_gives_up() -> None:
    for line in ("PartOf=casemate-recorder.service", "Restart=always",
                 "StartLimitIntervalSec=0"):  # fmt: skip
        assert f"{line}\n" in UNIT


def test_it_writes_its_own_folder_alone_and_listens_nowhere() -> None:
    assert "StateDirectory=casemate/forwarder\n" in UNIT
    assert 'state = "/var/lib/casemate/forwarder"\n' in render(
        "forwarder", "forwarder.toml.j2", GIVEN
    )
    for wall in ("ProtectSystem=strict", "SocketBindDeny=any", "CapabilityBoundingSet="):
        assert f"{wall}\n" in UNIT
    assert "ReadWritePaths" not in UNIT
