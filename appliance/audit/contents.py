"""What an export holds beside the log itself: name, description, steps, program, sums."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.resources import files as resources
from pathlib import Path
from typing import Any, Self

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.derived import moment
from appliance.audit.event import Leaf, event_type
from appliance.audit.exported import verifier
from appliance.audit.keyring import Keyring
from appliance.audit.policy import Log, Policy

RESUME, SUMS = "resume.json", "SHA256SUMS"
VERSION = 1
_BLOCK = 1 << 20
_NOT_A_WORD = re.compile(r"[^a-z0-9.]+")


class Form(StrEnum):
    """A form in which the records of the range stand beside the evidence."""

    JSONL, CSV, OCSF, PDF = "jsonl", "csv", "ocsf", "pdf"


DERIVED: Mapping[Form, str] = {
    Form.JSONL: "events.jsonl", Form.CSV: "events.csv", Form.OCSF: "events.ocsf.jsonl",
}  # fmt: skip
ALL = frozenset(Form)


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of an export."""

    first: int  # index of the first record
    last: int  # of the last one, included
    label: str = ""  # protective marking, on each page and in the name
    site: str = ""  # name; the origin of the log when there is none
    formats: frozenset[Form] = ALL
    made: int = 0  # microseconds since 1970, by the clock of who asks
    made_by: str = ""
    anchors: Path | None = None  # folder of witnessed checkpoints; beside the log when None
    recipient: Path | None = None  # certificate, PEM: the export is encrypted to it

    def described(self) -> dict[str, Any]:
        """Return what two orders have to share for one to go on with the other."""
        return {
            "first": self.first, "last": self.last, "label": self.label, "site": self.site,
            "formats": sorted(self.formats), "sealed": self.recipient is not None,
        }  # fmt: skip


@dataclass(slots=True)
class Tally:
    """What the records of a range are, counted on the way."""

    types: dict[str, int] = field(default_factory=dict[str, int])
    earliest: int | None = None  # microseconds since 1970
    latest: int | None = None

    def add(self, leaf: Leaf) -> None:
        """Count a record."""
        kind = event_type(leaf.event)
        self.types[kind] = self.types.get(kind, 0) + 1
        self.earliest = leaf.at if self.earliest is None else min(self.earliest, leaf.at)
        self.latest = leaf.at if self.latest is None else max(self.latest, leaf.at)

    def merge(self, other: "Tally") -> None:
        """Take what was counted elsewhere."""
        for kind, count in other.types.items():
            self.types[kind] = self.types.get(kind, 0) + count
        times = [at for at in (self.earliest, other.earliest) if at is not None]
        self.earliest = min(times, default=None)
        times = [at for at in (self.latest, other.latest) if at is not None]
        self.latest = max(times, default=None)

    def described(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"types": self.types, "earliest": self.earliest, "latest": self.latest}

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """Return what `described` gave."""
        return cls(said["types"], said["earliest"], said["latest"])


def folder_name(order: Order, origin: str) -> str:
    """Return the name of the folder, in letters that every file system takes."""
    words = [word_of(order.site or origin), str(order.first), str(order.last)]
    if order.label:
        words.append(word_of(order.label))
    return "-".join(["export", *words])


def word_of(text: str) -> str:
    """Return a text as a part of a file name: « Usage Interne » as `usage-interne`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return _NOT_A_WORD.sub("-", plain).strip("-.")[:60] or "sans-nom"


def choose(sizes: Sequence[int], limit: int) -> list[int]:
    """Return at most `limit` of the sizes, spread evenly, the last one always."""
    if len(sizes) <= limit:
        return list(sizes)
    last = len(sizes) - 1
    return sorted({sizes[last - last * n // (limit - 1)] for n in range(limit)})


def files(order: Order, head: Checkpoint, ring: Keyring, tally: Tally) -> dict[str, bytes]:
    """Return the small files of the folder: description, examples, steps, program."""
    said = {
        "v": VERSION, "origin": head.origin, "from": order.first, "to": order.last,
        "size": head.size, "root": head.root.hex(), "site": order.site, "label": order.label,
        "formats": sorted(order.formats), "made": moment(order.made), "made_by": order.made_by,
        **tally.described(),
    }  # fmt: skip
    keys = ring.keys_of(head.size)
    policy = Policy(tuple(map(Log, keys)))
    return {
        "export.json": json.dumps(said, ensure_ascii=False, indent=1).encode() + b"\n",
        "keys/keyring.json": ring.text().encode(),
        "keys/POLICY.example": policy.text().encode(),
        "LISEZMOI.txt": _steps("LISEZMOI.txt", order, head, len(keys)),
        "README.txt": _steps("README.txt", order, head, len(keys)),
        "verify.py": verifier().encode(),
    }


def _steps(name: str, order: Order, head: Checkpoint, keys: int) -> bytes:
    """Return a page of steps; a log made before there were two keys has one signature."""
    text = (resources("appliance.audit") / "templates" / name).read_text("utf-8")
    words = {
        "LABEL": order.label or "—", "ORIGIN": head.origin, "FROM": order.first,
        "TO": order.last, "SIZE": head.size,
    }  # fmt: skip
    for word, value in words.items():
        text = text.replace(f"@{word}@", str(value))
    if keys == 1:
        text = "".join(line for line in text.splitlines(keepends=True) if "p256" not in line)
    return text.encode()


def sums(folder: Path) -> bytes:
    """Return SHA256SUMS: a line for each file below a folder, as sha256sum reads it."""
    names = sorted(path.relative_to(folder).as_posix() for path in _files(folder))
    lines = (f"{_digest_of(folder / name)}  {name}\n" for name in names if name != SUMS)
    return "".join(lines).encode()


def digest(data: bytes) -> str:
    """Return the SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _digest_of(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()
