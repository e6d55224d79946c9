"""Templates of roles, rendered as Ansible renders them: same filters, undefined is an error."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

ROLES = Path(__file__).parents[2] / "playbooks" / "roles"


def variables(role: str) -> dict[str, Any]:
    """Return the defaults and the internal variables of a role."""
    found: dict[str, Any] = {"ansible_managed": "Managed by Ansible"}
    for folder in ("defaults", "vars"):
        path = ROLES / role / folder / "main.yml"
        found |= yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
    return found


def render(role: str, template: str, given: Mapping[str, Any]) -> str:
    """Return a rendered template of a role."""
    jinja = Environment(  # noqa: S701 - settings files, from our own values
        loader=FileSystemLoader(ROLES / role / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters["to_json"] = json.dumps
    values = {**variables(role), **given}
    for name, value in values.items():
        if isinstance(value, str) and "{{" in value:
            values[name] = jinja.compile_expression(value.strip("{} "))(**values)
    return jinja.get_template(template).render(values)
