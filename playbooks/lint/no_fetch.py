"""No task may fetch anything: what is installed was in the verified bundle.

An allow-list of modules, since a list of those that can fetch is never whole. Those of the list
that can also reach a network are looked at argument by argument.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from ansiblelint.file_utils import Lintable
from ansiblelint.rules import AnsibleLintRule
from ansiblelint.utils import Task

LOCAL = frozenset(
    {
        "apt",
        "assert",
        "blockinfile",
        "command",
        "copy",
        "cron",
        "debconf",
        "debug",
        "dpkg_selections",
        "fail",
        "file",
        "find",
        "getent",
        "group",
        "hostname",
        "import_role",
        "import_tasks",
        "include_role",
        "include_tasks",
        "include_vars",
        "lineinfile",
        "meta",
        "package_facts",
        "pause",
        "pip",
        "reboot",
        "replace",
        "script",
        "service_facts",
        "set_fact",
        "setup",
        "shell",
        "slurp",
        "stat",
        "systemd_service",
        "tempfile",
        "template",
        "unarchive",
        "uri",
        "user",
        "validate_argument_spec",
        "wait_for",
    }
)
# With a scheme: an address. Loopback, and this machine's own addresses (variables named so),
# are where the site's services answer.
OWN = r"127\.0\.0\.1|localhost|\[::1\]|\{\{ \w+_address \}\}"
ADDRESS = re.compile(rf"\b(?:https?|ftp|git|ssh|s3)://(?!(?:{OWN})(?:[:/{{]|\Z))")
FETCHERS = re.compile(
    r"(?:\A|[\s/;|&(])(?:curl|wget|git|hg|svn|rsync|scp|sftp|ftp|npm|gem|cargo|ansible-galaxy|docker|podman"
    r"|snap|flatpak|dnf|yum|add-apt-repository)(?=\s|\Z)"
)
INSTALLS_WHEELS = re.compile(r"\bpip[\w./-]*\s+(?:\S+\s+)*?(?:install|download|wheel)\b")


def words_of(arguments: Mapping[str, Any]) -> str:
    """Return the command line of a task, however it is written."""
    argv = arguments.get("argv")
    if isinstance(argv, list):
        return " ".join(str(word) for word in argv)
    return str(
        arguments.get("cmd")
        or arguments.get("_raw_params")
        or arguments.get("__ansible_arguments__", "")
    )


def complaint(module: str, arguments: Mapping[str, Any]) -> str | None:
    """Return why a task could fetch something, None when it cannot.

    Args:
        module: Name of the module, with or without its collection.
        arguments: What the task gives it.
    """
    name = module.removeprefix("ansible.builtin.").removeprefix("ansible.legacy.")
    if name == "block/always/rescue":
        return None
    if name not in LOCAL:
        return f"{module} is not on the list of modules that cannot fetch"
    if any(ADDRESS.search(str(value)) for value in arguments.values()):
        return "an address outside this machine"
    words = words_of(arguments)
    if name in {"command", "shell"} and FETCHERS.search(words):
        return "a program that fetches"
    wheels = name == "pip" or (name in {"command", "shell"} and INSTALLS_WHEELS.search(words))
    options = f"{words} {arguments.get('extra_args', '')}"
    if wheels and not ("--no-index" in options and "--require-hashes" in options):
        return "pip without --no-index --require-hashes"
    return None


class NoFetchRule(AnsibleLintRule):
    """No task may fetch anything."""

    id = "casemate-no-fetch"
    description = (
        "What is installed was in the verified bundle; there is no network to fall back to."
    )
    severity = "VERY_HIGH"
    tags: ClassVar = ["casemate"]
    version_changed = "26.10.1"

    def matchtask(self, task: Task, file: Lintable | None = None) -> bool | str:
        """Look at one task."""
        del file
        action = task["action"]
        return complaint(action["__ansible_module_original__"], action) or False
