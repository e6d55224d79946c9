"""What is recorded of the rack: who comes in, who becomes root, starts, runs that changed.

PAM runs `casemate access record` when a session opens (pam_exec(8)), a unit `access boot` once
after a start of the machine, the playbooks `access changed` at the end of a run. An event is
first kept in a folder, durable, then told to the recorder and removed: a recorder that is away
loses none, and the id makes a second telling harmless. What waits is told at the next use, or
by a timer.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from appliance.audit.client import RecorderClient, RecorderError, RefusedError, new_id
from appliance.audit.event import FACTS, Event, Fact, Kind, encode, fact, is_id, parse
from appliance.errors import FormatError
from appliance.site.credentials import write_whole

BREAK_GLASS = "casemate-secours"
RECORDER = Path("/run/casemate/recorder/socket")
WAITING = Path("/var/lib/casemate/access")
USED = "used"  # file: the seal of the sealed account is broken
NAME = "rack"  # under which the recorder knows this client
PATIENCE = 3.0  # seconds that a login waits for the recorder
BEHIND = {  # their user is the one that somebody becomes
    "sudo": "sudo", "sudo-i": "sudo", "su": "switch", "su-l": "switch",
}  # fmt: skip
TEXT = 200  # characters of a field, as events have them


def opened(session: Mapping[str, str]) -> Fact:
    """Return what a session that opens says. `session` is the environment of pam_exec."""
    service = session.get("PAM_SERVICE", "")
    user = session.get("PAM_USER", "")
    person = session.get("PAM_RUSER", "") if service in BEHIND else user
    said = {
        "way": "break-glass" if BREAK_GLASS in {person, user} else "rack",
        "action": BEHIND.get(service, "login"),
        "service": service,
        "user": user,
        "terminal": session.get("PAM_TTY", ""),
        "from": session.get("PAM_RHOST", ""),
    }
    shown: dict[str, str | int] = {name: text[:TEXT] for name, text in said.items() if text}
    access = FACTS[Kind.ADMIN_ACCESS]
    return access(actor=f"local:{person}"[:TEXT], id=new_id(), data=shown)


def booted(boot: str, kernel: str) -> Fact:
    """Return what is recorded of a start of the machine; the same event each time.

    Args:
        boot: Id of the boot, which also stands in each leaf since then.
        kernel: Its release.

    Raises:
        FormatError: It is no id of a boot.
    """
    event_id = f"boot-{boot}"
    if not is_id(event_id):
        raise FormatError(f"{boot}: no id of a boot")
    return fact(Kind.SERVICE_BOOT, "local:machine", event_id, boot=boot, kernel=kernel[:TEXT])


def ran(operator: str, playbook: str, **totals: int) -> Fact:
    """Return what is recorded of a run of a playbook that changed something.

    Args:
        operator: Who ran it.
        playbook: Name of its file.
        totals: `ok`, `changed`, `failures`, `unreachable`: tasks.
    """
    return FACTS[Kind.CONFIG_CHANGE](
        actor=f"local:{operator}"[:TEXT], id=new_id(),
        data={"source": "playbook", "name": playbook[:TEXT], **totals},
    )  # fmt: skip


def changed(operator: str, login: str, action: str) -> Fact:
    """Return what is recorded of a change of someone's access.

    Args:
        operator: Who changes it.
        login: Whose access.
        action: `enrol` or `seal`.
    """
    return fact(Kind.ADMIN_USER, f"local:{operator}", new_id(), user=login, action=action)


def is_break_glass(event: Event) -> bool:
    """Tell whether the sealed account is used."""
    return isinstance(event, Fact) and event.data.get("way") == "break-glass"


def record(event: Fact, waiting: Path, recorder: Path, now: int) -> bool:
    """Keep an event, then tell all that waits. Return whether the recorder has it.

    Args:
        event: What happened.
        waiting: Folder of what waits, root's alone.
        recorder: Its socket.
        now: Nanoseconds since 1970: the order of telling.

    Raises:
        OSError: It could not be kept, and the recorder does not have it either.
    """
    try:
        if is_break_glass(event):
            write_whole(waiting / USED, encode(event), 0o600)
        write_whole(waiting / f"{now:020}.json", encode(event), 0o600)
    except OSError:
        if not tell([event], recorder):
            raise
        return True
    return flush(waiting, recorder) == 0


def flush(waiting: Path, recorder: Path) -> int:
    """Tell what waits, oldest first. Return how many still wait."""
    paths = sorted(waiting.glob("*.json"))
    events: list[Event] = []
    for path in paths:
        try:
            events.append(parse(path.read_bytes()))
        except FormatError:  # cut by something else than us: kept for a person to see
            path.rename(path.with_suffix(".damaged"))
    if not events:
        return 0
    if not tell(events, recorder):
        return len(events)
    for path in paths:
        path.unlink(missing_ok=True)
    descriptor = os.open(waiting, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return 0


def tell(events: Sequence[Event], recorder: Path) -> bool:
    """Append events to the log. Return whether it has them all."""
    try:
        asyncio.run(_tell(events, recorder))
    except (RecorderError, RefusedError, OSError, msgspec.MsgspecError):
        return False
    return True


async def _tell(events: Sequence[Event], recorder: Path) -> None:
    client = RecorderClient(recorder, NAME, patience=PATIENCE)
    await client.connect()
    try:
        for event in events:
            await client.append(event)
    finally:
        await client.close()
