"""What the roles of services write is what the processes read; ids and sockets fit together."""

import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.audit.desk import READ
from appliance.parts import MODELS, Part
from appliance.settings import GatewaySettings, WorkerSettings, load
from appliance.site.credentials import HISTORY, NAMES
from appliance.site.keycloak import BUILD
from tests.playbooks.rendering import ROLES, render, variables

MODELS_OF_SITE = [
    {"instance": "embed", "kind": "embed", "id": "e", "name": "vecteurs", "context": 256},
    {"instance": "chat", "kind": "chat", "id": "c", "name": "mistral", "context": 2048},
]
WITNESSES = [
    {"name": "rssi", "key": "w", "address": "192.0.2.8"},
    {"name": "dpo", "key": "v", "address": ""},
]
GIVEN: dict[str, dict[str, Any]] = {
    "console": {
        "console_domain": "casemate.test",
        "console_site_name": "Préfecture",
        "console_time_zone": "Europe/Paris",
    },
    "engine": {},
    "gateway": {
        "gateway_domain": "casemate.test",
        "gateway_models": MODELS_OF_SITE,
        "__gateway_engines": MODELS_OF_SITE[1:],
        "__gateway_embedders": MODELS_OF_SITE[:1],
        "item": 1,
    },
    "haproxy": {
        "haproxy_users_address": "192.0.2.1",
        "haproxy_admin_address": "192.0.2.2",
        "haproxy_cards": "/etc/casemate/pki/cards.pem",
    },
    "keycloak": {
        "keycloak_domain": "casemate.test",
        "keycloak_admin_domain": "admin.test",
        "__keycloak_archives": {"files": [{"path": "/release/keycloak-x.tar.gz"}]},
    },
    "identity_events": {},
    "feeder": {"feeder_witnesses": WITNESSES, "__feeder_keys": ["k1", "k2"]},
    "forwarder": {
        "forwarder_host": "casemate.test",
        "forwarder_collector": "collecteur.test",
    },
    "heartbeat": {"heartbeat_models": MODELS_OF_SITE},
    "indexer": {},
    "reader": {},
    "recorder": {"recorder_origin": "casemate.test/log", "recorder_time_zone": "Europe/Paris"},
    "site_apply": {},
    "vllm": {
        "vllm_release_dir": "/release",
        "vllm_models": MODELS_OF_SITE,
        "__vllm_compiled": False,
    },
    "witness": {
        "witness_name": "rssi.test/w1",
        "witness_logs": ["k1", "k2"],
        "witness_address": "192.0.2.8",
        "witness_clients": ["192.0.2.7/32"],
    },
    "worker": {"worker_domain": "casemate.test"},
}
WRITTEN = [
    ("console", Part.CONSOLE),
    ("engine", Part.ENGINE),
    ("gateway", Part.GATEWAY),
    ("haproxy", Part.FRONT),
    ("feeder", Part.FEEDER),
    ("forwarder", Part.FORWARDER),
    ("heartbeat", Part.HEARTBEAT),
    ("identity_events", Part.EVENTS),
    ("indexer", Part.INDEXER),
    ("keycloak", Part.KEYCLOAK),
    ("keycloak", Part.IDENTITY),
    ("reader", Part.READER),
    ("recorder", Part.RECORDER),
    ("site_apply", Part.APPLY),
    ("witness", Part.WITNESS),
    ("worker", Part.WORKER),
]
OWN = sorted(GIVEN)
UNITS = {
    path.name.removesuffix(".j2"): render(path.parts[-3], path.name, GIVEN[path.parts[-3]])
    for role in OWN
    for path in (ROLES / role / "templates").glob("casemate-*.service.j2")
}
CONTRACT = {  # user to its id; a volume outlives the system that named its owner
    "casemate-recorder": 880,
    "casemate-gateway": 882,
    "casemate-console": 883,
    "casemate-worker": 884,
    "casemate-parser": 885,
    "casemate-keycloak": 886,
    "casemate-engine": 887,
    "casemate-vllm": 888,
    "casemate-witness": 891,
    "casemate-feeder": 892,
    "casemate-reader": 893,
    "casemate-indexer": 894,
    "casemate-forwarder": 895,
    "casemate-events": 896,
    "casemate-heartbeat": 897,
    "casemate-recorder-clients": 900,
    "casemate-gateway-clients": 901,
    "casemate-console-clients": 902,
    "casemate-engine-clients": 903,
    "casemate-objects": 904,
    "casemate-reader-clients": 906,
    "casemate-gpu": 905,
}


