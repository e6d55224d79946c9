"""Whether Debian packages find among themselves what they depend on. Pure.

A repository that lacks one package stops an installation halfway, at the rack. Debian policy 7
(relations between packages) and 5.6.12 (order of versions).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

_RELATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?::[a-z0-9]+)?"
    r"(?:\s*\((?P<sign><<|<=|=|>=|>>)\s*(?P<version>[^)\s]+)\s*\))?\Z"
)
_PART = re.compile(r"(\D*)(\d*)")
_SIGNS = {"<<": {-1}, "<=": {-1, 0}, "=": {0}, ">=": {0, 1}, ">>": {1}}


@dataclass(frozen=True, slots=True)
class Relation:
    """A package that is wanted or provided; with a version, which ones will do."""

    name: str
    sign: str = ""
    version: str = ""


def relations(field: str) -> Iterator[list[Relation]]:
    """Yield the alternatives of each relation of a field such as `Depends`."""
    for clause in filter(str.strip, field.split(",")):
        matches = (_RELATION.match(one.strip()) for one in clause.split("|"))
        yield [Relation(m["name"], m["sign"] or "", m["version"] or "") for m in matches if m]


def compare(left: str, right: str) -> int:
    """Return -1, 0 or 1: how Debian orders two versions."""
    one, other = _split(left), _split(right)
    for a, b in zip(one, other, strict=True):
        if found := _compare(a, b):
            return found
    return 0


def _split(version: str) -> tuple[str, str, str]:
    epoch, _, rest = version.rpartition(":")
    upstream, _, revision = rest.rpartition("-")
    return epoch or "0", upstream or revision, revision if upstream else ""


def _compare(left: str, right: str) -> int:
    for (a, m), (b, n) in zip_longest(_PART.findall(left), _PART.findall(right),
                                      fillvalue=("", "")):  # fmt: skip
        one, other = ([*map(_weight, a), 0], int(m or 0)), ([*map(_weight, b), 0], int(n or 0))
        if one != other:
            return 1 if one > other else -1
    return 0


def _weight(character: str) -> int:
    """Order a character: a tilde before the end of the text, letters before the rest."""
    if character == "~":
        return -1
    return ord(character) + (0 if character.isalpha() else 256)


def unmet(paragraphs: Iterable[Mapping[str, str]]) -> list[str]:
    """Return, as `package: relation`, what no package among them meets.

    Args:
        paragraphs: The control fields of each package, by field.
    """
    packages = list(paragraphs)
    there: dict[str, list[str]] = {}
    for fields in packages:
        there.setdefault(fields["Package"], []).append(fields["Version"])
        for group in relations(fields.get("Provides", "")):
            for one in group:
                there.setdefault(one.name, []).append(one.version)
    return [
        f"{fields['Package']}: {' | '.join(one.name for one in group)}"
        for fields in packages
        for key in ("Pre-Depends", "Depends")
        for group in relations(fields.get(key, ""))
        if not any(_meets(one, there.get(one.name, [])) for one in group)
    ]


def _meets(wanted: Relation, versions: list[str]) -> bool:
    if not wanted.sign:
        return bool(versions)
    return any(v and compare(v, wanted.version) in _SIGNS[wanted.sign] for v in versions)
