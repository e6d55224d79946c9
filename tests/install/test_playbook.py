import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.audit.event import Kind
from appliance.errors import FormatError
from appliance.install.playbook import Controller, Event, command, environment, run
from appliance.install.verbs import controller_of
from appliance.settings import RecorderSettings
from tests.install.stage import RELEASE, Stage, task
from tests.trail import facts_of


def controller(stage: Stage, *inherited: int) -> Controller:
    made = controller_of(stage.places, RELEASE.release_seq, *inherited or (0,))
    return Controller(made.ansible, made.playbooks, made.inventories, made.scratch, inherited)


def test_events_arrive_in_order_with_the_exit_status(stage: Stage) -> None:
    events = [task(f"Task {number}") for number in range(300)]
    stage.play({"site.yml": {"events": events, "status": 2}})
    heard: list[Event] = []
    assert run(controller(stage), "site.yml", ("pki",), heard.append) == 2
    assert heard == events


def test_nothing_of_the_caller_s_environment_passes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANSIBLE_STDOUT_CALLBACK", "PIP_INDEX_URL", "PYTHONPATH", "LC_MESSAGES"):
        monkeypatch.setenv(name, "planted")
    wanted = controller(stage)
    run(wanted, "site.yml", (), lambda _: None)
    (call,) = stage.calls()
    seen = {n: v for n, v in call["env"].items() if n not in {"LC_CTYPE", "CASEMATE_REPORT"}}
    own = environment(wanted, 0)
    assert seen == {name: value for name, value in own.items() if name != "CASEMATE_REPORT"}
    assert own["PIP_CONFIG_FILE"] == "/dev/null"
    assert own["ANSIBLE_CONFIG"] == f"{wanted.playbooks}/ansible.cfg"
    assert call["cwd"] == str(wanted.playbooks)


def test_a_strict_umask_of_the_engineer_does_not_reach_the_roles(stage: Stage) -> None:
    before = os.umask(0o077)
    try:
        run(controller(stage), "site.yml", (), lambda _: None)
    finally:
        os.umask(before)
    assert stage.calls()[0]["umask"] == 0o022


def test_the_command_names_inventories_tags_and_playbook_and_no_more(stage: Stage) -> None:
    wanted = controller(stage)
    hosts, own = map(str, wanted.inventories)
    assert command(wanted, "site.yml", ("pki", "release")) == [
        str(wanted.ansible), "--inventory", hosts, "--inventory", own, "--tags", "pki,release",
        str(wanted.playbooks / "site.yml"),
    ]  # fmt: skip
    assert "--tags" not in command(wanted, "verify.yml", ())


def test_what_ansible_prints_is_for_root_alone(stage: Stage) -> None:
    stage.play({"site.yml": {"output": "TASK [pki] ok"}})
    run(controller(stage), "site.yml", (), lambda _: None)
    log = stage.places.install / "scratch/ansible.log"
    assert "TASK [pki] ok" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_line_that_is_no_event_ends_the_run(stage: Stage) -> None:
    program = stage.places.controller / "bin/ansible-playbook"
    program.write_text('#!/bin/sh\necho "not json" >"$CASEMATE_REPORT"\nsleep 60\n')
    began = time.monotonic()
    with pytest.raises(FormatError):
        run(controller(stage), "site.yml", (), lambda _: None)
    assert time.monotonic() - began < 30


def test_a_service_that_keeps_the_pipe_open_holds_nothing_up(stage: Stage) -> None:
    program = stage.places.controller / "bin/ansible-playbook"
    program.write_text(
        '#!/bin/sh\nexec 9>"$CASEMATE_REPORT"\n(sleep 20; :) &\n'
        'printf \'{"kind":"start"}\\n\' >&9\nexit 0\n'
    )
    began, heard = time.monotonic(), list[Event]()
    assert run(controller(stage), "site.yml", (), heard.append) == 0
    assert heard == [{"kind": "start"}]
    assert time.monotonic() - began < 10