@pytest.mark.parametrize(("role", "part"), WRITTEN)
def test_the_settings_that_a_role_writes_are_read_by_its_process(
    tmp_path: Path, role: str, part: Part
) -> None:
    path = tmp_path / f"{part}.toml"
    path.write_text(render(role, f"{part}.toml.j2", GIVEN[role]))
    load(path, MODELS[part])


def test_each_part_with_settings_has_a_role_that_writes_them() -> None:
    assert {part for _, part in WRITTEN} == set(Part)


def test_a_worker_of_the_gateway_has_its_own_name_socket_and_credentials(
    tmp_path: Path,
) -> None:
    (path := tmp_path / "g.toml").write_text(
        render("gateway", "gateway.toml.j2", GIVEN["gateway"])
    )
    found = load(path, GatewaySettings)
    assert found.name == "gateway-1"
    assert found.socket == Path("/run/casemate/gateway/1.socket")
    assert found.site_secret.parent == Path("/run/credentials/casemate-gateway@1.service")
    assert found.engines == {
        "extraits": Path("/run/casemate/engine/socket"),
        "mistral": Path("/run/casemate/vllm-chat/socket"),
    }
    assert found.embedder == Path("/run/casemate/vllm-embed/socket")
    assert found.embedding_model == "vecteurs"


def test_documents_are_parsed_by_another_user_on_a_site(tmp_path: Path) -> None:
    (path := tmp_path / "w.toml").write_text(
        render("worker", "worker.toml.j2", GIVEN["worker"])
    )
    assert load(path, WorkerSettings).parser == Path("/run/casemate/parser/socket")
    unit = UNITS["casemate-parser@.service"]
    assert "User=casemate-parser\n" in unit
    assert "LoadCredential" not in unit
    assert "PrivateNetwork=yes\n" in unit


def test_each_id_is_the_one_of_the_contract_in_every_role() -> None:
    for role in OWN:
        for group in variables(role).get(f"__{role}_groups", []):
            assert group["gid"] == CONTRACT[group["name"]], role
        own = variables(role)
        if f"__{role}_user" in own:
            assert own[f"__{role}_uid"] == CONTRACT[own[f"__{role}_user"]]


def test_the_base_system_makes_them_by_the_same_ids() -> None:
    base = variables("base_system")
    made = {**base["__base_system_users"], **base["__base_system_groups"]}
    assert {name: made[name] for name in CONTRACT} == CONTRACT
    assert len(set(made.values())) == len(made)
    assert variables("gpu")["__gpu_gid"] == CONTRACT["casemate-gpu"]


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_a_unit_names_only_groups_that_its_role_makes(unit: str) -> None:
    role = next(r for r in OWN if (ROLES / r / "templates" / f"{unit}.j2").exists())
    made = {group["name"] for group in variables(role)[f"__{role}_groups"]}
    for line in UNITS[unit].splitlines():
        key, _, value = line.partition("=")
        if key in {"User", "Group", "SupplementaryGroups"}:
            assert set(value.split()) <= made


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_a_unit_is_delivered_exactly_the_secrets_that_its_role_makes(unit: str) -> None:
    role = next(r for r in OWN if (ROLES / r / "templates" / f"{unit}.j2").exists())
    delivered = re.findall(r"LoadCredential=([^:]+):/etc/casemate/secrets/\1", UNITS[unit])
    given = re.findall(r"LoadCredential=([^:]+):/etc/casemate/collector/\1\n", UNITS[unit])
    assert len(delivered) + len(given) == UNITS[unit].count("LoadCredential=")
    # Put there by the site, for the collector.
    assert bool(given) == (unit == "casemate-forwarder.service")
    tasks = (ROLES / role / "tasks" / "configure.yml").read_text("utf-8")
    made = {name for name in NAMES if re.search(rf"[ ,\[]{name}[\],\n]", tasks)}
    for name in delivered:
        assert name in {*made, f"{HISTORY}.pub", "keycloak.conf"}


