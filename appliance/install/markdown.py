"""Markdown pages of the installation, from templates. Pure.

Values are escaped by the filter `md`: what a site or a playbook says is never markup.
"""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_ESCAPED = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>#|~"})


def escaped(value: object) -> str:
    """Return a value of one line, in which no sign is markup."""
    return " ".join(str(value).splitlines()).translate(_ESCAPED)


_TEMPLATES = Environment(
    loader=PackageLoader("appliance.install"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - Markdown: each value passes the filter `md`
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["md"] = escaped


def rendered(name: str, **values: Any) -> bytes:
    """Return a page, of a template in `templates/`."""
    return _TEMPLATES.get_template(name).render(**values).encode()
