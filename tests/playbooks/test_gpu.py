"""The role of graphics cards on a stub of a driver; what it and model servers are asked."""

import json
import os
import re
import subprocess
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]
from ansible.template import Templar  # type: ignore[import-untyped]

from appliance.bundle.given import Entry, Given
from tests.playbooks.rendering import ROLES, render
from tests.playbooks.stub_driver import AGAIN, CARD, DETAILS, LINUX, LOADED, LOCK, Machine
from tests.playbooks.test_service_roles import GIVEN, MODELS_OF_SITE

GPU = ROLES / "gpu"
CARDS = [CARD.format(0), CARD.format(1)]
BUS = ["0000:01:00.0 0x030200 nvidia", "0000:02:00.0 0x030200 nvidia"]
SWITCH = "0000:05:00.0 0x068000 none"


def brought(**changes: Any) -> dict[str, Any]:
    return {"content": b64encode(json.dumps({**LOCK, **changes}).encode()).decode()}


READY: dict[str, Any] = {
    "gpu_memory_gib": 20,
    "ansible_facts": {"kernel": LINUX},
    "__gpu_bus": {"stdout_lines": BUS},
    "__gpu_module": {"stdout": LOADED},
    "__gpu_lock_file": brought(),
    "__gpu_secure": {"stdout": "   0"},
    "__gpu_said": {"rc": 0, "stdout_lines": CARDS},
    "__gpu_details": {"stdout": DETAILS},
}
NO_DRIVER = {"__gpu_module": {"stdout": ""}, "__gpu_said": {"rc": 2}}
NOTHING_BROUGHT = {"__gpu_lock_file": {"failed": True}}


@cache
def loaded(path: str) -> Any:
    """Return a file of the role as Ansible reads it, once."""
    return DataLoader().load_from_file(str(GPU / path), trusted_as_template=True)


