"""Only the role that declares the repository reads it."""

from typing import ClassVar

from ansiblelint.file_utils import Lintable
from ansiblelint.rules import AnsibleLintRule
from ansiblelint.utils import Task

OWNER = "roles/apt_repository/"


class UpdateCacheRule(AnsibleLintRule):
    """The index of packages is read by the role apt_repository alone."""

    id = "casemate-update-cache"
    description = (
        "apt's index is read once, when the repository changed, by the role apt_repository."
    )
    severity = "HIGH"
    tags: ClassVar = ["casemate"]
    version_changed = "26.10.1"

    def matchtask(self, task: Task, file: Lintable | None = None) -> bool | str:
        """Look at one task."""
        if file is not None and OWNER in str(file.path):
            return False
        action = task["action"]
        words = {str(word) for word in action.get("argv") or str(action.get("cmd", "")).split()}
        if "update_cache" in action or "cache_valid_time" in action or "upgrade" in action:
            return "apt's index is read outside the role apt_repository"
        return "apt-get" in words and bool({"update", "upgrade", "dist-upgrade"} & words)
