"""French and English: texts, numbers, dates.

French texts are the msgids, with the typography applied when they are shown; English comes from
the catalogue beside this module, which a test keeps complete. Modules mark a text that they do
not show themselves with `mark`, so that it is collected too.
"""

import gettext
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Literal
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from markupsafe import Markup

from appliance.console.typography import SPACE, french

Code = Literal["fr", "en"]
CODES: tuple[Code, ...] = ("fr", "en")
CATALOGUE = "locale/en/LC_MESSAGES/casemate.po"
_KILO, _MINUTE, _HOUR, _DAY = 1000, 60, 3600, 86400


def mark(text: str) -> str:
    """Mark a msgid that another place shows."""
    return text


@cache
def english() -> gettext.NullTranslations:
    """Return the English catalogue."""
    text = files("appliance.console").joinpath(CATALOGUE).read_bytes()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(text), locale="en"))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def pick(cookie: str | None, accepted: str | None) -> Code:
    """Return the language that the person chose, else the first that their browser names."""
    for code in CODES:
        if cookie == code:
            return code
    for part in (accepted or "").lower().split(","):
        for code in CODES:
            if part.strip().startswith(code):
                return code
    return "fr"


@dataclass(frozen=True, slots=True)
class Language:
    """How one page speaks."""

    code: Code
    zone: ZoneInfo

    def text(self, msgid: str) -> str:
        """Return a text of the interface."""
        return _french(msgid) if self.code == "fr" else english().gettext(msgid)

    def texts(self, one: str, many: str, number: int) -> str:
        """Return a text for a number: in French, zero and one are singular."""
        if self.code == "fr":
            return _french(one if -2 < number < 2 else many)  # noqa: PLR2004
        return english().ngettext(one, many, number)

    def number(self, value: float, digits: int = 0) -> str:
        """Return `1 482 907` or `0,09`."""
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        return format_decimal(value, format=pattern, locale=self.code).replace("\u202f", SPACE)

    def day(self, at: datetime) -> str:
        """Return the day, in the site's time zone."""
        local = at.astimezone(self.zone)
        return format_date(
            local, "dd/MM/yyyy" if self.code == "fr" else "d MMM yyyy", self.code
        )

    def minute(self, at: datetime) -> str:
        """Return the day and the minute."""
        return self._moment(at, "HH:mm")

    def second(self, at: datetime) -> str:
        """Return the day and the second."""
        return self._moment(at, "HH:mm:ss")

    def exact(self, at: datetime) -> str:
        """Return the day and the millisecond, as in the log."""
        return self._moment(at, "HH:mm:ss") + ("," if self.code == "fr" else ".") + _milli(at)

    def clock(self, at: datetime) -> str:
        """Return the time of day, to the millisecond."""
        local = at.astimezone(self.zone)
        return f"{local:%H:%M:%S}{',' if self.code == 'fr' else '.'}{_milli(at)}"

    def _moment(self, at: datetime, clock: str) -> str:
        local = at.astimezone(self.zone)
        link = " à " if self.code == "fr" else ", "
        return self.day(at) + link + format_datetime(local, clock, locale=self.code)

    def ago(self, at: datetime, now: datetime) -> str:
        """Return how long ago, under two days; the day otherwise."""
        seconds = max(0, int((now - at).total_seconds()))
        if seconds >= 2 * _DAY:
            return self.day(at)
        if seconds < _MINUTE:
            return self.text("il y a %s s") % seconds
        if seconds < _HOUR:
            return self.text("il y a %s min") % (seconds // _MINUTE)
        return self.text("il y a %s h") % (seconds // _HOUR)

    def moment(self, at: datetime, now: datetime | None = None) -> Markup:
        """Return a `<time>`, exact in its title; relative under two days if `now` is given."""
        shown = self.ago(at, now) if now else self.minute(at)
        stamp = at.astimezone(UTC).isoformat(timespec="milliseconds")
        html = Markup('<time datetime="{}" title="{}">{}</time>')
        return html.format(stamp, self.exact(at), shown)

    def size(self, octets: int) -> str:
        """Return a size in decimal units."""
        value, units = float(octets), ["o", "ko", "Mo", "Go", "To"]
        if self.code == "en":
            units = ["B", "kB", "MB", "GB", "TB"]
        while value >= _KILO and len(units) > 1:
            value, units = value / _KILO, units[1:]
        whole = value >= 10 or value == int(value)  # noqa: PLR2004
        return self.number(value, 0 if whole else 1) + SPACE + units[0]

    def choose(self, given: str, other: str) -> str:
        """Return the first in French, the second in English: for data kept in both."""
        return given if self.code == "fr" else other


def _milli(at: datetime) -> str:
    return f"{at.microsecond // 1000:03}"


_french: Callable[[str], str] = cache(french)
