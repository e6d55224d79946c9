"""Secrets are where they belong and nowhere else; each socket answers whom it is for.

Every secret of the machine is looked for, as it is, in base64 and in hexadecimal, in arguments,
environments, journal, reports, settings and what a crash leaves; planted marks show that it
would be found. Then every account tries every socket below /run, and every role of the base.
"""

import base64
import json
import re
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.rehearsal.inside import User, entered, probe, users
from tests.rehearsal.machine import Machine, RehearsalError

SEEK = Path(__file__).with_name("seek.py")
SECRETS = "etc/casemate/secrets"
KEYS = (
    "etc/casemate/pki/*.pem",
    "etc/casemate/pki/*.key",
    "var/lib/casemate/recorder/signing.key",
    "var/lib/casemate/recorder/signing-p256.key",
)
FOLDERS = tuple(
    "/etc /root /run/log /tmp /var/lib/casemate/install /var/log /var/tmp".split()  # noqa: SIM905
)
SPARED = (f"/{SECRETS}", "/etc/casemate/pki", "/etc/shadow", "/etc/shadow-")
REPORT = "var/lib/casemate/install/report"
SHORTEST = 12  # characters of a secret that is worth looking for
MADE_OF = re.compile(r"(?:password|secret)\"?\s*[=:]\s*\"?([^\"\s,}]+)", re.IGNORECASE)

UNITS = {
    "casemate-recorder": "casemate-recorder", "casemate-gateway": "casemate-gateway@0",
    "casemate-console": "casemate-console", "casemate-worker": "casemate-worker",
    "casemate-reader": "casemate-reader",
    "casemate-indexer": "casemate-indexer",
    "casemate-events": "casemate-events",
    "casemate-heartbeat": "casemate-heartbeat",
    "casemate-parser": "casemate-parser@", "casemate-keycloak": "casemate-keycloak",
    "casemate-engine": "casemate-engine", "casemate-vllm": "casemate-vllm@embed",
    "haproxy": "haproxy", "postgres": "postgresql@17-main",
}  # fmt: skip
GATEWAY, CONSOLE, WORKER = "casemate-gateway", "casemate-console", "casemate-worker"
# Units that run where a site names a witness or a collector: that of the rehearsal has none.
UNDECLARED = {"casemate-feeder", "casemate-forwarder"}
# Who may connect to which socket; root may to all.
# fmt: off
SOCKETS: dict[str, set[str]] = {
    "/run/casemate/recorder/socket": {
        "casemate-recorder", GATEWAY, CONSOLE, WORKER, "casemate-access", "casemate-boot",
        "casemate-reader",
        "casemate-events", "casemate-indexer", "casemate-heartbeat", "casemate-feeder",
        "casemate-forwarder",
    },
    "/run/casemate/gateway/0.socket": {GATEWAY, "haproxy", CONSOLE, WORKER},
    "/run/casemate/gateway/1.socket": {GATEWAY, "haproxy", CONSOLE, WORKER},
    "/run/casemate/front/socket": {"haproxy", CONSOLE, WORKER},
    "/run/casemate/reader/socket": {"casemate-reader", CONSOLE},
    "/run/casemate/console/socket": {CONSOLE, "haproxy"},
    "/run/casemate/engine/socket": {"casemate-engine", GATEWAY, "casemate-heartbeat"},
    "/run/casemate/vllm-embed/socket": {"casemate-vllm", GATEWAY, "casemate-heartbeat"},
    "/run/casemate/vllm-chat/socket": {"casemate-vllm", GATEWAY, "casemate-heartbeat"},
    "/run/casemate/parser/socket": {"casemate-parser", WORKER},
}
# fmt: on
OPTIONAL = {"/run/casemate/vllm-chat/socket"}  # a site may serve no such model
EVERYBODY = {"/run/postgresql/.s.PGSQL.5432"}  # whose roles are told apart below
SYSTEM = (
    "/run/host/",
    "/run/systemd/",
    "/run/dbus/",
    "/run/udev/",
    "/run/chrony/",
    "/run/user/",
)
PEERS = Path(__file__).parents[2] / "playbooks/roles/postgresql/templates/pg_ident.conf.j2"


def peers(text: str) -> dict[str, set[str]]:
    """Read the map of peers: role of the database -> accounts that may be it."""
    found: dict[str, set[str]] = {"keycloak": set()}  # by password, and never by the socket
    for line in text.splitlines():
        if line and not line.startswith("#"):
            _, user, role = line.split()
            found.setdefault(role, set()).add(user)
    return found