def test_the_gateway_cannot_open_what_it_sealed_yesterday() -> None:
    unit = UNITS["casemate-gateway@.service"]
    assert "LoadCredential=history-key.pub:" in unit
    assert "LoadCredential=history-key:" not in unit
    assert READ not in UNITS["casemate-gateway@.service"]


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_no_secret_is_in_a_command_line_or_an_environment(unit: str) -> None:
    for line in UNITS[unit].splitlines():
        if line.startswith(("ExecStart", "Environment")):
            words = " ".join(shlex.split(line.replace("{", "").replace("}", "")))
            assert not re.search(r"(?i)(password|secret|token)\s*=", words)


@pytest.mark.parametrize("unit", sorted(UNITS))
def test_a_unit_is_held_in(unit: str) -> None:
    lines = Counter(UNITS[unit].splitlines())
    for wall in (
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "RestrictNamespaces=yes",
        "LimitCORE=0",  # a dump holds questions and keys
        "SystemCallFilter=@system-service",
        "SystemCallArchitectures=native",
    ):
        assert lines[wall] == 1, wall


@pytest.mark.parametrize(
    "unit",
    [
        "casemate-engine.service",
        "casemate-parser@.service",
        "casemate-recorder.service",
        "casemate-vllm@.service",
    ],
)
def test_what_uses_only_unix_sockets_has_no_network(unit: str) -> None:
    assert "PrivateNetwork=yes\n" in UNITS[unit]


# For an address that only the packet filter knows.
LEAVES = {"casemate-feeder.service", "casemate-forwarder.service"}
ANSWERS = {"casemate-witness.service"}  # on a machine of its own, for the sites that are named


def test_what_has_a_network_has_the_loopback_alone_unless_it_has_a_flow_that_leaves() -> None:
    flows = yaml.safe_load((ROLES / "nftables" / "vars" / "main.yml").read_text("utf-8"))
    leaving = {
        f"{unit}.service"
        for flow in flows["__nftables_flows"]
        if flow["kind"] == "leave"
        for unit in flow["units"]
    }
    assert leaving & UNITS.keys() == LEAVES
    for unit, text in UNITS.items():
        if unit in LEAVES:
            assert "PrivateNetwork=yes" not in text
            continue
        if unit in ANSWERS:
            assert "\nIPAddressDeny=any\nIPAddressAllow=localhost 192.0.2.7/32\n" in text
            assert "\nSocketBindDeny=any\nSocketBindAllow=tcp:8787\n" in text
            continue
        assert ("PrivateNetwork=yes" in text) != (
            "IPAddressDeny=any\nIPAddressAllow=localhost\n" in text
        ), unit


def test_what_asks_keycloak_cannot_stand_in_its_place() -> None:
    binds = {unit for unit, text in UNITS.items() if "SocketBindDeny=any\n" not in text}
    without_network = {unit for unit, text in UNITS.items() if "PrivateNetwork=yes\n" in text}
    assert binds - without_network == {"casemate-keycloak.service"}


def test_the_reader_of_peer_credentials_sees_users_as_they_are() -> None:
    assert "PrivateUsers=" not in re.sub(r"#.*", "", UNITS["casemate-recorder.service"])


