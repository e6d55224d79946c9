"""People at the rack: who comes in, who does not, and what the signed log has of it.

One administrator and one operator are declared. Each refusal stands beside the same person who
comes in: a terminal that always refused would prove nothing. Codes are those of a list on
paper, which need no waiting. At the end nobody is declared any more.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from appliance.site.rack.oath import codes
from tests.rehearsal.inside import play
from tests.rehearsal.machine import Machine, RehearsalError

DIALOGUE = (Path(__file__).with_name("dialogue.py")).read_text("utf-8")
CASEMATE = "/opt/casemate/bin/casemate"
FACTORS = "etc/security/casemate.oath"
GLASS = "casemate-secours"
PEOPLE = [
    {"login": "anne", "name": "A. Martin", "rights": "administer", "ssh_keys": []},
    {"login": "boris", "name": "B. Roy", "rights": "operate", "ssh_keys": []},
]
WORD = "aube-7-pignon-vert"  # both people's password, on a machine that is thrown away
PASSWORD, CODE, PROMPT = r"[Pp]assword: $", r"One-time password[^\n]*: $", r"\$ ?$"
SECONDS = 40.0  # of a dialogue
REFUSED = 9.0  # of one that is refused: the program would ask for another name
Says = Sequence[tuple[str, str]]
READ = """
import asyncio, sys
from pathlib import Path
from appliance.audit.client import RecorderClient
async def main():
    client = RecorderClient(Path("/run/casemate/recorder/socket"), "rehearsal")
    await client.connect()
    leaves = await client.read(-200, 200)
    await client.close()
    sys.stdout.write("\\n".join(leaf.decode() for leaf in leaves))
asyncio.run(main())
"""
FRONT = """
import http.client, ssl, sys
for path in sys.argv[2:]:
    front = http.client.HTTPSConnection(sys.argv[1], context=ssl._create_unverified_context())
    front.request("GET", path)
    print(front.getresponse().status)
"""
SHOWN = "/auth/realms/casemate/.well-known/openid-configuration"
HIDDEN = (SHOWN.replace("casemate", "casemate-admin"), "/auth/admin/", "/auth/realms/master")


def talk(box: Machine, argv: Sequence[str], says: Says, seconds: float = SECONDS) -> Any:
    """Run a program on a terminal in the machine; return what it showed and how it ended."""
    job = {"argv": list(argv), "says": [list(pair) for pair in says], "seconds": seconds}
    done = box.run("python3", "-c", DIALOGUE, json.dumps(job), timeout=seconds + 60)
    return json.loads(done.stdout)


def code(box: Machine, login: str, ahead: int = 0) -> str:
    """Return the next code of someone's list, or one further on."""
    rows = [row.split() for row in (box.root / FACTORS).read_text().splitlines()]
    (row,) = (row for row in rows if row[1] == login)
    used = int(row[4]) + 1 if len(row) > 4 else 0
    return codes(bytes.fromhex(row[3]))[used + ahead]


def comes_in(box: Machine, login: str, password: str, codes_: str, then: Says = ()) -> str:
    """Log in at the terminal; return what was seen once inside, "" when it was refused.

    Args:
        box: The machine.
        login: Who.
        password: Theirs.
        codes_: The code that is typed when one is asked for; "" when none should be.
        then: What is done inside.
    """
    inside = [(PROMPT, "id -un"), *then, (PROMPT, "exit")]
    says = [(PASSWORD, password), *([(CODE, codes_)] if codes_ else ()), *inside]
    found = talk(
        box, ["login", login], says, SECONDS if then or codes_ != "000000" else REFUSED
    )
    shown = str(found["shown"])
    return shown if found["unsaid"] == 0 and f"\r\n{login}\r\n" in shown else ""


def logins(box: Machine) -> list[dict[str, Any]]:
    """Return the logins that are in the signed log, in its order."""
    done = box.run(
        "setpriv", "--reuid=casemate-console", "--regid=casemate-console", "--groups=900", "--",
        "/opt/casemate/current/appliance/bin/python", "-c", READ,
    )  # fmt: skip
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    return [event for event in events if event["type"] == "casemate.admin.access.v1"]


def need(*, true: bool, said: str) -> None:
    """Stop the rehearsal when something is not so.

    Raises:
        RehearsalError: It is not.
    """
    if not true:
        raise RehearsalError(said)


