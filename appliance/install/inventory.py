"""The inventory of a site, made from the answers and the release; and its checklist. Pure.

JSON, which is YAML: one group `site` of one machine, whose values win over the defaults that
the playbooks describe in `inventories/single/group_vars/all.yml`.
"""

import json
from collections.abc import Iterator, Mapping

from appliance.install.answers import Answers, Zone, ZoneName
from appliance.install.phases import PHASES, Release

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
        "casemate_pki": answers.pki,
        "casemate_gateways": answers.gateways,
        "casemate_site_toml": site_toml,
        "casemate_not_before": created,
        "casemate_overrides": [
            {"id": one.check, "reason": one.reason, "operator": answers.operator}
            for one in answers.overrides
        ],
    }
    if answers.models:
        found["casemate_models"] = [one.model_dump(mode="json") for one in answers.models]
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


def checklist(values: Mapping[str, Value]) -> str:
    """Return what the engineer takes along on paper, in Markdown, French."""
    return "\n".join(_checklist(values)) + "\n"


def _checklist(values: Mapping[str, Value]) -> Iterator[str]:
    yield f"# Liste de contrôle — {values['casemate_site_name']}\n"
    yield "## Avant de partir\n"
    for item in (
        "le ou les supports, leur numéro de série relevé, et leur copie de secours",
        "l’empreinte de la racine de confiance, sur papier, remise par une autre voie",
        "le bordereau de la station blanche du site",
        "le nom de la personne qui approuve un contrôle en échec",
    ):
        yield f"- [ ] {item}"
    yield "\n## À vérifier sur la machine\n"
    for item in (
        "Debian 13 (trixie), x86-64, disques chiffrés (LUKS2)",
        "horloge à l’heure : jamais avant la date de fabrication du lot",
        "aucune interface reliée à un réseau extérieur",
        f"adresse des usagers : {values['casemate_users_address']}",
        f"adresse des administrateurs : {values['casemate_admin_address']}",
        f"nom connu des postes : {values['casemate_domain']}",
        f"nom connu des postes d’administration : {values['casemate_admin_domain']}",
    ):
        yield f"- [ ] {item}"
    yield "\n## Pendant l’installation\n"
    yield "| phase | durée attendue | éteindre pendant ? | heure de fin |"
    yield "|---|---|---|---|"
    for phase in PHASES:
        may = "oui" if phase.power_off else "non"
        yield f"| {phase.number}. {phase.french} | {phase.expected} s | {may} | |"
    yield "\nEn cas d’arrêt : relever le code et dicter la phrase affichée, rien d’autre.\n"
    yield "## Après\n"
    for item in (
        "procès-verbal relu, imprimé, signé par les deux parties",
        "empreintes des clés et clé de vérification du journal remises au RSSI",
        "supports rendus ou détruits, selon la règle du site",
    ):
        yield f"- [ ] {item}"
