"""What a bundle will hold, from its locks alone: names, versions, sizes, before the first byte.

The build makes the same parts and compares each file with this plan. What the build itself
makes (our wheel, indexes, compliance documents) is small and not in the plan.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from appliance.bundle.binaries import Binary
from appliance.bundle.debs import Deb
from appliance.bundle.manifest import Kind
from appliance.bundle.models import ModelLock
from appliance.bundle.wheels import Wheel

KINDS: tuple[Kind, ...] = ("wheel", "deb", "binary", "model")


@dataclass(frozen=True, slots=True)
class Payload:
    """One file of the release tree that a lock names."""

    path: str  # in the tree, such as wheels/appliance/x.whl
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """One component: what has a name, a version and a licence of its own."""

    kind: Kind
    name: str
    version: str
    files: tuple[Payload, ...]
    licence: str = ""
    source: str = ""  # a revision, never an address

    @property
    def distinct(self) -> dict[str, int]:
        """Return the size of each distinct content, by SHA-256."""
        return {file.sha256: file.size for file in self.files}


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of a bundle, by kind and name."""

    profile: str  # cpu or gpu
    parts: tuple[Part, ...]

    @property
    def total(self) -> int:
        """Return the bytes of all distinct contents: what the medium will hold."""
        return sum(_distinct(self.parts).values())

    def by_kind(self) -> dict[str, tuple[int, int]]:
        """Return the number of parts and their bytes, by kind."""
        found: dict[str, tuple[int, int]] = {}
        for kind in KINDS:
            parts = [part for part in self.parts if part.kind == kind]
            found[kind] = (len(parts), sum(_distinct(parts).values()))
        return found

    def biggest(self, count: int) -> list[Part]:
        """Return the biggest parts, biggest first."""
        return sorted(self.parts, key=lambda p: -sum(p.distinct.values()))[:count]

    @property
    def files(self) -> dict[str, Payload]:
        """Return each file of the tree, by path."""
        return {file.path: file for part in self.parts for file in part.files}


def _distinct(parts: Iterable[Part]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        found |= part.distinct
    return found


def wheel_parts(sets: Mapping[str, Iterable[Wheel]]) -> list[Part]:
    """Return one part per wheel: what two environments share is one part with two files."""
    found: dict[tuple[str, str], Part] = {}
    for name, wheels in sets.items():
        for wheel in wheels:
            file = Payload(f"wheels/{name}/{wheel.file}", wheel.size, wheel.sha256)
            known = found.get((wheel.name, wheel.version))
            part = known or Part("wheel", wheel.name, wheel.version, ())
            found[wheel.name, wheel.version] = replace(part, files=(*part.files, file))
    return [found[key] for key in sorted(found)]


def deb_parts(debs: Iterable[Deb]) -> list[Part]:
    """Return one part per Debian package."""
    return [
        Part("deb", d.name, d.version, (Payload(f"debs/{d.file}", d.size, d.sha256),))
        for d in debs
    ]


def binary_parts(binaries: Iterable[Binary]) -> list[Part]:
    """Return one part per program."""
    return [
        Part(
            "binary", b.name, b.version, (Payload(f"binaries/{b.file}", b.size, b.sha256),),
            b.licence, b.artifact,
        )
        for b in binaries
    ]  # fmt: skip


def model_parts(models: Iterable[ModelLock]) -> list[Part]:
    """Return one part per model."""
    return [
        Part(
            "model", m.id, m.revision,
            tuple(Payload(f"models/{m.id}/{f.path}", f.size, f.sha256) for f in m.files),
            m.licence, m.digest,
        )
        for m in models
    ]  # fmt: skip
