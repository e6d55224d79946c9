"""What a PDF of the installation shows: facts in words, ready for its template. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from appliance.install.phases import PHASES
from appliance.install.preflight import Level
from appliance.install.report import WORDS, Canary, Facts, Lap
from appliance.install.screen import duration

Shown = Mapping[str, object]
MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre",
    "octobre", "novembre", "décembre",
)  # fmt: skip
_EXPECTED = {phase.number: phase.expected for phase in PHASES}


def moment_of(made: str) -> list[int]:
    """Return a UTC time as the template takes it: year, month, day, hour, minute, second."""
    when = datetime.fromisoformat(made).astimezone(UTC)
    return [when.year, when.month, when.day, when.hour, when.minute, when.second]


def dated(made: str) -> str:
    """Return a UTC time in French words."""
    year, month, day, hour, minute, _ = moment_of(made)
    first = "1er" if day == 1 else str(day)
    return f"{first} {MONTHS[month - 1]} {year} à {hour:02d} h {minute:02d} (UTC)"


def report(facts: Facts, digest: str) -> Shown:
    """Return what the report shows.

    Args:
        facts: Of the installation.
        digest: SHA-256 of their bytes, hex: ties the document to them.
    """
    release = facts.release
    titles = {one.id: one.title for one in facts.checks}
    return {
        "lang": "fr", "title": "Procès-verbal d’installation", "subject": facts.site_name,
        "running": f"Casemate — procès-verbal d’installation — {facts.site_name}",
        "foot": f"Faits {digest[:16]}…", "marking": facts.marking,
        "moment": moment_of(facts.made),
        "summary": [
            ["Livraison", f"Casemate {release.version}, n° {release.release_seq}"],
            ["Profil", facts.profile],
            ["Adresse", facts.domain],
            ["Installé par", facts.operator],
            ["Établi le", f"{dated(facts.made)}, selon l’horloge de la machine"],
            ["Départs de la commande", _starts(facts.starts)],
        ],
        "not_measured": list(facts.not_measured),
        "provenance": [
            ["Lot fabriqué le", dated(facts.bundle_created), False],
            ["SHA-256 du manifeste", release.manifest, True],
            ["SHA-256 des faits", digest, True],
            ["Journal d’installation", f"{facts.journal_lines} lignes", False],
            ["SHA-256 de sa dernière ligne", facts.journal_head, True],
        ],
        "media": [[one.label, one.serial, one.handed_by, one.scanned] for one in facts.media],
        "marks": [[one.name, one.value] for one in facts.marks],
        "laps": [_lap(lap) for lap in facts.laps],
        "total": duration(sum(lap.seconds for lap in facts.laps)),
        "tally": f"Tâches : {facts.tally.changed} modifications faites, "
                 f"{facts.tally.ok} états déjà conformes.",
        "checks": [
            [one.title, WORDS[one.level], one.message, one.level == Level.PASS]
            for one in facts.checks
        ],
        "overrides": [
            [titles.get(one.check, one.check), one.operator, one.reason]
            for one in facts.overrides
        ],
        "egress": [_canary(one) for one in facts.egress],
        "command": "ssh-keygen -Y verify -f allowed_signers -I site -n report@casemate "
                   "-s report.pdf.sig < report.pdf",
    }  # fmt: skip


def _starts(starts: int) -> str:
    return "un seul" if starts == 1 else f"{starts} : l’installation a été reprise"


def _lap(lap: Lap) -> Shown:
    expected = duration(_EXPECTED[lap.number])
    return {"number": lap.number, "name": lap.name, "seconds": lap.seconds,
            "expected": expected, "took": duration(lap.seconds)}  # fmt: skip


def _canary(canary: Canary) -> list[str]:
    caught = "attrapée" if canary.positive_control else "NON attrapée"
    return [canary.phase, str(canary.attempts), caught]
