"""What `casemate audit verify` says, to people in French or English, and to programs.

Three verdicts, never one for another: integrity (each record is the one that was signed),
anchoring (whether something kept elsewhere was compared), completeness (what has no end).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from appliance.audit.ancestry import Ancestor
from appliance.audit.archive import Fault, TamperedError
from appliance.audit.verify import EXIT_TAMPERED, Remark, Report, Trust
from appliance.ledger.budget import Standing


class Language(StrEnum):
    """Of messages to people."""

    FR = "fr"
    EN = "en"


Texts = Mapping[Language, str]
FR, EN = Language.FR, Language.EN

FAULTS: Mapping[Fault, Texts] = {
    Fault.ADMISSION: {
        FR: "l’enregistreur n’aurait pas admis cet événement",
        EN: "the recorder would not have admitted this event",
    },
    Fault.CHECKPOINT: {
        FR: "la tête du journal n’est pas signée par cette clé",
        EN: "the head of the log is not signed by this key",
    },
    Fault.FORMAT: {
        FR: "ce n’est pas un événement du journal",
        EN: "this is no event of the log",
    },
    Fault.JOURNAL: {
        FR: "le fichier du journal n’est pas celui qui a été écrit",
        EN: "the journal is not the one that was written",
    },
    Fault.LEAF: {
        FR: "cet événement n’est pas celui qui a été signé",
        EN: "this event is not the one that was signed",
    },
    Fault.ROLLBACK: {
        FR: "le journal n’est pas celui qui avait été signé auparavant",
        EN: "the log is not the one that was signed before",
    },
    Fault.ROOT: {
        FR: "l’arbre n’est pas celui qui a été signé ; événements, empreintes et journal ont "
        "été refaits ensemble : un reçu ou une copie dira lequel a changé",
        EN: "the tree is not the one that was signed; events, digests and journal were redone "
        "together: a receipt or a copy will tell which one changed",
    },
    Fault.TILE: {
        FR: "l’empreinte de cet événement n’est pas celle qui a été signée",
        EN: "the digest of this event is not the one that was signed",
    },
}

REMARKS: Mapping[Remark, Texts] = {
    Remark.CLOCK: {FR: "l’horloge a été changée", EN: "the clock was changed"},
    Remark.COUNTER: {
        FR: "un moteur a servi plus de demandes que le journal n’en connaît",
        EN: "an engine served more requests than the log knows of",
    },
    Remark.DEGRADED: {FR: "l’enregistrement était dégradé", EN: "recording was degraded"},
    Remark.EPOCH: {
        FR: "ce journal en suit un autre, dont des événements peuvent être perdus",
        EN: "this log follows another one, of which events may be lost",
    },
    Remark.GAP: {
        FR: "silence plus long qu’annoncé avant cet événement",
        EN: "a silence longer than announced before this event",
    },
    Remark.LOSS: {
        FR: "des lignes ont été perdues vers le collecteur",
        EN: "lines to the collector were lost",
    },
    Remark.ORPHAN: {FR: "demande sans fin", EN: "request without an end"},
    Remark.UNPROVEN: {
        FR: "non prouvés à partir d’ici : signés par une clé volée",
        EN: "unproven from here on: signed by a stolen key",
    },
    Remark.UNSIGNED: {
        FR: "rien n’est signé à partir d’ici, alors que ce devrait l’être",
        EN: "nothing is signed from here on, though it should be",
    },
}

WHOLE: Texts = {
    FR: "Journal entier : {origin}\n"
    "  Intégrité    {signed} événements, chacun est celui qui a été signé\n"
    "               {unsigned} autres écrits, pas encore signés\n"
    "  Ancrage      {anchoring}\n"
    "  Complétude   demandes sans fin : {open} ; remarques : {remarks}\n"
    "  Racine       {root}",
    EN: "The log is whole: {origin}\n"
    "  Integrity    {signed} events, each is the one that was signed\n"
    "               {unsigned} more written, not signed yet\n"
    "  Anchoring    {anchoring}\n"
    "  Completeness requests without an end: {open}; remarks: {remarks}\n"
    "  Root         {root}",
}
ANCHORED: Texts = {
    FR: "prolonge ce qui était gardé ailleurs (preuves présentées : {count})",
    EN: "extends what was kept elsewhere (proofs brought: {count})",
}
NOT_ANCHORED: Texts = {
    FR: "rien de gardé ailleurs n’a été présenté : un retour en arrière ne se verrait pas",
    EN: "nothing kept elsewhere was brought: going back to an older state would not be seen",
}
FOLLOWS: Texts = {
    FR: "  Suit {origin} : {kept} événements gardés, perdus : {lost} ; {state}\n"
    "    proposé par {by}, approuvé par {approved_by}",
    EN: "  Follows {origin}: {kept} events are kept, lost: {lost}; {state}\n"
    "    proposed by {by}, approved by {approved_by}",
}
STATES: Mapping[bool, Texts] = {
    True: {FR: "vérifié", EN: "verified"},
    False: {
        FR: "non vérifié (clé absente, ou journal endommagé)",
        EN: "not verified (no key, or a damaged log)",
    },
}
LOST: Mapping[bool, Texts] = {
    True: {FR: "{first} à {last}", EN: "{first} to {last}"},
    False: {FR: "aucun", EN: "none"},
}
TAMPERED: Texts = {
    FR: "JOURNAL FALSIFIÉ\n  {place}\n  {fault}.\n"
    "  Détail technique, en anglais : {code}, {detail}",
    EN: "THE LOG WAS TAMPERED WITH\n  {place}\n  {fault}.\n"
    "  Technical detail: {code}, {detail}",
}
PRUNED: Texts = {
    FR: "  Éliminés     les {pruned} premiers, à leur terme ; leurs empreintes restent signées",
    EN: "  Pruned       the first {pruned}, at their term; their hashes are still signed",
}
RECORD: Texts = {FR: "Événement {record}", EN: "Event {record}"}
OFFSET: Texts = {FR: "octet {offset}", EN: "byte {offset}"}
BUDGETS: Texts = {FR: "Budgets, en jetons :", EN: "Budgets, in tokens:"}
BUDGET: Texts = {
    FR: "  {name} ({period}) : dépensé {used}, réservé {reserved}, reste {remaining}",
    EN: "  {name} ({period}): spent {used}, reserved {reserved}, remaining {remaining}",
}
PERIODS: Mapping[str, Texts] = {
    "day": {FR: "jour", EN: "day"},
    "week": {FR: "semaine", EN: "week"},
    "month": {FR: "mois", EN: "month"},
    "total": {FR: "total", EN: "total"},
}
REMARKS_SHOWN = 20


def place_of(error: TamperedError, language: Language) -> str:
    """Return « Événement 40, tile/entries/000.p/41, octet 18830 », as far as it is known."""
    parts = [
        RECORD[language].format(record=error.record) if error.record is not None else "",
        error.file,
        OFFSET[language].format(offset=error.offset) if error.offset is not None else "",
    ]
    return ", ".join(filter(None, parts))


def tampered_text(error: TamperedError, language: Language) -> str:
    """Return what people are told about a log that was tampered with."""
    return TAMPERED[language].format(
        place=place_of(error, language), fault=FAULTS[error.fault][language],
        code=error.fault, detail=error.detail,
    )  # fmt: skip


def whole_text(report: Report, trust: Trust, language: Language) -> str:
    """Return what people are told about a log that holds together."""
    brought = len(trust.earlier)
    anchoring = (ANCHORED if brought else NOT_ANCHORED)[language].format(count=brought)
    lines = [
        WHOLE[language].format(
            origin=report.head.origin, signed=report.head.size, root=report.head.root.hex(),
            unsigned=report.records - report.head.size, anchoring=anchoring, open=report.open,
            remarks=len(report.findings),
        ),
        *(
            f"    {RECORD[language].format(record=finding.record)} : "
            f"{REMARKS[finding.remark][language]} ({finding.remark})"
            for finding in report.findings[:REMARKS_SHOWN]
        ),
    ]  # fmt: skip
    if report.pruned:
        lines.insert(1, PRUNED[language].format(pruned=report.pruned))
    if report.budgets:
        lines.append(BUDGETS[language])
        lines += [_budget(name, b, language) for name, b in sorted(report.budgets.items())]
    return "\n".join(lines)


def _budget(name: str, standing: Standing, language: Language) -> str:
    remaining = "—" if standing.remaining is None else str(standing.remaining)
    return BUDGET[language].format(
        name=name, period=PERIODS[standing.period][language], used=standing.used,
        reserved=standing.reserved, remaining=remaining,
    )  # fmt: skip


def ancestor_text(one: Ancestor, language: Language) -> str:
    """Return what people are told about a log that this one follows."""
    first, end = one.told.lost
    lost = LOST[first < end][language].format(first=first, last=end - 1)
    return FOLLOWS[language].format(
        origin=one.origin, kept=one.told.kept, lost=lost, by=one.told.people[0],
        approved_by=one.told.people[1], state=STATES[one.report is not None][language],
    )  # fmt: skip


def ancestor_facts(one: Ancestor) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "origin": one.origin, "kept": one.told.kept, "lost": list(one.told.lost),
        "known": one.told.known_from, "verified": one.report is not None,
        "people": list(one.told.people),
    }  # fmt: skip


def tampered_facts(error: TamperedError) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "verdict": "tampered", "exit": EXIT_TAMPERED, "fault": str(error.fault),
        "record": error.record, "file": error.file, "offset": error.offset,
        "detail": error.detail,
    }  # fmt: skip


def whole_facts(report: Report, trust: Trust) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "verdict": "whole", "exit": report.exit_code, "origin": report.head.origin,
        "signed": report.head.size, "records": report.records, "root": report.head.root.hex(),
        "pruned": report.pruned, "anchors": len(trust.earlier),
        "open": report.open, "stopped_by": report.stopped_by,
        "findings": [
            {"remark": str(finding.remark), "record": finding.record}
            for finding in report.findings
        ],
        "budgets": {name: _standing(one) for name, one in sorted(report.budgets.items())},
    }  # fmt: skip


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "used": standing.used, "reserved": standing.reserved, "limit": standing.limit,
        "remaining": standing.remaining, "period": standing.period, "hard": standing.hard,
    }  # fmt: skip
