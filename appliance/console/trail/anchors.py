"""The anchors of the log, as the facts of the log tell them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from appliance.audit.event import Fact
from appliance.console.language import mark
from appliance.console.records import Record

KIND = "audit.anchor"
SHOWN = 200  # latest anchors that are looked at
KINDS: dict[str, tuple[str, str]] = {  # kind -> icon, name (msgid)
    "witness": ("icon:monitor-check", mark("Témoin")),
    "file": ("icon:file-up", mark("Témoin, par fichier")),
    "paper": ("icon:printer", mark("Feuille imprimée")),
    "usb": ("icon:usb", mark("Copie sur clé")),
    "syslog": ("icon:radio-tower", mark("Ligne au collecteur")),
}


@dataclass(frozen=True, slots=True)
class Anchor:
    """One checkpoint that is kept outside this machine."""

    record: int  # index of the fact
    kind: str
    name: str  # who keeps it
    size: int  # leaves
    at: datetime
    digest: str  # base64 of the SHA-256 of the note that is kept

    @property
    def icon(self) -> str:
        """Return the icon of its kind."""
        return KINDS[self.kind][0]

    @property
    def title(self) -> str:
        """Return the name of its kind, a msgid."""
        return KINDS[self.kind][1]


def anchors_in(records: Sequence[Record]) -> list[Anchor]:
    """Return the anchors that records tell of, in the order of the records."""
    found: list[Anchor] = []
    for record in records:
        event = record.event
        if isinstance(event, Fact) and event.data.get("kind") in KINDS:
            said = event.data
            at = datetime.fromtimestamp(int(said["at"]), UTC)
            found.append(
                Anchor(
                    record.index, str(said["kind"]), str(said.get("name", "")),
                    int(said["size"]), at, str(said["digest"]),
                )
            )  # fmt: skip
    return found


def latest(anchors: Sequence[Anchor]) -> dict[str, Anchor | None]:
    """Return the anchor of each kind that reaches furthest, or None where there is none."""
    reach: dict[str, Anchor | None] = dict.fromkeys(KINDS)
    for one in anchors:
        known = reach[one.kind]
        if known is None or (one.size, one.at) > (known.size, known.at):
            reach[one.kind] = one
    return reach
