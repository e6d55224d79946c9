"""Ansible callback: one JSON line per task, to the file or pipe that CASEMATE_REPORT names.

Without it nothing is written. A line holds names, outcome and duration; of a result it passes
only what a task hands over on purpose (`casemate_check`, `casemate_checks`, `casemate_egress`)
and, of a failure that is not `no_log`, its message for the screen of the engineer. When nobody
reads the pipe any more (the installer was killed), the run ends before its next task.

A run that changed something is an event of the signed log, whoever started it: at its end the
program of the release is told, which keeps the event until the recorder has it.
"""

import contextlib
import json
import os
import subprocess
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: casemate_report
type: aggregate
short_description: One JSON line per task, for the journal of an installation
description:
  - Reads the environment variables CASEMATE_REPORT, the path of a file or pipe, and
    CASEMATE_PROGRAM, which tells the signed log what a run changed.
"""

HANDED_OVER = ("casemate_check", "casemate_checks", "casemate_egress")
TOTALS = ("ok", "changed", "failures", "unreachable")
MESSAGE_CHARS_MAX = 2_000
EXIT_ABANDONED = 70
PROGRAM = "/opt/casemate/bin/casemate"
PASSED = ("LANG", "PATH", "SUDO_USER")  # of the environment: who runs it, nothing of what
PATIENCE = 60  # seconds


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Writes what happened, in the order in which it happened."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "casemate_report"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._began: dict[str, float] = {}
        self._file, self._playbook, self._tries = -1, "", False
        if path := os.environ.get("CASEMATE_REPORT"):
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        """Remember which playbook runs."""
        self._playbook = os.path.basename(playbook._file_name)  # noqa: SLF001, PTH119

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Remember whether it only says what it would change."""
        self._tries = bool(play.check_mode)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002, FBT001
        """Remember when a task began."""
        self._start(task)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Remember when a handler began."""
        self._start(task)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Report a task that succeeded."""
        self._report(result, "changed" if _body(result).get("changed") else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: FBT001, FBT002
        """Report a task that failed."""
        self._report(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Report a host that does not answer."""
        self._report(result, "unreachable")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Report the totals, and have a change recorded."""
        found = [stats.summarize(host) for host in stats.processed]
        totals = {name: sum(one[name] for one in found) for name in TOTALS}
        self._write({"kind": "totals", **totals})
        if totals["changed"] and not self._tries:
            self._record(totals)

    def _record(self, totals: dict[str, int]) -> None:
        program = os.environ.get("CASEMATE_PROGRAM", PROGRAM)
        if not os.access(
            program, os.X_OK
        ):  # the first phases of an installation: none is there
            return
        words = [program, "access", "changed", self._playbook]
        words.append(",".join(f"{name}={count}" for name, count in totals.items()))
        passed = {name: os.environ[name] for name in PASSED if name in os.environ}
        done = subprocess.run(  # noqa: S603 - our own program, no shell
            words, env=passed, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        if done.returncode:
            self._display.warning("the signed log was not told what this run changed")

    def _start(self, task: Any) -> None:
        self._began[task._uuid] = time.monotonic()  # noqa: SLF001 - has no other name
        self._write({"kind": "start", "role": _role(task), "task": _name(task)})

    def _report(self, result: Any, outcome: str) -> None:
        task, body = _of(result, "task"), _body(result)
        began = self._began.get(task._uuid, time.monotonic())  # noqa: SLF001
        event = {
            "kind": "task",
            "role": _role(task),
            "task": _name(task),
            "host": _of(result, "host").get_name(),
            "outcome": outcome,
            "milliseconds": int((time.monotonic() - began) * 1000),
        }
        if not (task.no_log or body.get("_ansible_no_log")):
            facts = {**body, **(body.get("ansible_facts") or {})}
            event |= {name: facts[name] for name in HANDED_OVER if name in facts}
            if outcome in {"failed", "unreachable"}:
                event["message"] = _message(body)[:MESSAGE_CHARS_MAX]
        self._write(event)

    def _write(self, event: dict[str, Any]) -> None:
        if self._file < 0:
            return
        line = json.dumps(event, ensure_ascii=False, sort_keys=True).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except BrokenPipeError:
            os._exit(EXIT_ABANDONED)  # the installer is gone: nothing goes on unrecorded
        with contextlib.suppress(OSError):  # a pipe: its reader syncs
            os.fsync(self._file)


def _role(task: Any) -> str:
    return task._role.get_name() if task._role is not None else ""  # noqa: SLF001


def _name(task: Any) -> str:
    return str(task.name or task.action)


def _of(result: Any, name: str) -> Any:
    """Return a part of a result: public since ansible-core 2.19, private before."""
    return getattr(result, name) if hasattr(result, name) else getattr(result, f"_{name}")


def _message(body: dict[str, Any]) -> str:
    """Return what failed: of a loop, what its items said."""
    items = body.get("results") or []
    said = [str(item.get("msg", "")) for item in items if item.get("failed")]
    return "\n".join(said) or str(body.get("msg", ""))


def _body(result: Any) -> dict[str, Any]:
    body: dict[str, Any] = _of(result, "result")
    return body
