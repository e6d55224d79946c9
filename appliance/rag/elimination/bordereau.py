"""The « bordereau d'élimination »: what a site proposes to eliminate, for the visa. Pure.

One line a month: range of records, count, first and last date. It names no person and holds no
content. The same list gives the same bytes: the record of the visa holds their SHA-256.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from appliance.audit.visa import GATE

_HEAD = """\
# Bordereau d’élimination nº {id}

Site : {site}

Proposé le {proposed} (UTC). Objet : contenus des demandes et des réponses conservés depuis plus
de {months} mois. Les enregistrements et leurs preuves restent dans le journal.

| Mois | Enregistrements | Nombre | Du | Au |
|---|---|---:|---|---|
"""
_FOOT = """\
| **Total** | {first} à {last} | **{count}** | | |

Visa : référence ________________  date ____________  signature ________________
"""


@dataclass(frozen=True, slots=True)
class Line:
    """The contents of one month."""

    month: str  # 2025-11
    first: int  # record
    end: int  # after the last one
    count: int
    oldest: datetime
    newest: datetime


@dataclass(frozen=True, slots=True)
class Proposal:
    """A list as it was proposed."""

    id: int
    proposed_at: datetime
    months: int
    lines: tuple[Line, ...]

    @property
    def first(self) -> int:
        """Return the first record."""
        return min(line.first for line in self.lines)

    @property
    def end(self) -> int:
        """Return the record after the last one."""
        return max(line.end for line in self.lines)

    @property
    def count(self) -> int:
        """Return how many contents there are."""
        return sum(line.count for line in self.lines)

    @property
    def newest(self) -> datetime:
        """Return when the last of them was written."""
        return max(line.newest for line in self.lines)


def text_of(proposal: Proposal, site: str) -> str:
    """Return the list as Markdown, in French: it goes to a French authority."""
    head = _HEAD.format(
        id=proposal.id, site=_cell(site), proposed=f"{proposal.proposed_at:%d/%m/%Y à %H:%M}",
        months=proposal.months,
    )  # fmt: skip
    rows = [
        f"| {line.month} | {line.first} à {line.end - 1} | {line.count} "
        f"| {line.oldest:%d/%m/%Y} | {line.newest:%d/%m/%Y} |\n"
        for line in proposal.lines
    ]
    foot = _FOOT.format(first=proposal.first, last=proposal.end - 1, count=proposal.count)
    return head + "".join(rows) + foot


def digest_of(text: str) -> str:
    """Return the SHA-256 of a list, as the record of the visa holds it."""
    return hashlib.sha256(text.encode()).hexdigest()


def visa_data(proposal: Proposal, site: str, reference: str) -> dict[str, str | int]:
    """Return what the record of a visa says of the list."""
    return {
        "gate": GATE, "list": proposal.id, "first": proposal.first, "end": proposal.end,
        "count": proposal.count, "sha256": digest_of(text_of(proposal, site)),
        "reference": reference,
    }  # fmt: skip


def _cell(text: str) -> str:
    return " ".join(text.replace("|", " ").split())
