"""The playbooks pass ansible-lint and our own rules; each of these refuses what it must."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAYBOOKS = ROOT / "playbooks"
BIN = Path(sys.executable).parent

OWNED = "    owner: root\n    group: root\n    mode: '0644'\n"
COMMAND = "changed_when: true\n  ansible.builtin.command:\n    "
BAD = {
    "get_url": (
        "no-fetch",
        "ansible.builtin.get_url:\n    url: https://a.example\n    dest: /a\n" + OWNED,
    ),
    "git": (
        "no-fetch",
        "ansible.builtin.git:\n    repo: https://a.example\n    dest: /a\n    version: v1\n",
    ),
    "module outside the list": ("no-fetch", "ansible.builtin.rpm_key:\n    key: /a\n"),
    "uri to elsewhere": ("no-fetch", "ansible.builtin.uri:\n    url: http://192.0.2.1/\n"),
    "uri to a name like loopback": (
        "no-fetch",
        "ansible.builtin.uri:\n    url: http://127.0.0.1.example/\n",
    ),
    "pip of an index": ("no-fetch", "ansible.builtin.pip:\n    name: x\n    virtualenv: /a\n"),
    "pip without hashes": (
        "no-fetch",
        COMMAND + "argv: [/a/bin/pip, install, --no-index, x]\n",
    ),
    "unarchive of an address": (
        "no-fetch",
        "ansible.builtin.unarchive:\n    src: https://a.example/x\n    dest: /a\n" + OWNED,
    ),
    "curl in a shell": (
        "no-fetch",
        COMMAND + "cmd: /usr/bin/curl -o /a a.example\n",
    ),
    "copy without owner": (
        "owned-files",
        "ansible.builtin.copy:\n    src: a\n    dest: /a\n    mode: '0644'\n",
    ),
    "unit without a check": (
        "owned-files",
        "ansible.builtin.template:\n    src: a\n    dest: /etc/systemd/system/a.service\n"
        + OWNED,
    ),
    "index read elsewhere": (
        "update-cache",
        "ansible.builtin.apt:\n    name: a\n    update_cache: true\n",
    ),
    "index read by a command": (
        "update-cache",
        COMMAND + "argv: [apt-get, update]\n",
    ),
}
GOOD = (
    "ansible.builtin.uri:\n    url: http://127.0.0.1:9000/health\n",
    'ansible.builtin.uri:\n    url: "https://{{ x_address }}:8443/"\n',
    COMMAND + "argv: [/a, -m, pip, install, --no-index, --require-hashes, -r, x]\n",
)


def lint(folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run ansible-lint in a folder, its caches in `home`."""
    environment = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "ANSIBLE_HOME": str(home),
        "LANG": "C.UTF-8",
    }
    command = [str(BIN / "ansible-lint"), "--offline", "--nocolor", "-f", "pep8"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.timeout(600)  # a busy machine of two cores
def test_the_playbooks_pass_the_production_profile_and_our_rules(tmp_path: Path) -> None:
    copy = tmp_path / "playbooks"
    shutil.copytree(PLAYBOOKS, copy, ignore=shutil.ignore_patterns(".ansible", "__pycache__"))
    result = lint(copy, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Passed: 0 failure(s)" in result.stderr


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Return the own rules that refuse each snippet, by the name of the snippet."""
    home = tmp_path_factory.mktemp("lint")
    folder = home / "playbooks"
    shutil.copytree(PLAYBOOKS / "lint", folder / "lint")
    shutil.copy(PLAYBOOKS / ".ansible-lint", folder)
    tasks = folder / "roles" / "undescribed" / "tasks"
    tasks.mkdir(parents=True)
    snippets = [(name, text) for name, (_, text) in BAD.items()]
    snippets += [(f"good {number}", text) for number, text in enumerate(GOOD)]
    lines, starts = ["---"], dict[int, str]()
    for name, text in snippets:
        starts[len(lines) + 1] = name
        lines += [f"- name: Do {name}", *("  " + text).rstrip("\n").split("\n"), ""]
    (tasks / "main.yml").write_text("\n".join(lines))
    found: dict[str, set[str]] = {name: set() for name, _ in snippets}
    for line in lint(folder, home).stdout.splitlines():
        place, _, rest = line.partition(": ")
        if rest.startswith("casemate-"):
            number = int(place.split(":")[1])
            start = max((at for at in starts if at <= number), default=0)
            rule = rest.split(":")[0].removeprefix("casemate-")
            found.setdefault(starts.get(start, "the role"), set()).add(rule)
    return found


@pytest.mark.parametrize("name", BAD)
def test_an_own_rule_refuses_a_bad_task(refused: dict[str, set[str]], name: str) -> None:
    assert refused[name] == {BAD[name][0]}


@pytest.mark.parametrize("number", range(len(GOOD)))
def test_no_own_rule_refuses_what_stays_on_the_machine(
    refused: dict[str, set[str]], number: int
) -> None:
    assert refused[f"good {number}"] == set()


def test_a_role_that_describes_nothing_is_refused(refused: dict[str, set[str]]) -> None:
    assert refused["the role"] == {"described-roles"}
