"""What an export says on paper: the report inside it, the slip that goes with it. Pure.

French, as the papers of a site are. Both are to be read and signed; neither proves anything:
what does is beside them. The slip names the whole folder by one digest, so it cannot be in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.contents import Order, Tally
from appliance.audit.key import Verifier
from appliance.audit.note import Note
from appliance.errors import FormatError
from appliance.printing import qr

Shown = Mapping[str, object]
MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre",
    "octobre", "novembre", "décembre",
)  # fmt: skip
LIMITS = (
    "une clé volée, employée après le dernier ancrage",
    "ce que le système n’a jamais enregistré",
    ("un retour à un état plus récent que le dernier ancrage, si le vérificateur ne sait pas "
     "combien d’événements le journal avait"),
)  # fmt: skip
COMMAND = "python3 -I verify.py . --policy POLITIQUE"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_BYTES, _COSIGNATURE_BYTES = 8, 72


@dataclass(frozen=True, slots=True)
class Paper:
    """All that both papers are made of."""

    name: str  # of the folder
    order: Order
    head: Checkpoint
    keys: Sequence[Verifier]
    notes: Sequence[Note]  # anchors in the folder, smallest first; nothing of them verified
    tally: Tally
    note: bytes = b""  # the signed head, as it is in the folder

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the anchors."""
        return tuple(int(note.text.split("\n")[1]) for note in self.notes)


def report(paper: Paper) -> Shown:
    """Return what `rapport.typ` shows."""
    rows = [row for note in paper.notes for row in _seen(note, paper.head.origin)]
    last = max((int(row[0]) for row in rows), default=0)
    first, end = paper.order.first, paper.order.last
    tail = f"Les événements {max(first, last)} à {end} ne sont dans aucune note témoignée."
    return {
        **_frame(paper, "Export du journal signé"),
        "summary": [*_summary(paper), ["Formats", ", ".join(sorted(paper.order.formats))]],
        "head": _head(paper.head),
        "qr": _drawn(paper.note),
        "keys": [key.text() for key in paper.keys],
        "anchors": rows,
        "tail": tail if last <= end else "",
        "types": [[kind, str(count)] for kind, count in sorted(paper.tally.types.items())],
        "limits": list(LIMITS),
        "command": COMMAND,
    }


def slip(paper: Paper, sums: str, size: int) -> Shown:
    """Return what `bordereau.typ` shows.

    Args:
        paper: Of the export.
        sums: SHA-256 of SHA256SUMS, hex.
        size: Bytes of all files.
    """
    return {
        **_frame(paper, "Bordereau de remise"),
        "summary": [
            ["Dossier", paper.name], *_summary(paper),
            ["Taille", f"{size:,} octets".replace(",", "\u202f")],
            ["Mention de protection", paper.order.label or "non choisie"],
        ],
        "sums": sums,
        "head": _head(paper.head),
    }  # fmt: skip


def _frame(paper: Paper, title: str) -> dict[str, object]:
    site = paper.order.site or paper.head.origin
    when = _when(paper.order.made)
    return {
        "lang": "fr", "title": title, "subject": site, "marking": paper.order.label,
        "running": f"Casemate — {title.lower()} — {site}",
        "foot": f"Racine {paper.head.root.hex()[:16]}…",
        "moment": [when.year, when.month, when.day, when.hour, when.minute, when.second],
    }  # fmt: skip


def _summary(paper: Paper) -> list[list[str]]:
    order, tally = paper.order, paper.tally
    count = order.last - order.first + 1
    rows = [
        ["Journal", paper.head.origin],
        [
            "Événements",
            f"{order.first} à {order.last} ({count}), parmi {paper.head.size} signés",
        ],
    ]
    if tally.earliest is not None and tally.latest is not None:
        rows.append(["Période", f"du {dated(tally.earliest)} au {dated(tally.latest)}"])
    who = f", par {order.made_by}" if order.made_by else ""
    return [*rows, ["Établi le", f"{dated(order.made)}{who}, selon l’horloge de la machine"]]


def _head(head: Checkpoint) -> list[list[str]]:
    return [["Origine", head.origin], ["Taille", str(head.size)], ["Racine", head.root.hex()]]


def _drawn(note: bytes) -> str:
    """Return a note as the drawing of its QR code; empty when no code holds so much."""
    try:
        rows = qr.code(note)
    except FormatError:
        return ""
    side = len(rows) + 2 * qr.QUIET
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">'
        f'<path d="{qr.path(rows)}"/></svg>'
    )


def _seen(note: Note, origin: str) -> list[list[str]]:
    """Return a row for each witness that a note names: size, name, time as it says."""
    size = note.text.split("\n")[1]
    return [
        [size, line.name, dated(int.from_bytes(line.data[:_TIME_BYTES], "big") * 1_000_000)]
        for line in note.signatures
        if line.name != origin and len(line.data) == _COSIGNATURE_BYTES
    ]


def dated(at: int) -> str:
    """Return microseconds since 1970 in French words, UTC."""
    when = _when(at)
    day = "1er" if when.day == 1 else str(when.day)
    return f"{day} {MONTHS[when.month - 1]} {when.year} à {when.hour:02d} h {when.minute:02d}"


def _when(at: int) -> datetime:
    """Return a time; one that no calendar has is the beginning of ours."""
    try:
        return _EPOCH + timedelta(microseconds=at)
    except OverflowError:
        return _EPOCH