def named_people(box: Machine) -> dict[str, Any]:
    """Show that nobody comes in without a second factor, and that with one they do."""
    box.run("sh", "-c", f"printf 'anne:{WORD}\nboris:{WORD}\n' | chpasswd")
    need(true=not comes_in(box, "anne", WORD, "000000"), said="in without a second factor")
    for login in ("anne", "boris"):
        first = r"(\d{6})(?:   \d{6}){5}.*first code: $"
        says = [(PASSWORD, WORD), (r"again: $", WORD), (first, "%1")]
        found = talk(box, [CASEMATE, "access", "enrol", login, "--paper"], says)
        need(true=found["status"] == 0, said=found["shown"])
    need(true=not comes_in(box, "anne", WORD, "000000"), said="in with a wrong code")
    used = code(box, "anne")
    sudo = ((PROMPT, "sudo id -u"), (PASSWORD.replace(": ", "[^\n]*: "), WORD))
    proof = (*sudo, (CODE, code(box, "anne", 1)))
    shown = comes_in(box, "anne", WORD, used, proof)
    need(true="\r\n0\r\n" in shown, said=f"anne is not let in: {shown}")
    need(true=not comes_in(box, "anne", WORD, used), said="a code served twice")
    proof = (*sudo, (CODE, code(box, "boris", 1)))
    shown = comes_in(box, "boris", WORD, code(box, "boris"), proof)
    need(true="not allowed" in shown, said=f"boris administers: {shown}")
    seen = {event["actor"] for event in logins(box)}
    need(true={"local:anne", "local:boris"} <= seen, said=f"not recorded: {seen}")
    return {"without a second factor": "refused", "a code twice": "refused", "recorded": 2}


def break_glass(box: Machine) -> dict[str, Any]:
    """Show that the sealed account opens when all else is down, and is recorded."""
    shown = str(talk(box, [CASEMATE, "access", "seal"], ())["shown"])
    seal = shown.strip().splitlines()[-1].strip()
    before = len(logins(box))
    box.run("systemctl", "stop", "casemate-keycloak.service", check=False)
    sudo = ((PROMPT, "sudo id -u"), (PASSWORD.replace(": ", "[^\n]*: "), seal))
    try:
        shown = comes_in(box, GLASS, seal, "", sudo)
        need(true="\r\n0\r\n" in shown, said=f"the sealed account is closed: {shown}")
        new = logins(box)[before:]
        ways = [(event["data"]["way"], event["data"]["service"]) for event in new]
        need(true=ways == [("break-glass", "login"), ("break-glass", "sudo")], said=f"{ways}")
        box.run("systemctl", "stop", "casemate-recorder.service")
        need(true=bool(comes_in(box, GLASS, seal, "")), said="closed without a recorder")
    finally:
        box.run("systemctl", "start", "casemate-recorder.service")
        box.run("systemctl", "start", "--no-block", "casemate-keycloak.service")
    deadline = time.monotonic() + 60  # the timer tells it within half a minute
    while len(logins(box)) < before + 3 and time.monotonic() < deadline:
        time.sleep(1)
    late = len(logins(box)) - before
    need(true=late == 3, said=f"{late} uses of the sealed account are in the log, not 3")
    said = box.run(CASEMATE, "access", "status").stdout
    need(true="à resceller" in said, said=said)
    return {"Keycloak down": "opened", "recorder down": "opened, recorded later", "uses": late}


def front(box: Machine, domain: str) -> dict[str, Any]:
    """Show that the users' front never answers for the administrators' realm."""
    said = box.run("python3", "-c", FRONT, domain, SHOWN, *HIDDEN).stdout
    need(true=said.split() == ["200", "404", "404", "404"], said=f"the users' front: {said}")
    return {"users' front, administrators' realm": "404"}


def rack(box: Machine, domain: str) -> dict[str, Any]:
    """Show the whole of it; nobody is declared before and after.

    Args:
        box: The machine, whose site runs.
        domain: Name of the users' front.

    Raises:
        RehearsalError: Somebody came in who must not, or was not recorded.
    """

    def declared(people: list[dict[str, Any]]) -> None:
        words = json.dumps({"casemate_people": people})
        play(box, "site.yml", "--tags", "local_access", "-e", words)

    declared(PEOPLE)
    try:
        found = {**front(box, domain), **named_people(box), **break_glass(box)}
        declared(PEOPLE)
        said = box.run("passwd", "--status", "root").stdout.split()[1]
        need(true=said == "L", said=f"root's own password: {said}")
        found["root's password"] = "locked once others can come in"
    finally:
        declared([])
    need(true=not comes_in(box, "anne", WORD, "000000"), said="in after having left")
    return {**found, "who left": "refused"}
