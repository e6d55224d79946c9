"""Templates to pages: Jinja2 with `StrictUndefined`, autoescaping, one environment a language.

Icons are drawn from one sprite inlined in each page: those that the page uses, and those of the
parts that may join it later.
"""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from appliance.console.answer import unbroken
from appliance.console.assets import STATIC, VENDOR, icon_names, icons_in
from appliance.console.drawing import fort, seal
from appliance.console.language import CODES, Code, Language
from appliance.errors import ApplianceError

TEMPLATES = Path(__file__).resolve().parent / "templates"
_USED = re.compile(r'href="#i-([a-z0-9-]+)"')
_SPRITE = "<!--sprite-->"
_SYMBOL = Markup(
    '<symbol id="i-{}" viewBox="0 0 24 24" fill="none" stroke="currentColor"'
    ' stroke-linecap="round" stroke-linejoin="round">{}</symbol>'
)


Labels = Callable[[], Sequence[str]]


class AssetsError(ApplianceError):
    """The static files were not built."""


def icon(name: str, extra: str = "", label: str = "") -> Markup:
    """Return a use of the sprite: decorative, unless `label` names it."""
    said = Markup('role="img" aria-label="{}"').format(label) if label else 'aria-hidden="true"'
    classes = f"icon {extra}".strip()
    html = Markup('<svg class="{}" {}><use href="#i-{}"/></svg>')
    return html.format(classes, Markup(said), name.removeprefix("icon:"))  # noqa: S704


def short(digest: str) -> str:
    """Return the two ends of a digest."""
    return digest if len(digest) <= 16 else f"{digest[:8]}…{digest[-4:]}"  # noqa: PLR2004


def team(group: str) -> str:
    """Return the name of a team, from its path."""
    return group.removeprefix("/equipes/")


def initials(name: str) -> str:
    """Return the initials of a label, for where there is little room."""
    words = [word for word in name.split() if word not in {"de", "du", "des", "la", "le"}]
    return "".join(word[0] for word in words).upper()


class Renderer:
    """Renders the console's templates, for one site."""

    def __init__(self, zone: str, labels: Labels) -> None:
        """Prepare. `labels`: names of the site's labels, by rank."""
        self.languages = {code: Language(code, ZoneInfo(zone)) for code in CODES}
        self._labels = labels
        self._versions: dict[str, str] = {}
        self._environments = {code: self._environment(code) for code in CODES}

    def page(self, template: str, code: Code, **values: object) -> str:
        """Return a whole page with its icons.

        Raises:
            jinja2.UndefinedError: A template names a value that it was not given.
        """
        html = self.part(template, code, **values)
        names = set(_USED.findall(html)) | self._parts_icons
        return html.replace(_SPRITE, self._sprite(names))

    def part(self, template: str, code: Code, **values: object) -> str:
        """Return a fragment."""
        env = self._environments[code]
        values.setdefault("now", datetime.now(UTC))
        return env.get_template(template).render(**values)

    def _environment(self, code: Code) -> Environment:
        language = self.languages[code]
        env = Environment(
            loader=FileSystemLoader(TEMPLATES),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        env.install_gettext_callables(  # type: ignore[attr-defined]
            language.text, language.texts, newstyle=True
        )
        env.globals.update(
            icon=icon, seal=seal, fort=fort, lang=language, label=self._label,
            static=self._static,
        )  # fmt: skip
        env.filters.update(
            team=team,
            initials=initials,
            unbroken=unbroken,
            short=short,
            gettext=language.text,
            n=language.number,
        )
        return env

    def _label(self, rank: int) -> str:
        names = self._labels()
        return names[rank] if rank < len(names) else f"{rank}"

    def _static(self, name: str) -> str:
        """Return the address of a static file, which changes with its content."""
        if name not in self._versions:
            path = STATIC / name
            if not path.is_file():
                raise AssetsError(f"{name} is missing: python -m appliance.console.assets")
            self._versions[name] = sha256(path.read_bytes()).hexdigest()[:10]
        return f"/static/{name}?v={self._versions[name]}"

    @cached_property
    def _icons(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads((VENDOR / "icons.json").read_text("utf-8"))
        except OSError as exc:
            raise AssetsError("icons are missing: python -m appliance.console.assets") from exc
        return found

    @cached_property
    def _parts_icons(self) -> set[str]:
        macros = TEMPLATES / "_m.html"
        return icon_names(TEMPLATES / "parts") | icons_in(macros.read_text("utf-8"))

    def _sprite(self, names: set[str]) -> Markup:
        symbols = [_SYMBOL.format(n, Markup(self._icons[n])) for n in sorted(names)]  # noqa: S704
        return Markup('<svg hidden aria-hidden="true">{}</svg>').format(Markup().join(symbols))
