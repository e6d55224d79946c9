"""Finds the task of a dictated code: who answers the telephone has the same playbooks."""

import re
from collections.abc import Iterator
from pathlib import Path

from appliance.errors import CODES
from appliance.install.telephone import Dictated, candidates

_NAME = re.compile(r"^\s*- name: (.+)$", re.MULTILINE)


def names(playbooks: Path, role: str) -> Iterator[str]:
    """Yield the names of the tasks and handlers of a role, or of the playbooks themselves."""
    folder = playbooks / "roles" / role if role else playbooks
    for path in sorted(folder.glob("*/*.yml" if role else "*.yml")):
        for match in _NAME.finditer(path.read_text("utf-8")):
            yield match[1].strip().strip("\"'")


def explained(dictated: Dictated, playbooks: Path) -> list[str]:
    """Return what a code may stand for: tasks of its role, or codes of the table of errors."""
    if dictated.role is None:
        return []
    own = [*names(playbooks, dictated.role)]
    return candidates(dictated, own if dictated.role else [*own, *sorted(CODES)])
