"""Runs one playbook in a clean environment, and hands over what its tasks report.

Nothing of the caller's environment passes, no secret is an argument. The callback plugin writes
one JSON line for each task to a pipe; this process alone writes the journal. Ansible's own
output goes to a file that only root reads. Ansible inherits the lock of the installation, and
ends before its next task when this process is gone.
"""

import os
import selectors
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from appliance.errors import FormatError

_READ = 1 << 16
_POLL = 0.2  # seconds between two looks at whether Ansible has ended

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Controller:
    """Where the controller runs from, and where it writes."""

    ansible: Path  # the program ansible-playbook
    playbooks: Path  # of the release
    inventories: Sequence[Path]  # later ones win
    scratch: Path  # folder for temporary files and for the output of Ansible
    inherited: Sequence[int] = field(default=())  # descriptors, such as the lock


def environment(controller: Controller, report: int) -> dict[str, str]:
    """Return the whole environment of a run."""
    scratch = str(controller.scratch)
    return {
        "PATH": f"{controller.ansible.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": scratch,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TMPDIR": scratch,
        "ANSIBLE_CONFIG": str(controller.playbooks / "ansible.cfg"),
        "ANSIBLE_CALLBACK_PLUGINS": str(controller.playbooks / "plugins/callback"),
        "ANSIBLE_CALLBACKS_ENABLED": "casemate_report",
        "ANSIBLE_HOME": f"{scratch}/ansible",
        "ANSIBLE_LOCAL_TEMP": f"{scratch}/ansible/local",
        "ANSIBLE_NOCOLOR": "1",
        "CASEMATE_REPORT": f"/dev/fd/{report}",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def command(controller: Controller, playbook: str, roles: Sequence[str]) -> list[str]:
    """Return the command line of a run."""
    words = [str(controller.ansible)]
    for inventory in controller.inventories:
        words += ["--inventory", str(inventory)]
    if roles:
        words += ["--tags", ",".join(roles)]
    return [*words, str(controller.playbooks / playbook)]


def run(
    controller: Controller, playbook: str, roles: Sequence[str], report: Callable[[Event], None]
) -> int:
    """Run a playbook to its end, and return its exit status.

    Args:
        controller: Where everything is.
        playbook: Its file name.
        roles: Tags to run; none: all of it.
        report: Called for each event of the callback plugin, in order.

    Raises:
        FormatError: The plugin wrote something that is not an event.
    """
    controller.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    reader, writer = os.pipe()
    log = controller.scratch / "ansible.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own program, no shell
            command(controller, playbook, roles),
            cwd=controller.playbooks, env=environment(controller, writer), umask=0o022,
            stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor,
            pass_fds=(writer, *controller.inherited),
        )  # fmt: skip
    finally:
        os.close(writer)
        os.close(descriptor)
    try:
        _follow(process, reader, report)
    except BaseException:
        process.terminate()
        raise
    finally:
        os.close(reader)
        status = process.wait()
    return status


def _follow(
    process: "subprocess.Popen[bytes]", reader: int, report: Callable[[Event], None]
) -> None:
    """Hand over events until Ansible has ended; what it started may keep the pipe open."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None
            if not selector.select(0 if ended else _POLL):
                if ended:
                    return
                continue
            if not (read := os.read(reader, _READ)):
                return
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                report(_event(line))


def _event(line: bytes) -> Event:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FormatError(f"not an event of the callback plugin: {exc}") from exc