def asked(changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what is asked of a machine, as Ansible evaluates it."""
    own = loaded("vars/main.yml")
    kept = loaded("tasks/measure.yml")[-1]["ansible.builtin.set_fact"]["gpu_questions"]
    assert kept == "{{ __gpu_before + (__gpu_after if __gpu_measured else []) }}"
    templar = Templar(loader=DataLoader(), variables={**own, **READY, **changes})
    names = ["__gpu_before"]
    if templar.template(own["__gpu_measured"]):
        names.append("__gpu_after")
    return {one["id"]: one for name in names for one in templar.template(own[name])}


def field(number: int, value: str) -> dict[str, Any]:
    """Return what the driver says, with one field of the second card changed."""
    row = CARDS[1].split(", ")
    row[number] = value
    return {"__gpu_said": {"rc": 0, "stdout_lines": [CARDS[0], ", ".join(row)]}}


def test_a_machine_whose_driver_runs_is_ready() -> None:
    found = asked({})
    assert all(one["holds"] is True for one in found.values())
    assert len(found) == 11


def test_a_bare_machine_with_a_card_is_ready_for_the_driver_of_the_release() -> None:
    found = asked({**NO_DRIVER, "__gpu_bus": {"stdout_lines": ["0:1:0.0 0x030000 none"]}})
    assert {name for name, one in found.items() if not one["holds"]} == {"gpu_mesure"}
    assert found["gpu_mesure"]["level"] == "warn"


@pytest.mark.parametrize(
    ("changes", "name", "level", "says"),
    [
        pytest.param({"__gpu_bus": {"stdout_lines": []}}, "gpu_carte", "strict", "0 carte",
                     id="no card"),
        pytest.param({"__gpu_bus": {"stdout_lines": [SWITCH]}}, "gpu_carte", "strict",
                     "0 carte", id="a switch is no card"),
        pytest.param({**NO_DRIVER, **NOTHING_BROUGHT}, "gpu_pilote", "strict",
                     "Aucun pilote chargé, le lot n’en apporte pas", id="no driver at all"),
        pytest.param({"__gpu_module": {"stdout": LOADED.replace("580", "575")},
                      **NOTHING_BROUGHT}, "gpu_pilote", "strict", "575.95.05", id="R575"),
        pytest.param({"__gpu_kernel": "6.12.57+deb13-amd64"}, "gpu_noyau", "strict",
                     f"modules compilés pour {LINUX}", id="another kernel"),
        pytest.param({"__gpu_bus": {"stdout_lines": ["0:1:0.0 0x030000 nouveau"]}},
                     "gpu_redemarrage", "warn", "nouveau", id="nouveau"),
        pytest.param({"__gpu_lock_file": brought(version="590.1.2")}, "gpu_redemarrage",
                     "warn", "580.95.05", id="another version runs"),
        pytest.param({"__gpu_secure": {"stdout": "   1"}}, "gpu_demarrage", "warn",
                     "non signé", id="secure boot"),
        pytest.param(field(2, "16384"), "gpu_memoire", "fail", "16.0 Gio", id="a small card"),
        pytest.param(field(4, "3"), "gpu_ecc", "fail", "3 erreur", id="bad memory"),
        pytest.param(field(3, "Disabled"), "gpu_ecc", "warn", "carte(s) 1", id="ECC off"),
        pytest.param(field(3, "[N/A]"), "gpu_ecc", "warn", "inactif", id="no ECC"),
        pytest.param(field(5, "Enabled"), "gpu_mig", "strict", "découpée(s) : 1", id="MIG"),
        pytest.param({"__gpu_details": {"stdout": DETAILS.replace("None", "VGPU")}},
                     "gpu_virtualisation", "strict", "VGPU", id="vGPU"),
        pytest.param({"__gpu_details": {"stdout": DETAILS.replace("None", "Pass-Through")}},
                     "gpu_virtualisation", "warn", "Pass-Through", id="a card passed through"),
        pytest.param({"__gpu_bus": {"stdout_lines": [*BUS, SWITCH]},
                      **field(7, "In Progress")}, "gpu_liaison", "strict", "liaison : 1",
                     id="a card outside the fabric"),
    ],
)  # fmt: skip
def test_each_shortcoming_has_its_level_its_reason_and_a_remedy(
    changes: dict[str, Any], name: str, level: str, says: str
) -> None:
    check = asked(changes)[name]
    assert check["holds"] is False
    assert check["level"] == level
    assert says in check["message"]
    assert len(check["remedy"]) > 20


def test_a_card_that_is_linked_to_nothing_is_asked_for_no_fabric() -> None:
    assert asked(field(7, "[N/A]"))["gpu_liaison"]["holds"] is True


def test_a_site_that_has_its_own_driver_keeps_it() -> None:
    found = asked({**NOTHING_BROUGHT, "__gpu_kernel": "6.12.99-other"})
    assert all(one["holds"] for one in found.values())


NODES = [f"{name} 660 905" for name in ("nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1")]


def holds(file: str, name: str, changes: Mapping[str, Any]) -> bool:
    """Tell whether the assertion of a task holds, as Ansible evaluates it."""
    own = loaded("vars/main.yml")
    (task,) = (one for one in loaded(f"tasks/{file}") if one["name"] == name)
    nodes = {"__gpu_nodes": {"stdout_lines": NODES}}
    variables = {**own, **READY, **nodes, **changes, **task.get("vars", {})}
    asked = task["ansible.builtin.assert"]["that"]
    templar = Templar(loader=DataLoader(), variables=variables)
    conditions = asked if isinstance(asked, list) else [asked]
    return all(templar.evaluate_conditional(condition) for condition in conditions)


ANSWERS = "Refuse a driver that does not answer for every card, or is another"
OPEN = "Refuse a missing node, and one that others may open"
LINKED = "Refuse cards behind a switch without what links them"


@pytest.mark.parametrize(
    ("file", "name", "changes"),
    [
        pytest.param("verify.yml", ANSWERS, NO_DRIVER, id="no driver answers"),
        pytest.param("verify.yml", ANSWERS,
                     {"__gpu_said": {"rc": 0, "stdout_lines": CARDS[:1]}},
                     id="one of two cards is silent"),
        pytest.param("verify.yml", ANSWERS, {"__gpu_lock_file": brought(version="590.1.2")},
                     id="the driver of before still runs"),
        pytest.param("verify.yml", "Refuse cards that fall asleep between two questions",
                     field(6, "Disabled"), id="no persistence"),
        pytest.param("verify.yml", OPEN, {"__gpu_nodes": {"stdout_lines": NODES[:-1]}},
                     id="a node is missing"),
        pytest.param("verify.yml", OPEN,
                     {"__gpu_nodes": {"stdout_lines": [*NODES[:-1], "nvidia1 660 44"]}},
                     id="a node of another group"),
        pytest.param("precheck.yml", LINKED, {"__gpu_bus": {"stdout_lines": [*BUS, SWITCH]}},
                     id="a switch without its manager"),
        pytest.param("configure.yml", "Stop where a restart is needed",
                     {"__gpu_bus": {"stdout_lines": ["0:1:0.0 0x030000 nouveau"]}},
                     id="another driver holds a card"),
    ],
)  # fmt: skip
def test_the_role_stops_where_cards_cannot_serve(
    file: str, name: str, changes: dict[str, Any]
) -> None:
    assert holds(file, name, {})
    assert not holds(file, name, changes)


def test_a_switch_with_its_manager_is_taken() -> None:
    manager = {"path": "m.deb", "name": "nvidia-fabricmanager", "version": "580.95.05-1"}
    given = {
        "__gpu_bus": {"stdout_lines": [*BUS, SWITCH]},
        "__gpu_lock_file": brought(files=[*LOCK["files"], manager]),
    }
    assert holds("precheck.yml", LINKED, given)


@pytest.fixture(scope="module")
def converged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, str]:
    """Lend a stub on which the role was played twice, and what Ansible said of the second."""
    machine = Machine.make(tmp_path_factory.mktemp("gpu"))
    status, said = machine.play()
    assert status == 0, said
    (_, again) = said.split(f"PLAY [{AGAIN}]")
    return machine, again


Converged = tuple[Machine, str]


@pytest.mark.timeout(300)  # a busy machine of two cores
def test_the_role_runs_on_a_stub_of_a_driver(converged: Converged) -> None:
    machine, _ = converged
    kept = machine.root / f"usr/lib/modules/{LINUX}/updates/casemate"
    assert [path.name for path in kept.iterdir()] == ["nvidia.ko"]
    assert f"depmod --all {LINUX}" in machine.calls
    assert "modprobe nvidia_uvm" in machine.calls
    assert machine.calls.index("modprobe nvidia_uvm") > machine.calls.index(
        f"depmod --all {LINUX}"
    )
    options = (machine.root / "etc/modprobe.d/casemate-gpu.conf").read_text("utf-8")
    assert "NVreg_DeviceFileMode=0660" in options
    assert "blacklist nouveau\n" in options
    unit = (machine.root / "etc/systemd/system/casemate-gpu.service").read_text("utf-8")
    assert re.findall(r"nvidia-modprobe -c (\d)", unit) == ["0", "1"]
    for wall in ("PrivateNetwork=yes", "DevicePolicy=closed", "NoNewPrivileges=yes"):
        assert f"{wall}\n" in unit
    assert "CapabilityBoundingSet=CAP_MKNOD CAP_CHOWN CAP_FOWNER CAP_SYS_ADMIN\n" in unit


@pytest.mark.timeout(300)
def test_played_again_the_role_changes_nothing(converged: Converged) -> None:
    _, again = converged
    assert "gpu : Make the device nodes and keep the cards awake" in again
    assert "changed: [" not in again


def test_a_node_that_anyone_may_open_fails_the_verification(tmp_path: Path) -> None:
    machine = Machine.make(tmp_path)
    assert holds("verify.yml", OPEN, nodes_of(machine))
    (tmp_path / "dev" / "nvidia1").chmod(0o666)
    assert not holds("verify.yml", OPEN, nodes_of(machine))
    (tmp_path / "dev" / "nvidia1").chmod(0o660)
    (tmp_path / "dev" / "nvidia-uvm").unlink()
    assert not holds("verify.yml", OPEN, nodes_of(machine))


def nodes_of(machine: Machine) -> dict[str, Any]:
    """Return what the role reads of the nodes, by the program that it runs."""
    tasks = loaded("tasks/verify.yml")
    (task,) = (one for one in tasks if one["name"] == "Read who may open the cards")
    templar = Templar(loader=DataLoader(), variables={"__gpu_root": str(machine.root)})
    argv = [templar.template(word) for word in task["ansible.builtin.command"]["argv"]]
    lines = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    return {"__gpu_nodes": {"stdout_lines": lines}, "__gpu_gid": os.getegid()}


def test_a_model_server_on_cards_opens_cards_and_nothing_else() -> None:
    given = {**GIVEN["vllm"], "vllm_profile": "gpu", "__vllm_compiled": False}
    unit = render("vllm", "casemate-vllm@.service.j2", given)
    lines = unit.splitlines()
    assert [line for line in lines if line.startswith("Device")] == [
        "DevicePolicy=closed", "DeviceAllow=char-nvidia rw", "DeviceAllow=char-nvidiactl rw",
        "DeviceAllow=char-nvidia-uvm rw",
    ]  # fmt: skip
    assert "PrivateDevices=yes" not in lines
    assert "PrivateNetwork=yes" in lines
    assert "SupplementaryGroups=casemate-gpu" in lines
    assert "After=casemate-gpu.service" in lines


def test_nothing_is_compiled_on_a_site_and_caches_are_the_instance_s_own() -> None:
    given = {**GIVEN["vllm"], "vllm_profile": "gpu", "__vllm_compiled": False}
    unit = render("vllm", "casemate-vllm@.service.j2", given)
    words = " ".join(re.findall(r"^Environment=(.*)$", unit, re.MULTILINE)).split()
    found = {name: value for name, _, value in (word.partition("=") for word in words)}
    assert found["CC"] == found["CXX"] == "/usr/bin/false"
    assert found["FLASHINFER_DISABLE_JIT"] == "1"
    for name in ("CUDA_CACHE_PATH", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR"):
        assert found[name].startswith("/var/cache/casemate/vllm-%i/")
    assert "--enforce-eager" in unit
    assert "gpu-kernels" not in unit
    with_kernels = render(
        "vllm", "casemate-vllm@.service.j2", {**given, "__vllm_compiled": True}
    )
    assert "--enforce-eager" not in with_kernels
    assert "/release/binaries/gpu-kernels/cache/. /var/cache/casemate/vllm-%i/" in with_kernels


def test_a_model_is_placed_on_its_cards_with_its_share() -> None:
    given = {**GIVEN["vllm"], "vllm_profile": "gpu"}
    embed, chat = MODELS_OF_SITE
    placed = {**chat, "cards": [0, 1], "share": 75}
    text = render("vllm", "vllm.env.j2", {**given, "item": placed})
    assert "CUDA_VISIBLE_DEVICES=0,1\n" in text
    assert "--tensor-parallel-size 2 --gpu-memory-utilization 0.75\n" in text
    assert "VLLM_CPU_KVCACHE_SPACE" not in text
    alone = render("vllm", "vllm.env.j2", {**given, "item": embed})
    assert "--runner pooling --tensor-parallel-size 1 --gpu-memory-utilization 0.1\n" in alone


@pytest.mark.parametrize(
    ("models", "card", "percent"),
    [
        pytest.param(MODELS_OF_SITE, 0, 90, id="both on the first card"),
        pytest.param([{**MODELS_OF_SITE[1], "cards": [0, 1]}, MODELS_OF_SITE[0]], 1, 80,
                     id="on the second, the chat model alone"),
        pytest.param([{**one, "share": 60} for one in MODELS_OF_SITE], 0, 120, id="too much"),
    ],
)  # fmt: skip
def test_what_models_want_of_a_card_is_added_up(
    models: list[dict[str, Any]], card: int, percent: int
) -> None:
    tasks = ROLES / "vllm" / "tasks" / "precheck.yml"
    loader = DataLoader()
    (task,) = (
        one
        for one in loader.load_from_file(str(tasks), trusted_as_template=True)
        if "vllm_profile" in one.get("when", "")
    )
    assert task["ansible.builtin.assert"]["that"] == "__vllm_wanted | int <= 95"
    own = loader.load_from_file(str(ROLES / "vllm/vars/main.yml"), trusted_as_template=True)
    templar = Templar(
        loader=loader, variables={**own, **task["vars"], "vllm_models": models, "item": card}
    )
    assert int(templar.template(task["vars"]["__vllm_wanted"])) == percent
    assert card in templar.template(task["loop"])


def test_the_profile_cpu_knows_no_card() -> None:
    unit = render("vllm", "casemate-vllm@.service.j2", GIVEN["vllm"])
    text = render("vllm", "vllm.env.j2", {**GIVEN["vllm"], "item": MODELS_OF_SITE[1]})
    assert not re.search(r"(?i)nvidia|cuda|gpu", unit + text)


def test_cards_are_asked_by_the_preflight_and_only_for_their_profile() -> None:
    play = yaml.safe_load((ROLES.parent / "preflight.yml").read_text("utf-8"))[0]
    (measure,) = play["pre_tasks"]
    assert measure["ansible.builtin.import_role"] == {
        "name": "gpu",
        "tasks_from": "measure.yml",
    }
    assert measure["when"] == "casemate_profile == 'gpu'"
    further = play["roles"][0]["vars"]["preflight_further"]
    assert further == "{{ gpu_questions | default([]) }}"


def test_measuring_changes_nothing() -> None:
    tasks = yaml.safe_load((GPU / "tasks" / "measure.yml").read_text("utf-8"))
    commands = [
        t for t in tasks if {"ansible.builtin.command", "ansible.builtin.shell"} & set(t)
    ]
    assert len(commands) == 5
    assert all(task["changed_when"] is False for task in commands)


def test_the_stub_has_the_lock_that_a_build_writes() -> None:
    assert set(LOCK) == set(Given.__struct_fields__)
    assert {key for entry in LOCK["files"] for key in entry} <= set(Entry.__struct_fields__)