def test_ansible_inherits_the_lock_of_the_installation(stage: Stage, tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    program = stage.places.controller / "bin/ansible-playbook"
    program.write_text(f"#!/bin/sh\nreadlink /proc/$$/fd/{lock} >{tmp_path}/seen\n")
    run(controller(stage, lock), "site.yml", (), lambda _: None)
    os.close(lock)
    assert (tmp_path / "seen").read_text().strip() == str(tmp_path / "lock")


PLUGIN = Path(__file__).parents[2] / "playbooks/plugins/callback/casemate_report.py"
DRIVER = """
import importlib.util, sys, types
base = types.ModuleType("ansible.plugins.callback")
class CallbackBase:
    disabled = False
base.CallbackBase = CallbackBase
for name in ("ansible", "ansible.plugins"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["ansible.plugins.callback"] = base
spec = importlib.util.spec_from_file_location("plugin", sys.argv[1])
plugin = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plugin)
class Role:
    def get_name(self): return "pki"
class Task:
    name, action, no_log, _uuid, _role = "Write the key", "copy", False, "1", Role()
class Host:
    def get_name(self): return "casemate"
class Result:
    def __init__(self, body): self.result, self.task, self.host = body, Task(), Host()
callback = plugin.CallbackModule()
task = Task()
callback.v2_playbook_on_task_start(task, False)
callback.v2_runner_on_ok(Result({"changed": True, "content": "hunter2"}))
callback.v2_runner_on_ok(Result({"ansible_facts": {"casemate_check": {"id": "luks"}}}))
callback.v2_runner_on_failed(Result({"msg": "no room"}))
items = [{"failed": True, "msg": "no lock of vllm"}, {"failed": False, "msg": "fine"}]
callback.v2_runner_on_failed(Result({"msg": "One or more items failed", "results": items}))
Task.no_log = True
callback.v2_runner_on_failed(Result({"msg": "hunter2"}))
Task.no_log = False
callback.v2_runner_on_failed(Result({"_ansible_no_log": True, "msg": "hunter2"}))
"""


def drive(report: str) -> "subprocess.CompletedProcess[bytes]":
    words = [sys.executable, "-I", "-c", DRIVER, str(PLUGIN)]
    environ = {"CASEMATE_REPORT": report} if report else {}
    return subprocess.run(words, env=environ, capture_output=True, check=False, timeout=60)


def test_the_plugin_reports_names_and_outcomes_and_no_result(tmp_path: Path) -> None:
    report = tmp_path / "report"
    assert drive(str(report)).returncode == 0
    text = report.read_text()
    assert "hunter2" not in text
    assert text.count('"outcome": "failed"') == 4
    assert text.count("no lock of vllm") == 1
    assert "One or more" not in text
    assert "fine" not in text
    assert text.count("no room") == 1
    assert '"casemate_check": {"id": "luks"}' in text
    assert '"outcome": "changed"' in text


def test_the_plugin_ends_the_run_when_the_installer_is_gone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    waits = DRIVER.replace("task = Task()", "task = Task(); print(flush=True); input()")
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", waits, str(PLUGIN)], env={"CASEMATE_REPORT": str(pipe)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()  # it holds the pipe
    os.close(reader)
    process.communicate("\n", timeout=60)
    assert process.returncode == 70


def test_the_plugin_is_silent_when_nobody_asked() -> None:
    done = drive("")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


PLAY = """
- name: A change
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Write a file
      ansible.builtin.copy: {content: "x", dest: "%s", mode: "0600"}
"""


def ansible(tmp_path: Path, recorder: Path, *words: str) -> None:
    """Run a real playbook, with the configuration of the release and the real program."""
    casemate = Path(sys.executable).with_name("casemate")
    told = f'exec {casemate} "$@" --recorder {recorder} --waiting {tmp_path / "waiting"}'
    (program := tmp_path / "casemate").write_text(f"#!/bin/sh\n{told}\n")
    program.chmod(0o700)
    (tmp_path / "waiting").mkdir(exist_ok=True)
    (play := tmp_path / "change.yml").write_text(PLAY % (tmp_path / "changed"))
    playbooks = PLUGIN.parents[2]
    argv = [str(casemate.with_name("ansible-playbook")), "-i", "localhost,", "-c", "local"]
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(playbooks / "ansible.cfg"), "CASEMATE_PROGRAM": str(program),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }  # fmt: skip
    done = subprocess.run(
        [*argv, *words, str(play)], env=environ, cwd=playbooks, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("recorder")
def test_a_run_that_changed_something_is_in_the_log_once(
    tmp_path: Path, recorder_settings: RecorderSettings
) -> None:
    ansible(tmp_path, recorder_settings.socket, "--check")
    ansible(tmp_path, recorder_settings.socket)  # this one changes
    ansible(tmp_path, recorder_settings.socket)  # and this one finds nothing to change
    (change,) = facts_of(recorder_settings.socket, Kind.CONFIG_CHANGE)
    said = change.data
    assert (said["name"], said["source"], said["changed"]) == ("change.yml", "playbook", 1)
    assert change.actor.startswith("local:")
