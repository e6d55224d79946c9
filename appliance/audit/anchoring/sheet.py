"""The sheet that the RSSI dates, signs and locks away: a checkpoint, to be read and scanned.

It says in clear how many events there were and how their root begins; the code holds the signed
note to the byte; the note stands below, line by line, for a day without a camera. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.audit.checkpoint import Checkpoint, open_checkpoint
from appliance.audit.key import Verifier
from appliance.audit.note import Note
from appliance.audit.papers import MONTHS
from appliance.audit.verdict import Language
from appliance.printing import qr

ROOT_CHARS = 16  # of the root, in clear: enough to compare by eye
FR, EN = Language.FR, Language.EN

WORDS: Mapping[Language, Mapping[str, str]] = {
    FR: {
        "title": "Fiche d’ancrage du journal signé", "running": "Casemate — fiche d’ancrage",
        "events": "Événements signés", "root": "Racine, début",
        "made": "Fiche composée le", "keys": "Signé par les clés", "cosigned": "Co-signé par",
        "nobody": "aucun témoin", "foot": "À garder hors de la machine, sous clé",
        "what": "Ce que vaut cette fiche",
        "why": "Datée, signée et gardée hors de la machine, elle établit qu’à cette date le "
        "journal comptait ces événements, avec cette racine. Un journal raccourci, refait ou "
        "remplacé depuis ne s’accordera plus avec elle.",
        "how": "Pour vérifier plus tard : lire le code, ou recopier les lignes, dans un "
        "fichier note.txt, puis",
        "command": "casemate audit verify JOURNAL --key CLÉ --since note.txt",
        "note": "La note signée",
        "lines": "Une ligne numérotée est une ligne de la note, même si elle est repliée ici ; "
        "la ligne vide compte. Chaque ligne de signature commence par un tiret cadratin et une "
        "espace.",
        "alt": "Code QR de la note signée, dont le texte est imprimé plus bas",
        "sign": "Signature du RSSI", "date": "Date", "name": "Nom", "signature": "Signature",
        "place": "Rangée à",
    },
    EN: {
        "title": "Anchor sheet of the signed log", "running": "Casemate — anchor sheet",
        "events": "Signed events", "root": "Root, beginning",
        "made": "Sheet set on", "keys": "Signed by the keys", "cosigned": "Cosigned by",
        "nobody": "no witness", "foot": "To be kept away from the machine, under lock",
        "what": "What this sheet is worth",
        "why": "Dated, signed and kept away from the machine, it establishes that on that day "
        "the log had these events, with this root. A log that was shortened, redone or "
        "replaced since will no longer agree with it.",
        "how": "To verify later: scan the code, or copy the lines, into a file note.txt, then",
        "command": "casemate audit verify LOG --key KEY --since note.txt",
        "note": "The signed note",
        "lines": "A numbered line is a line of the note, even where it is folded here; the "
        "empty line counts. Each line of a signature begins with an em dash and a space.",
        "alt": "QR code of the signed note, whose text is printed below",
        "sign": "Signature of the CISO", "date": "Date", "name": "Name",
        "signature": "Signature", "place": "Kept at",
    },
}  # fmt: skip
_MONTHS_EN = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is printed."""

    note: bytes  # signed, as published, with the cosignatures that are known
    keys: Sequence[Verifier]  # of the log; each of them has to have signed
    moment: tuple[int, int, int, int, int, int]  # UTC: year to second
    marking: str  # protective marking; empty: none was chosen


def facts(sheet: Sheet, language: Language) -> Mapping[str, object]:
    """Return what the template shows.

    Raises:
        FormatError: Not a note, or more than a code holds.
        VerificationError: It is not signed by the keys of the log.
    """
    head = open_checkpoint(sheet.note, *sheet.keys)
    words, rows = WORDS[language], qr.code(sheet.note)
    side = len(rows) + 2 * qr.QUIET
    return {
        **words, "lang": str(language), "subject": head.origin, "marking": sheet.marking,
        "moment": list(sheet.moment),
        "summary": [
            [words["events"], _thousands(head.size, language)],
            [words["made"], _date(sheet.moment, language)],
            [words["keys"], ", ".join(key.key_id.hex() for key in sheet.keys)],
            [words["cosigned"], ", ".join(_cosigners(sheet.note, head)) or words["nobody"]],
        ],
        "begins": _spaced(head.root.hex()[:ROOT_CHARS]),
        "lines": sheet.note.decode().removesuffix("\n").split("\n"),
        "reading": words["lines"],
        "qr": f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">'
              f'<path d="{qr.path(rows)}"/></svg>',
    }  # fmt: skip


def _cosigners(note: bytes, head: Checkpoint) -> list[str]:
    names = (signature.name for signature in Note.parse(note).signatures)
    return sorted({name for name in names if name != head.origin})


def _spaced(text: str) -> str:
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def _thousands(number: int, language: Language) -> str:
    return f"{number:,}".replace(",", "\u202f" if language is FR else ",")


def _date(moment: tuple[int, int, int, int, int, int], language: Language) -> str:
    year, month, day, hour, minute, _ = moment
    if language is FR:
        first = "1er" if day == 1 else str(day)
        return f"{first} {MONTHS[month - 1]} {year} à {hour:02d} h {minute:02d} (UTC)"
    return f"{day} {_MONTHS_EN[month - 1]} {year}, {hour:02d}:{minute:02d} UTC"
