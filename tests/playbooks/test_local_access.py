"""What the role of the rack writes: who is asked for a code, what sudo and SSH let pass."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.install.answers import Answers, check
from appliance.site.rack import people, uses
from tests.install.stage import GIVEN
from tests.playbooks.rendering import ROLES, render, variables

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== anne@poste"
PEOPLE: list[dict[str, Any]] = [
    {"login": "anne", "name": "A. Martin", "rights": "administer", "ssh_keys": [KEY]},
    {"login": "boris", "name": "B. Roy", "rights": "operate", "ssh_keys": []},
    {"login": "chloe", "name": "C. Petit", "rights": "none", "ssh_keys": []},
]
GIVEN_ROLE: dict[str, Any] = {
    "local_access_people": PEOPLE,
    "local_access_admin_address": "198.51.100.10",
    "__local_access_remote": True,
}
ROLE = ROLES / "local_access"


def written(template: str) -> list[str]:
    text = render("local_access", template, GIVEN_ROLE)
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_program_and_the_role_mean_the_same_accounts_and_files() -> None:
    own = variables("local_access")
    assert own["__local_access_group"] == people.GROUP
    assert own["__local_access_break_glass"] == uses.BREAK_GLASS
    assert Path(own["__local_access_factors"]) == people.FACTORS
    assert Path(own["__local_access_waiting"]) == uses.WAITING


def test_everybody_is_asked_for_a_code_but_root_and_the_sealed_account() -> None:
    lines = [line.strip() for line in written("pam-config.j2")]
    assert lines[-2:] == [
        "[success=1 default=ignore]\tpam_succeed_if.so quiet user in root:casemate-secours",
        "required\tpam_oath.so usersfile=/etc/security/casemate.oath window=3 digits=6",
    ]
    assert "Default: yes" in lines


def test_a_session_that_is_not_recorded_does_not_open() -> None:
    required = (
        "session required pam_exec.so quiet seteuid type=open_session "
        "/opt/casemate/bin/casemate access record"
    )
    skip, hook = written("casemate-record.j2")
    assert skip.startswith("session [success=1 default=ignore] pam_succeed_if.so quiet ")
    assert hook == required
    assert written("casemate-record-sudo.j2") == [required], "sudo is nobody's without a record"


def test_sudo_lets_each_do_what_they_may_and_never_without_proof() -> None:
    lines = written("sudoers.j2")
    assert [line for line in lines if line.endswith(" ALL")] == [
        "anne ALL=(ALL:ALL) ALL", "casemate-secours ALL=(ALL:ALL) ALL",
    ]  # fmt: skip
    boris = [line for line in lines if line.startswith("boris ")]
    assert boris
    assert all(
        line.startswith("boris ALL=(root) /opt/casemate/bin/casemate ") for line in boris
    )
    assert not [line for line in lines if "NOPASSWD" in line or line.startswith("chloe")]


def test_the_rights_of_the_answers_are_those_of_the_role() -> None:
    (options,) = (
        yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text("utf-8"))[
            "argument_specs"
        ]["main"]["options"]["local_access_people"]["options"],
    )
    rights = variables("local_access")["__local_access_rights"]
    assert list(rights) == options["rights"]["choices"]
    for right in rights:
        named = {"login": "anne", "name": "A. Martin", "rights": right}
        assert isinstance(check({**GIVEN, "people": [named]}), Answers)


def test_ssh_wants_a_key_that_root_wrote_then_a_code_of_named_people_alone() -> None:
    lines = written("sshd.conf.j2")
    for line in (
        "ListenAddress 198.51.100.10:22",
        "AllowGroups casemate-people",
        "PermitRootLogin no",
        "AuthenticationMethods publickey,keyboard-interactive:pam",
        "PasswordAuthentication no",
        "AuthorizedKeysFile /etc/ssh/casemate-keys/%u",
    ):
        assert line in lines
    assert render("local_access", "keys.j2", {**GIVEN_ROLE, "item": PEOPLE[0]}) == f"{KEY}\n"


@pytest.mark.parametrize(
    ("key", "taken"),
    [
        pytest.param(KEY, True, id="Ed25519"),
        pytest.param(f'command="/bin/sh" {KEY}', False, id="with an order"),
        pytest.param("ssh-rsa AAAAB3NzaC1yc2E= anne", False, id="an old algorithm"),
        pytest.param("ssh-ed25519", False, id="no key"),
    ],
)
def test_the_role_takes_the_keys_that_the_answers_take(key: str, taken: bool) -> None:  # noqa: FBT001
    tasks = (ROLE / "tasks" / "precheck.yml").read_text("utf-8")
    (pattern,) = re.findall(r"item is match\('(\^\(ssh.*)'\)", tasks)
    assert (re.match(pattern, key) is not None) is taken


@pytest.mark.parametrize("unit", ["casemate-access.service.j2", "casemate-boot.service.j2"])
def test_a_unit_that_tells_the_recorder_has_no_network_and_no_capability(unit: str) -> None:
    lines = written(unit)
    for line in ("PrivateNetwork=yes", "CapabilityBoundingSet=", "ProtectSystem=strict"):
        assert line in lines
    assert not [line for line in lines if line.startswith("PrivateUsers=")]


def test_a_start_of_the_machine_is_told_by_its_id_and_what_waits_twice_a_minute() -> None:
    lines = written("casemate-boot.service.j2")
    assert "ExecStart=/opt/casemate/bin/casemate access boot %b" in lines
    assert "WantedBy=multi-user.target" in lines
    assert "OnCalendar=*-*-* *:*:00,30" in written("casemate-access.timer.j2")