def forms(secret: bytes) -> list[str]:
    """Return a secret as it may be written, each in base64: as it is, base64, hexadecimal."""
    written = {
        secret, base64.b64encode(secret), base64.urlsafe_b64encode(secret).rstrip(b"="),
        secret.hex().encode(),
    }  # fmt: skip
    return sorted(base64.b64encode(one).decode() for one in written)


def parts(name: str, data: bytes) -> list[bytes]:
    """Return what is secret in a file of secrets: words of a configuration, or all of it."""
    text = data.decode("utf-8", errors="ignore")
    if "PRIVATE KEY" in text:
        body = text.split("PRIVATE KEY-----")[1].split("-----")[0].split()
        return [line.encode() for line in body if len(line) >= SHORTEST]
    if Path(name).suffix in {".conf", ".json", ".toml"}:
        return [one.encode() for one in MADE_OF.findall(text) if len(one) >= SHORTEST]
    whole = data.strip()
    return [whole] if len(whole) >= SHORTEST else []


def gathered(root: Path) -> dict[str, list[bytes]]:
    """Return every secret of a machine, by file.

    Raises:
        RehearsalError: There are too few for a site: the search would show nothing.
    """
    found: dict[str, list[bytes]] = {}
    for pattern in (f"{SECRETS}/**/*", *KEYS):
        for path in sorted(root.glob(pattern)):
            if path.is_file() and path.suffix not in {".pub", ".crt", ".vkey"}:
                name = str(path.relative_to(root))
                found[name] = parts(name, path.read_bytes())
    if len([one for one in found.values() if one]) < len(UNITS):
        raise RehearsalError(f"few secrets: {sorted(found)}")
    return found


def sought(box: Machine, needles: Mapping[str, Sequence[bytes]]) -> dict[str, Any]:
    """Look for secrets in the machine; return where they were found, and how much was read.

    Raises:
        RehearsalError: The search could not run.
    """
    written = {name: [f for one in some for f in forms(one)] for name, some in needles.items()}
    work = {"needles": written, "folders": FOLDERS, "spared": SPARED}
    words = [*entered(box), "python3", "-c", SEEK.read_text("utf-8")]
    done = subprocess.run(
        words, input=json.dumps(work), capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise RehearsalError(f"the search: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def planted(box: Machine) -> Iterator[str]:
    """Put a mark into each place that is searched; yield it."""
    mark = f"rehearsal-{uuid.uuid4().hex}"
    report = box.root / REPORT / "rehearsal-mark"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(mark)
    box.run("sh", "-c", 'echo "$1" | systemd-cat -t rehearsal', "sh", mark)
    words = [*entered(box), "env", f"REHEARSAL={mark}", "sh", "-c", "sleep 60; :", mark]
    with subprocess.Popen(words) as process:
        try:
            time.sleep(1)
            yield mark
        finally:
            box.run("pkill", "-f", mark, check=False)
            process.wait(timeout=70)
            report.unlink()


def leaks(box: Machine) -> dict[str, Any]:
    """Look for every secret, then for the planted marks.

    Raises:
        RehearsalError: One was found, or a mark was not.
    """
    secrets = gathered(box.root)
    found = sought(box, secrets)
    if found["found"]:
        raise RehearsalError(f"secrets where none may be: {found['found']}")
    with planted(box) as mark:
        seen = set(sought(box, {"mark": [mark.encode()]})["found"])
    if missing := {"cmdline", "environ", "journal", f"/{REPORT}/rehearsal-mark"} - seen:
        raise RehearsalError(f"planted marks that were not seen: {sorted(missing)}")
    count = sum(len(one) for one in secrets.values())
    return {
        "files": len(secrets),
        "secrets": count,
        "bytes": found["bytes"],
        "marks": len(seen),
    }


def dumps(box: Machine) -> dict[str, Any]:
    """Break a gateway, and show that no unit of ours can leave a dump.

    Raises:
        RehearsalError: A process may write one, or one was written.
    """
    faults: list[str] = []
    for unit in UNITS.values():
        pid = box.run("systemctl", "show", "-P", "MainPID", f"{unit}.service", check=False)
        number = pid.stdout.strip()
        if unit.startswith(("casemate-", "haproxy")) and number not in {"", "0"}:
            limits = box.run("cat", f"/proc/{number}/limits").stdout
            if not re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE):
                faults.append(f"{unit}: may leave a dump")
    box.run("touch", "/run/rehearsal-stamp")
    box.run("systemctl", "kill", "--signal=ABRT", "casemate-gateway@1.service")
    time.sleep(2)
    where = ("/", "-xdev", "-type", "f", "-name", "*core*", "-size", "+64k")
    left = box.run("find", *where, "-newer", "/run/rehearsal-stamp", check=False).stdout
    faults += [f"a dump: {line}" for line in left.splitlines()]
    if faults:
        raise RehearsalError("; ".join(faults))
    return {"broken": "casemate-gateway@1", "dumps": 0}


def people(box: Machine) -> list[User]:
    """Return every account, with the groups that its unit adds."""
    found = users(box)
    lines = [line.split(":") for line in box.run("getent", "group").stdout.splitlines()]
    ids = {name: int(number) for name, _, number, _ in lines}
    listed = box.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "*.service")
    units = [line.split()[0] for line in listed.stdout.splitlines()]
    for unit in [*units, "casemate-parser@0.service"]:
        shown = box.run("systemctl", "show", "-p", "User", "-p", "SupplementaryGroups", unit)
        said = dict(line.split("=", 1) for line in shown.stdout.splitlines())
        if (one := found.get(said.get("User", ""))) is not None:
            more = (ids[group] for group in said["SupplementaryGroups"].split())
            groups = tuple({*one.groups, *more})
            found[one.name] = User(one.name, one.uid, one.gid, groups)
    return list(found.values())


