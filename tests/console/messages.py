"""The msgids of the console, wherever they are written."""

from collections.abc import Iterator
from pathlib import Path

from babel.messages.extract import extract
from jinja2 import Environment
from jinja2.ext import babel_extract

from appliance.errors import CODES
from appliance.rag.parsed import REASONS

PACKAGE = Path(__file__).parents[2] / "appliance" / "console"
TEMPLATES = PACKAGE / "templates"
CATALOGUE = PACKAGE / "locale" / "en" / "LC_MESSAGES" / "casemate.po"
Message = str | tuple[str, str]
KEYWORDS = {"mark": None, "text": None, "texts": (1, 2)}


def in_templates() -> Iterator[Message]:
    Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    for template in sorted(TEMPLATES.rglob("*.html")):
        with template.open("rb") as file:
            options = {"trimmed": "true", "silent": "false"}
            for _, function, message, _ in babel_extract(
                file, ("_", "gettext", "ngettext"), (), options
            ):
                yield from _whole(function, message)


def in_modules() -> Iterator[Message]:
    for module in sorted(PACKAGE.rglob("*.py")):
        with module.open("rb") as file:
            for _, message, _, _ in extract("python", file, KEYWORDS):
                yield from _whole("ngettext" if isinstance(message, tuple) else "_", message)


def in_tables() -> Iterator[Message]:
    for known in CODES.values():
        yield from (known.title, known.meaning, known.remedy)
    yield from REASONS.values()


def _whole(function: str | None, message: object) -> Iterator[Message]:
    if function == "ngettext" and isinstance(message, tuple):
        yield (str(message[0]), str(message[1]))
    elif isinstance(message, str):
        yield message
    elif isinstance(message, tuple) and message[0]:
        yield str(message[0])


def all_messages() -> set[Message]:
    return {*in_templates(), *in_modules(), *in_tables()}
