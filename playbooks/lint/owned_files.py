"""Each file that a task writes has an owner, a group, a mode; each one that can be checked is.

The umask of whoever runs the playbooks must not decide who reads a file.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from ansiblelint.file_utils import Lintable
from ansiblelint.rules import AnsibleLintRule
from ansiblelint.utils import Task

WRITERS = frozenset(
    {"blockinfile", "copy", "file", "lineinfile", "replace", "template", "unarchive"}
)
# Files that have a program to check them before they count.
CHECKED = re.compile(
    r"\A/etc/systemd/system/[^/]+\Z|\A/etc/sudoers|\A/etc/nftables\.conf\Z|haproxy\.cfg\Z"
    r"|\A/etc/casemate/[\w-]+\.toml\Z|\A/etc/profile\.d/|\A/etc/chrony/chrony\.conf\Z"
)


def missing(module: str, arguments: Mapping[str, Any]) -> list[str]:
    """Return what a task that writes a file does not say.

    Args:
        module: Name of the module, with or without its collection.
        arguments: What the task gives it.
    """
    name = module.removeprefix("ansible.builtin.")
    if name not in WRITERS or arguments.get("state") == "absent":
        return []
    said = [word for word in ("owner", "group", "mode") if word not in arguments]
    target = str(arguments.get("dest") or arguments.get("path") or "")
    if name in {"copy", "template"} and CHECKED.search(target) and "validate" not in arguments:
        said.append("validate")
    return said


class OwnedFilesRule(AnsibleLintRule):
    """Each file has an owner, a group and a mode."""

    id = "casemate-owned-files"
    description = "owner, group, mode on each file; validate where a program can check it."
    severity = "HIGH"
    tags: ClassVar = ["casemate"]
    version_changed = "26.10.1"

    def matchtask(self, task: Task, file: Lintable | None = None) -> bool | str:
        """Look at one task."""
        del file
        action = task["action"]
        lacking = missing(action["__ansible_module_original__"], action)
        return f"missing: {', '.join(lacking)}" if lacking else False