def wrong_sockets(path: str, words: Mapping[str, str]) -> list[str]:
    """Return which accounts reach a socket, or do not, against the table.

    Args:
        path: Of the socket.
        words: What the probe said, by account.
    """
    if path.startswith(SYSTEM):
        return []
    if path not in SOCKETS and path not in EVERYBODY:
        return [f"{path}: in no table"]
    allowed = set(words) if path in EVERYBODY else {*SOCKETS[path], "root"} - UNDECLARED
    return [
        f"{path}: {name} {word}"
        for name, word in words.items()
        if (word == "passed") != (name in allowed)
    ]


def sockets(box: Machine) -> dict[str, Any]:
    """Try every socket below /run as every account; return who reaches which.

    Raises:
        RehearsalError: Somebody else does, a client does not, or a socket is in no table.
    """
    accounts = people(box)
    paths = sorted(box.run("find", "/run", "-type", "s").stdout.split())
    if missing := SOCKETS.keys() - OPTIONAL - set(paths):
        raise RehearsalError(f"no such socket: {sorted(missing)}")
    tries = [{"protocol": "unix", "path": path} for path in paths]
    seen = probe(entered(box), [one.job(tries) for one in accounts])
    table: dict[str, list[str]] = {}
    faults: list[str] = []
    for number, path in enumerate(paths):
        words = {one.name: said[number] for one, said in zip(accounts, seen, strict=True)}
        faults += wrong_sockets(path, words)
        if not path.startswith(SYSTEM):
            table[path] = [name for name, word in words.items() if word == "passed"]
    if faults:
        raise RehearsalError(f"{len(faults)} pairs are not as in the table: {faults[:20]}")
    return {"pairs": len(paths) * len(accounts), "table": table}


LOGIN = """
for pair in "$@"; do
  user="${pair%%:*}" role="${pair##*:}" base=casemate
  case "$role" in keycloak) base=keycloak;; prometheus) base=postgres;; esac
  setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups \
    psql -XAtqw -h /run/postgresql -d "$base" -U "$role" -c 'SELECT 1' >/dev/null 2>&1 &&
    echo "$pair"
done; :
"""


def roles(box: Machine) -> dict[str, Any]:
    """Try every role of the database as every user of a unit, and as root and nobody.

    Raises:
        RehearsalError: Somebody else gets in, or its own user does not.
    """
    declared = peers(PEERS.read_text("utf-8"))
    known = set(users(box))
    names = {
        *UNITS,
        "root",
        "nobody",
        "casemate-canary",
        *set().union(*declared.values()),
    } & known
    pairs = [f"{name}:{role}" for name in sorted(names) for role in declared]
    found = set(box.run("sh", "-c", LOGIN, "sh", *pairs, timeout=300).stdout.split())
    wanted = {f"{name}:{role}" for role, some in declared.items() for name in some & known}
    if found != wanted:
        raise RehearsalError(f"roles: too many {found - wanted}, missing {wanted - found}")
    return {"pairs": len(pairs), "logins": sorted(found)}


def secrets(box: Machine) -> dict[str, Any]:
    """Show all of it.

    Raises:
        RehearsalError: Something is not as it should be.
    """
    return {
        "sockets": sockets(box), "roles": roles(box), "leaks": leaks(box), "dumps": dumps(box),
    }  # fmt: skip
