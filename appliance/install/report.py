"""The installation report: facts, and the French page made from them. Pure.

Facts are canonical JSON; the page is rendered once from them, so that the same facts give the
same bytes. It states what was measured and, as plainly, what was not. It holds fingerprints and
public keys, never a secret, nor the output of a task.
"""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Self

import msgspec

from appliance.bundle.rehearsed import FRENCH
from appliance.errors import FormatError
from appliance.install.chain import OWN_FIELDS
from appliance.install.markdown import rendered
from appliance.install.phases import BY_NAME, Release
from appliance.install.preflight import REHEARSAL, Check, Level, Override

SCHEMA = "casemate.report/v1"
NEVER_MEASURED: tuple[str, ...] = (
    "la sûreté physique du local et la conduite des personnes",
    "l’absence de défaut dans les composants : seules leurs empreintes sont connues",
    "une panne de courant réelle, une charge réelle, une durée de plusieurs jours",
    "un retour en arrière de toute la machine (instantané) : seul un témoin extérieur le voit",
)
WORDS = {
    Level.PASS: "conforme à l’attendu", Level.WARN: "remarque", Level.FAIL: "échec, outrepassé",
}  # fmt: skip

_CHANGED = "changed"


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every field is known."""


class Lap(_Strict, frozen=True, kw_only=True):
    """A phase that was done."""

    number: int
    name: str
    seconds: int


class Carried(_Strict, frozen=True, kw_only=True):
    """A medium of the register."""

    label: str  # as the medium says of itself: k of n
    serial: str = "non déclaré"
    handed_by: str = "non déclaré"
    scanned: str = "non déclaré"


class Mark(_Strict, frozen=True, kw_only=True):
    """A key or root, by what a person compares."""

    name: str
    value: str  # fingerprint, or a public key whole


class Canary(_Strict, frozen=True, kw_only=True):
    """What the egress proof found in one moment of the installation."""

    phase: str
    attempts: int  # to leave
    positive_control: bool  # the planted attempt was caught


class Tally(_Strict, frozen=True, kw_only=True):
    """Tasks of the playbooks, by outcome."""

    ok: int
    changed: int


class Facts(_Strict, frozen=True, kw_only=True):
    """All that the report says."""

    schema: str = SCHEMA
    made: str  # UTC, ISO 8601, by the clock of the machine
    operator: str
    site_name: str
    marking: str  # of protection, on each page; empty: none was chosen
    domain: str
    profile: str
    release: Release
    bundle_created: str  # UTC, ISO 8601
    starts: int  # of the command, resumptions included
    media: tuple[Carried, ...]
    marks: tuple[Mark, ...]
    laps: tuple[Lap, ...]
    tally: Tally
    checks: tuple[Check, ...]
    overrides: tuple[Override, ...]
    egress: tuple[Canary, ...]
    not_measured: tuple[str, ...]
    journal_lines: int
    journal_head: str  # SHA-256 of the last line before the report

    def text(self) -> bytes:
        """Return the canonical bytes, one final newline."""
        return msgspec.json.encode(self, order="sorted") + b"\n"

    @classmethod
    def parse(cls, stored: bytes) -> Self:
        """Read facts back.

        Raises:
            FormatError: Not the facts of a report, or not their canonical bytes.
        """
        try:
            facts = msgspec.json.decode(stored, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise FormatError(f"not the facts of a report: {exc}") from exc
        if facts.text() != stored or facts.schema != SCHEMA:
            raise FormatError("not the canonical facts of a report")
        return facts


class Told(_Strict, frozen=True, kw_only=True):
    """What the journal says of an installation."""

    laps: tuple[Lap, ...]
    tally: Tally
    checks: tuple[Check, ...]
    overrides: tuple[Override, ...]
    egress: tuple[Canary, ...]


Entry = Mapping[str, Any]


def told(journal: Iterable[Entry], release: Release) -> Told:
    """Gather what the journal says of the last installation of a release.

    Of a phase or a check that was done again after a stop, the last one counts.
    """
    entries = _of_last(journal, release)
    outcomes = [entry["outcome"] for entry in entries if entry["event"] == "task"]
    done = _last(entries, "phase.done", "phase")
    return Told(
        laps=tuple(sorted(map(_lap, done), key=lambda lap: lap.number)),
        tally=Tally(ok=outcomes.count("ok"), changed=outcomes.count(_CHANGED)),
        checks=tuple(msgspec.convert(_own(e), Check) for e in _last(entries, "check", "id")),
        overrides=tuple(
            msgspec.convert(_own(e), Override) for e in _last(entries, "override", "check")
        ),
        egress=tuple(
            msgspec.convert(_own(e), Canary) for e in _last(entries, "egress", "phase")
        ),
    )


def _of_last(journal: Iterable[Entry], release: Release) -> list[Entry]:
    """Return the entries since the last installation of a release began."""
    kept: list[Entry] = []
    for entry in journal:
        if entry["event"] == "install.begin" and entry["manifest"] == release.manifest:
            kept = []
        kept.append(entry)
    return kept


def _last(entries: Iterable[Entry], event: str, key: str) -> list[Entry]:
    """Return the last entry of an event for each value of a key, in order of first sight."""
    return list({entry[key]: entry for entry in entries if entry["event"] == event}.values())


def _own(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in OWN_FIELDS}


def _lap(entry: Entry) -> Lap:
    phase = BY_NAME[entry["phase"]]
    seconds = entry["milliseconds"] // 1000
    return Lap(number=phase.number, name=phase.french, seconds=seconds)


def not_measured(profile: str, checks: Iterable[Check], egress: Iterable[Canary]) -> list[str]:
    """Return what this installation did not measure, in words."""
    found: list[str] = [*NEVER_MEASURED]
    checks = list(checks)
    if profile == "gpu" and all(one.id != REHEARSAL for one in checks):
        found.append(f"le profil gpu : {FRENCH}")
    caught = [canary.positive_control for canary in egress]
    if not caught or not all(caught):
        found.append("l’absence de sortie : le témoin positif n’a pas été attrapé")
    found += [f"{one.title} : {one.message}" for one in checks if one.level == Level.WARN]
    return found


def names_administrator(site_toml: str) -> bool:
    """Tell whether a declared site names an administrator of accounts.

    Raises:
        FormatError: It is not TOML.
    """
    try:
        people = tomllib.loads(site_toml).get("people", [])
    except tomllib.TOMLDecodeError as exc:
        raise FormatError(f"site.toml: {exc}") from exc
    return any("administrateur" in person.get("roles", []) for person in people)


def page(facts: Facts, digest: str) -> bytes:
    """Return the report in Markdown.

    Args:
        facts: Of the installation.
        digest: SHA-256 of the bytes of the facts, hex: ties the page to them.
    """
    total = sum(lap.seconds for lap in facts.laps)
    return rendered("report.md.j2", facts=facts, digest=digest, words=WORDS, total=total)
