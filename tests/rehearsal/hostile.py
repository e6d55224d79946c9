"""A hostile gateway: what still holds, and what does not, each row tried in the machine.

The unit of a gateway of its own starts `attacks_inside.py` in the place of its program: same
user, groups, credentials and sandbox. A row that should hold and does not fails; so does one
that should not hold and does: what is written here and in docs/decisions/0056 would be false.
The attacks on files and sockets are made by root too: there they succeed.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from appliance.audit.event import Kind
from tests.rehearsal import attacks_inside
from tests.rehearsal.machine import ADDRESS, Machine, RehearsalError
from tests.rehearsal.machine import PERSON as BROWSER

ROOT = Path(__file__).parents[2]
UNIT = "casemate-gateway@9"
PLACE = "usr/local/lib/casemate-rehearsal"
PROGRAMS = ("attacks.py", "attacks_inside.py")
PYTHON = "/opt/casemate/current/appliance/bin/python"
DROP_IN = f"run/systemd/system/{UNIT}.service.d"
RESULT = "/run/casemate-hostile.json"
OVERRIDE = f"""\
[Service]
Type=oneshot
Restart=no
Environment=PYTHONPATH=/{PLACE}
ExecStart=
ExecStart={PYTHON} -s -m tests.rehearsal.attacks_inside /{PLACE}/work.json
StandardOutput=truncate:{RESULT}
"""

# What does not hold: the gateway asks the database and the models in the name of a person, and
# its word is taken. Attack -> what remains.
TRUSTED = {
    "signal_the_other_gateways": "workers share one user; the front drops one that ends",
    "write_the_journal": "the journal stamps each line with the user id",
    "lie_about_a_person": "the leaf carries user id 882, and cannot be taken back",
    "stop_the_service": "three signed leaves; any two people may stop or start it anyway",
    "spend_the_budget_of_a_person": "a signed leaf each time; no hard limit is passed",
    "ask_a_model_unrecorded": "the engine's own counters say more than the log",
    "read_passages_of_any_group": "read only; originals, histories and sessions stay closed",
}
# Made by root, out of any sandbox, each of these succeeds.
ROOT_DOES = {
    "come_as_the_front": False,  # not even root: the rule names the front
    "reach_database_by_tcp": False,
    "reach_management_of_keycloak": True,
    "reach_front": True,
    "listen_on_a_port": True,
    "write_packets": True,
    "make_a_namespace": True,
    "become_root": True,
    "run_written_memory": True,
    "trace_a_process": True,
    "change_a_program": True,
    "see_other_processes": True,
    "read_secrets_of_others": True,
    "read_settings_of_others": True,
    "read_the_key_of_the_log": True,
    "write_the_log": True,
    "read_files_of_the_database": True,
    "connect_to_sockets_of_others": True,
    "write_the_journal": True,
    "leave_by_tcp": False,
    "leave_by_udp": False,
    "reach_users_network": False,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """How an attack ended: `done`, `refused` or `broken`."""

    end: str
    seen: str


def judge(found: Mapping[str, Seen], names: Iterable[str]) -> list[str]:
    """Return what is not as the table says.

    Args:
        found: What the program printed.
        names: Of all attacks.
    """
    faults = [f"{name}: not tried" for name in sorted(set(names) - found.keys())]
    for name, one in found.items():
        expected = "done" if name in TRUSTED else "refused"
        if one.end != expected:
            faults.append(f"{name}: {one.end}, not {expected}: {one.seen}")
    return faults


def judge_root(found: Mapping[str, Seen]) -> list[str]:
    """Return which attacks of the control did not end as they do for root."""
    return [
        f"{name} by root: {found[name].end}: {found[name].seen}"
        for name, does in ROOT_DOES.items()
        if (found[name].end == "done") != does
    ]


def table(found: Mapping[str, Seen]) -> list[dict[str, str]]:
    """Return a row for each attack."""
    return [
        {
            "attack": name, "holds": "no" if one.end == "done" else "yes", "seen": one.seen,
            **({"what remains": TRUSTED[name]} if name in TRUSTED else {}),
        }
        for name, one in found.items()
    ]  # fmt: skip


def facts_of_others() -> list[str]:
    """Return the kinds that the gateway may not write: all but its own row, and the budgets."""
    variables = ROOT / "playbooks/roles/recorder/vars/main.yml"
    clients = yaml.safe_load(variables.read_text("utf-8"))["__recorder_clients"]
    (own,) = (set(one["types"]) for one in clients if one["name"] == "gateway")
    return sorted({str(kind) for kind in Kind} - own)


def _files(box: Machine, *patterns: str) -> list[str]:
    """Return files of the machine, as it names them; there is one for each pattern.

    Raises:
        RehearsalError: A pattern finds none: the attack would show nothing.
    """
    found: list[str] = []
    for pattern in patterns:
        some = [str(p.relative_to(box.root)) for p in box.root.glob(pattern) if p.is_file()]
        if not some:
            raise RehearsalError(f"no file {pattern} in the machine")
        found += [f"/{one}" for one in sorted(some)[:20]]
    return found


def work(box: Machine) -> dict[str, Any]:
    """Return the names that the attacks use; nothing of it is secret."""
    answers = json.loads((box.root / "etc/casemate/inventory.json").read_text("utf-8"))
    site = answers["all"]["children"]["site"]["hosts"]["casemate"]
    private = "run/credentials/{}.service/{}"
    mounted = [
        f"/{private.format(*one)}"
        for one in (("casemate-console", "session-key"), ("casemate-worker", "object-key"))
    ]
    return {
        "elsewhere": "203.0.113.7", "person": BROWSER, "machine": ADDRESS,
        "programs": _files(box, "opt/casemate/releases/1/appliance/bin/casemate"),
        "secrets": _files(box, "etc/casemate/secrets/*", "etc/casemate/pki/*.pem") + mounted,
        "settings": _files(
            box, "etc/casemate/console.toml", "etc/casemate/worker.toml",
            "etc/casemate/recorder.toml",
        ),
        "log_keys": _files(box, "var/lib/casemate/recorder/signing*.key"),
        "log_files": _files(
            box, "var/lib/casemate/recorder/**/*", "var/lib/casemate/last-signed/*"
        ),
        "data": _files(box, "var/lib/postgresql/17/main/global/*"),
        "sockets": [
            "/run/casemate/console/socket", "/run/casemate/front/socket",
            "/run/casemate/parser/socket", "/run/casemate/reader/socket",
            "/run/systemd/private",
        ],
        "roles": [
            "casemate_console", "casemate_worker", "casemate_opener", "casemate_indexer",
            "casemate_owner",
            "postgres", "keycloak",
        ],
        "clients": [
            ["casemate", "casemate-console"], ["casemate", "casemate-worker"],
            ["casemate", "casemate-provision"], ["casemate-admin", "casemate-provision"],
            ["master", "casemate-bootstrap"],
        ],
        "groups": ["/equipes/accueil", "/equipes/ressources-humaines", "/pilotage"],
        "facts_of_others": facts_of_others(), "person_subject": "repetition", "sealed": 0,
        "embedder": "all-minilm-l6-v2", "administrator": "morgan",
        "credentials": f"/run/credentials/{UNIT}.service",
        "admin_console": f"https://{site['casemate_admin_domain']}:8443/auth/admin/casemate-admin/console/",
    }  # fmt: skip


def seen(text: str) -> dict[str, Seen]:
    """Read what a program of attacks printed."""
    return {name: Seen(**one) for name, one in json.loads(text).items()}


def _place(box: Machine) -> None:
    folder = box.root / PLACE / "tests" / "rehearsal"
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        (folder / name).write_text(Path(__file__).with_name(name).read_text("utf-8"), "utf-8")
    (box.root / PLACE / "work.json").write_text(json.dumps(work(box)), "utf-8")
    for each in (box.root / PLACE, *(box.root / PLACE).rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)


def _write(box: Machine, path: str, text: str) -> None:
    """Write a file where the host does not see it: /run is the machine's own."""
    box.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"', "sh", path, text)


def hostile(box: Machine) -> dict[str, Any]:
    """Run the attacks as a gateway, then some as root; return the table.

    Raises:
        RehearsalError: A row is not as it is written.
    """
    _place(box)
    _write(box, f"/{DROP_IN}/hostile.conf", OVERRIDE)
    try:
        box.run("systemctl", "daemon-reload")
        box.run("systemctl", "start", f"{UNIT}.service", timeout=300)
        found = seen(box.run("cat", RESULT).stdout)
        words = (PYTHON, "-s", "-m", "tests.rehearsal.attacks", f"/{PLACE}/work.json")
        rooted = seen(box.run("env", f"PYTHONPATH=/{PLACE}", *words, timeout=300).stdout)
    finally:
        box.run("rm", "-rf", f"/{DROP_IN}", RESULT, f"/{PLACE}")
        box.run("systemctl", "daemon-reload")
        for part in ("strangers", "departures4", "departures6"):
            box.run("nft", "flush", "set", "inet", "casemate", part)
    names = attacks_inside.EVERY
    if faults := judge(found, names) + judge_root(rooted):
        raise RehearsalError("a hostile gateway: " + "\n".join(faults))
    return {"rows": table(found), "by root": sum(ROOT_DOES.values())}
