"""The inventory of a site, made from the answers and the release. Pure.

JSON, which is YAML: one group `site` of one machine, whose values win over the defaults that
the playbooks describe in `inventories/single/group_vars/all.yml`.
"""

import json
from collections.abc import Mapping

from appliance.install.answers import Answers, Zone, ZoneName
from appliance.install.phases import Release

HOST = "casemate"
ZONES: tuple[ZoneName, ...] = ("users", "admin", "logs", "gpu", "backup")
Value = str | int | list[object] | Mapping[str, object]


def variables(
    answers: Answers, release: Release, site_toml: str, created: int = 0
) -> dict[str, Value]:
    """Return the variables of the site.

    Args:
        answers: Checked.
        release: What is installed.
        site_toml: The declared site, on this machine.
        created: When the release was made, seconds since 1970: no clock may be before.
    """
    found: dict[str, Value] = {
        "casemate_seq": release.release_seq,
        "casemate_release_dir": f"/var/lib/casemate/releases/{release.release_seq}",
        "casemate_site_name": answers.site_name,
        "casemate_domain": answers.domain,
        "casemate_admin_domain": answers.administrators,
        "casemate_time_zone": answers.time_zone,
        "casemate_profile": answers.profile,
        "casemate_users_address": answers.users_address,
        "casemate_admin_address": answers.admin_address,
        "casemate_time_servers": list(answers.time_servers),
        "casemate_hosts": [
            {"address": one.address, "names": list(one.names)} for one in answers.hosts
        ],
        "casemate_people": [one.model_dump(mode="json") for one in answers.people],
        "casemate_collector": answers.collector,
        "casemate_relay": answers.alerts.relay if answers.alerts else "",
        "casemate_alerts_to": answers.alerts.to if answers.alerts else "",
        "casemate_pki": answers.pki,
        "casemate_administrator": answers.administrator,
        "casemate_gateways": answers.gateways,
        "casemate_site_toml": site_toml,
        "casemate_not_before": created,
        "casemate_overrides": [
            {"id": one.check, "reason": one.reason, "operator": answers.operator}
            for one in answers.overrides
        ],
    }
    if answers.models:
        found["casemate_models"] = [
            one.model_dump(mode="json", exclude_none=True) for one in answers.models
        ]
    if answers.zones:
        closed = Zone(interface="lo")
        named = {name: answers.zones.get(name, closed) for name in ZONES}
        found["casemate_zones"] = {
            name: zone.model_dump(mode="json") for name, zone in named.items()
        }
    return found


def inventory(values: Mapping[str, Value], interpreter: str) -> bytes:
    """Return the inventory file.

    The values are the host's: Ansible lets those of a group in a file yield to the defaults in
    `group_vars/all.yml`, and the answers of the engineer would be lost.
    """
    host = {"ansible_connection": "local", "ansible_python_interpreter": interpreter}
    site = {"hosts": {HOST: {**host, **values}}}
    text = json.dumps({"all": {"children": {"site": site}}}, indent=2, ensure_ascii=False)
    return f"{text}\n".encode()