def test_a_model_server_is_silent_and_serves_a_folder_of_the_release() -> None:
    unit = UNITS["casemate-vllm@.service"]
    for word in ("HF_HUB_OFFLINE=1", "VLLM_NO_USAGE_STATS=1", "DO_NOT_TRACK=1"):
        assert word in unit
    assert "--uds /run/casemate/vllm-%i/socket" in unit
    given = GIVEN["vllm"]
    embed, chat = (
        render("vllm", "vllm.env.j2", {**given, "item": item}) for item in MODELS_OF_SITE
    )
    assert "CASEMATE_MODEL=/release/models/e\n" in embed
    assert "--runner pooling" in embed
    assert "--load-format mistral" in chat


def test_peers_of_the_database_are_the_processes_and_nobody_is_trusted() -> None:
    access = render("postgresql", "pg_hba.conf.j2", {})
    rows = [line.split() for line in access.splitlines() if not line.startswith("#")]
    assert {row[0]: row[-2 if row[0] == "local" else -1] for row in rows} == {
        "local": "peer",
        "host": "scram-sha-256",
    }
    assert [row[3] for row in rows if row[0] == "host"] == ["127.0.0.1/32"]
    ident = render("postgresql", "pg_ident.conf.j2", {})
    known = {tuple(line.split()[1:]) for line in ident.splitlines() if line[:1] != "#"}
    # `casemate_reader` is the group role that the policies of documents name.
    reader = ("casemate-reader", "casemate_opener")
    assert reader in known
    for user, role in known - {("postgres", "postgres"), reader}:
        assert user == "root" or user.replace("-", "_") == role


@pytest.mark.parametrize("role", [*OWN, "postgresql"])
def test_each_default_is_described_and_each_option_without_one_is_required(role: str) -> None:
    text = (ROLES / role / "meta" / "argument_specs.yml").read_text("utf-8")
    options = yaml.safe_load(text)["argument_specs"]["main"].get("options", {})
    path = ROLES / role / "defaults" / "main.yml"
    defaults = (yaml.safe_load(path.read_text("utf-8")) if path.exists() else None) or {}
    assert {name: o["default"] for name, o in options.items() if "default" in o} == defaults
    alone = {
        name for name, o in options.items() if "default" not in o and not o.get("required")
    }
    assert not alone
    assert not [name for name, option in options.items() if option.get("no_log")]


def test_keycloak_is_built_for_what_its_unit_and_its_front_expect() -> None:
    assert "http-relative-path=/auth\n" in BUILD
    assert "spi-x509cert-lookup--provider=haproxy\n" in BUILD
    assert "http-management-relative-path=/\n" in BUILD


# Wall to the units that are spared it; playbooks/UNITS.md says why.
SPARED = {
    "MemoryDenyWriteExecute=yes": {"casemate-keycloak", "casemate-vllm@"},
    "PrivateDevices=yes": set[str](),
    "PrivateNetwork=yes": {
        "casemate-console",
        "casemate-events",
        "casemate-feeder",
        "casemate-forwarder",
        "casemate-gateway@",
        "casemate-heartbeat",
        "casemate-keycloak",
        "casemate-witness",
        "casemate-worker",
    },
    "ProcSubset=pid": {"casemate-keycloak", "casemate-recorder", "casemate-vllm@"},
    "SystemCallFilter=~@privileged @resources": {"casemate-keycloak", "casemate-vllm@"},
}


@pytest.mark.parametrize("wall", sorted(SPARED))
def test_what_a_unit_is_spared_is_in_the_list_with_its_reason(wall: str) -> None:
    spared = {
        unit.removesuffix(".service")
        for unit, text in UNITS.items()
        if wall not in text.splitlines()
    }
    assert spared == SPARED[wall]
    page = (ROLES.parent / "UNITS.md").read_text("utf-8")
    word = wall.rpartition(" ")[2] if " " in wall else wall
    rows = [row for row in page.splitlines() if word.removeprefix("@") in row]
    for unit in spared:
        assert any(f"`{unit}`" in row for row in rows), (unit, wall)
