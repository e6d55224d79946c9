"""What is looked for in the log: from the address of a page to the terms of a search. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from appliance.audit.event import TYPES
from appliance.audit.index.row import Row, folded
from appliance.console.language import mark
from appliance.errors import FormatError

WORDS_MAX = 120  # characters
FOREVER = 2**53  # past every index
_CODE = re.compile(r"CM-[A-Z]{3}-\d{2}\Z")
_NUMBER = re.compile(r"\d[\d\s]*\Z")

TYPE_NAMES = frozenset(t.removeprefix("casemate.").removesuffix(".v1") for t in TYPES)
SUBJECTS: dict[str, str] = {  # first word of a type -> its name, a msgid
    "llm": mark("Demandes à un modèle"),
    "rag": mark("Documents et passages"),
    "auth": mark("Connexions"),
    "authz": mark("Accès refusés"),
    "admin": mark("Administration"),
    "audit": mark("Journal lui-même"),
    "budget": mark("Budgets"),
    "clock": mark("Horloge"),
    "config": mark("Réglages"),
    "content": mark("Contenus scellés"),
    "evidence": mark("Preuves de conformité"),
    "gate": mark("Jalons"),
    "human": mark("Avis de personnes"),
    "install": mark("Installation"),
    "key": mark("Clés"),
    "model": mark("Modèles"),
    "policy": mark("Politique"),
    "service": mark("Service"),
    "tool": mark("Outils"),
}
RESULTS: dict[str, str] = {  # outcome -> its name, a msgid
    "ok": mark("achevés"),
    "refused": mark("refus"),
    "failed": mark("échecs"),
    "interrupted": mark("interruptions"),
    "degraded": mark("dégradations"),
}


@dataclass(frozen=True, slots=True)
class Query:
    """What a person asked for, in the words of the form."""

    words: str = ""
    kind: str = ""  # a type, or the first word of some
    outcome: str = ""
    since: date | None = None
    until: date | None = None  # that day included

    @property
    def empty(self) -> bool:
        """Say whether everything is asked for."""
        return self == Query()

    def fields(self) -> dict[str, str]:
        """Return the filled fields of the form."""
        given = {
            "q": self.words, "type": self.kind, "issue": self.outcome,
            "du": self.since.isoformat() if self.since else "",
            "au": self.until.isoformat() if self.until else "",
        }  # fmt: skip
        return {name: value for name, value in given.items() if value}

    def href(self, page: str = "/journal", **more: object) -> str:
        """Return the address of a page with this search in it."""
        given = {**self.fields(), **more}
        return f"{page}?{urlencode(given)}" if given else page

    def period(self, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
        """Return the first moment, and the one after the last, in the time of the site."""
        start = midnight(self.since, zone) if self.since else None
        end = midnight(self.until + timedelta(days=1), zone) if self.until else None
        return start, end


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins on the site."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def read(fields: Mapping[str, str]) -> Query:
    """Read the fields of the form, as they stand in an address.

    Raises:
        FormatError: A field has a value that the form does not give.
    """
    kind, outcome = fields.get("type", ""), fields.get("issue", "")
    if kind not in TYPE_NAMES | SUBJECTS.keys() | {""} or outcome not in RESULTS.keys() | {""}:
        raise FormatError("no such type, or no such outcome")
    words = " ".join(fields.get("q", "").split())
    if len(words) > WORDS_MAX or "\0" in words:
        raise FormatError("what is looked for is too long")
    since, until = (_day(fields.get(name, "")) for name in ("du", "au"))
    if since and until and since > until:
        since, until = until, since
    return Query(words, kind, outcome, since, until)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as exc:
        raise FormatError(f"not a day: {text}") from exc
    if not 1970 <= day.year < 9999:  # noqa: PLR2004 - of the log's clock
        raise FormatError(f"no day of the log: {text}")
    return day


@dataclass(frozen=True, slots=True)
class Terms:
    """A search as the copy and the log answer it. What is None is not asked."""

    index: int | None = None
    code: str | None = None
    names: tuple[str, ...] | None = None  # actors, a request or an object: any of them
    object: str | None = None
    subject: str | None = None
    type: str | None = None
    outcome: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    bounds: tuple[int, int] = field(default=(0, FOREVER))  # indexes that the period lies in

    def match(self, row: Row) -> bool:
        """Say whether an event is looked for."""
        return all(
            (
                self.index in (None, row.idx),
                self.code in (None, row.code),
                self.subject in (None, row.subject),
                self.type in (None, row.type),
                self.outcome in (None, row.outcome),
                self.start is None or row.at >= self.start,
                self.end is None or row.at < self.end,
                self._named(row),
            )
        )

    def _named(self, row: Row) -> bool:
        if self.names is None:
            return True
        return row.actor in self.names or row.request in self.names or row.object == self.object


def name_in(query: Query) -> str:
    """Return the words where they may be the name of a person, folded; empty otherwise."""
    words = query.words
    return "" if _NUMBER.match(words) or _CODE.match(words.upper()) else folded(words)


def terms(query: Query, zone: ZoneInfo, people: tuple[str, ...] = ()) -> Terms:
    """Return the terms of a search.

    Args:
        query: What was asked for.
        zone: Of the site, in which days begin.
        people: Subjects whose name is what was looked for.
    """
    start, end = query.period(zone)
    words, kind = query.words, query.kind
    number = _NUMBER.match(words)
    code = words.upper() if _CODE.match(words.upper()) else None
    named = bool(words) and not number and not code
    return Terms(
        index=min(int("".join(words.split())), FOREVER) if number else None,
        code=code,
        names=(words, *people) if named else None,
        object=folded(words) if named else None,
        subject=kind if kind in SUBJECTS else None,
        type=kind if kind in TYPE_NAMES else None,
        outcome=query.outcome or None,
        start=start,
        end=end,
    )


def types_by_subject() -> dict[str, list[str]]:
    """Return the types of each subject, for the list of the form."""
    found: dict[str, list[str]] = {subject: [] for subject in SUBJECTS}
    for name in sorted(TYPE_NAMES):
        found[name.split(".", 1)[0]].append(name)
    return found
