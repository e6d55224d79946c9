"""Builds a bundle: from locks and a commit to a signed folder. Nothing enters unlocked.

Same commit, locks, version, number and key: same manifest, byte for byte.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.bundle import binaries, debs, given, models, provenance, sbom
from appliance.bundle.apt import AptRoot
from appliance.bundle.binaries import Binary
from appliance.bundle.compose import Bundle, Heading
from appliance.bundle.debs import Deb
from appliance.bundle.fetch import (
    Cache,
    FetchError,
    fetch_binaries,
    fetch_debs,
    fetch_folder,
    fetch_model,
    fetch_wheels,
)
from appliance.bundle.given import Given
from appliance.bundle.manifest import Manifest
from appliance.bundle.models import ModelLock
from appliance.bundle.openpgp import ArchiveKey
from appliance.bundle.pack import Seal
from appliance.bundle.plan import (
    Part,
    Plan,
    binary_parts,
    deb_parts,
    model_parts,
    wheel_parts,
)
from appliance.bundle.release_tree import (
    Tree,
    add_folder,
    add_locks,
    add_own_wheel,
    add_repository,
    describe_wheels,
)
from appliance.bundle.sources import Sources
from appliance.bundle.wheels import Wheel, read_lock, write_lock

Told = Callable[[str, int], None]
INSTALLER = "appliance/install/templates/install.sh"


@dataclass(frozen=True, slots=True)
class Locks:
    """All locks of a profile, read."""

    profile: str
    wheels: Mapping[str, list[Wheel]]  # by environment
    debs: list[Deb]
    binaries: list[Binary]  # from Maven
    given: list[Given]  # folders of the engineer; their packages are in `wheels` and `debs` too
    models: list[ModelLock]
    texts: Mapping[str, bytes]  # by their name in the repository

    def plan(self) -> Plan:
        """Return what a bundle of these locks holds."""
        declared = {deb.name: f.licence for f in self.given for deb in f.debs()}
        parts = wheel_parts(self.wheels)
        parts += [replace(p, licence=declared.get(p.name, "")) for p in deb_parts(self.debs)]
        parts += binary_parts(self.binaries) + model_parts(self.models)
        parts += [
            Part("binary", folder.name, folder.version, tuple(others), folder.licence)
            for folder in self.given
            if (others := folder.others())
        ]
        return Plan(self.profile, tuple(parts))


@dataclass(frozen=True, slots=True)
class Work:
    """Where a build works, and what the engineer gives it."""

    repository: Path  # holds offline-wheels/ and models/
    cache: Path
    folders: Mapping[str, Path] = field(default_factory=dict)  # of models and drivers, by id
    deb_sources: tuple[Path, ...] = ()  # further signed sources, in deb822


def read_locks(work: Work, profile: str) -> Locks:
    """Read the locks of a profile; models are those of wheels and those with a folder.

    Raises:
        FetchError: A lock is absent, or a folder is given without its lock.
        GivenError: A folder's packages do not fit with those of the other locks.
        FormatError: A lock cannot be read.
    """
    site = work.repository / "offline-wheels" / "site"
    sets = {
        "controller": site / "controller.lock", "appliance": site / "appliance.lock",
        "vllm": site / ("vllm-gpu.lock" if profile == "gpu" else "vllm.lock"),
    }  # fmt: skip
    folders = sorted(site.glob(f"gpu-*{given.SUFFIX}")) if profile == "gpu" else []
    paths = [*sets.values(), site / "debs.lock", site.parent / "binaries.lock", *folders]
    found = [(path, models.decode(path.read_bytes())) for path in _model_locks(work)]
    kept = [(p, m) for p, m in found if m.wheel is not None or m.id in work.folders]
    _check_folders(work, {m.id for _, m in kept} | {_given_id(p) for p in folders})
    paths += [path for path, _ in kept]
    if absent := [path.name for path in paths if not path.is_file()]:
        raise FetchError(f"{absent[0]} est absent.", f"{absent[0]} is absent.")
    found_given = [given.decode(path.read_bytes()) for path in folders]
    wheels = {name: read_lock(path.read_text("utf-8"), name) for name, path in sets.items()}
    own = debs.read_lock((site / "debs.lock").read_text("utf-8"))
    return Locks(
        profile=profile,
        wheels=with_kernels(wheels, found_given),
        debs=with_driver(own, found_given),
        binaries=binaries.read_lock((site.parent / "binaries.lock").read_text("utf-8")),
        given=found_given,
        models=[model for _, model in kept],
        texts={p.relative_to(work.repository).as_posix(): p.read_bytes() for p in paths},
    )


def _model_locks(work: Work) -> list[Path]:
    return sorted((work.repository / "models").glob("*.lock.json"))


def _given_id(lock: Path) -> str:
    return lock.name.removesuffix(given.SUFFIX)


def with_kernels(
    sets: Mapping[str, list[Wheel]], folders: list[Given]
) -> Mapping[str, list[Wheel]]:
    """Return the environments; that of vLLM has the kernels of the folders.

    Raises:
        GivenError: They are those of another version.
    """
    wheels = [wheel for folder in folders for wheel in folder.wheels()]
    return {**sets, "vllm": given.joined(sets["vllm"], wheels)}


def with_driver(own: list[Deb], folders: list[Given]) -> list[Deb]:
    """Return the packages of a site with those of the folders.

    Raises:
        GivenError: A package that Debian's closure has already.
    """
    known = {deb.name for deb in own}
    added = [deb for folder in folders for deb in folder.debs()]
    if twice := sorted(deb.name for deb in added if deb.name in known):
        raise given.GivenError(
            f"{twice[0]} : déjà dans debs.lock ; retirez-le du dossier.",
            f"{twice[0]}: in debs.lock already; take it out of the folder.",
        )
    return [*own, *added]


def _check_folders(work: Work, known: set[str]) -> None:
    for name in sorted(work.folders.keys() - known):
        raise FetchError(
            f"{name} n’a pas de verrou pour ce profil : model lock, ou bundle lock-folder.",
            f"{name} has no lock for this profile: model lock, or bundle lock-folder.",
        )


def fetch(locks: Locks, work: Work, told: Told) -> Cache:
    """Bring every payload into the cache.

    Raises:
        FetchError: One cannot be had or is not what its lock says.
    """
    cache = Cache(work.cache)
    for folder in locks.given:  # first: what they hold is in no index
        fetch_folder(cache, folder, work.folders.get(folder.name), told)
    for wheels in locks.wheels.values():
        fetch_wheels(cache, wheels, told)
    fetch_debs(cache, locks.debs, AptRoot(work.cache / "apt", work.deb_sources), told)
    fetch_binaries(cache, locks.binaries, told)
    for model in locks.models:
        fetch_model(cache, model, work.folders.get(model.id), told)
    return cache


def build(
    out: Path, locks: Locks, sources: Sources, work: Work, session: "Session"
) -> tuple[Path, Manifest]:
    """Build a bundle under `out`; return its folder and its manifest.

    Raises:
        FetchError: A payload cannot be had or is not what its lock says; the message names it.
    """
    heading, told = session.heading, session.told
    cache = fetch(locks, work, told)
    staging = work.cache / "staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    tree = Tree(staging)
    tree.lay(locks.plan(), cache, told)
    own = add_own_wheel(tree, sources.folder)
    sets = {**locks.wheels, "appliance": [*locks.wheels["appliance"], own]}
    add_locks(tree, sets, heading.version)
    add_given(tree, locks.given)
    add_folder(tree, sources.folder / "playbooks", "playbooks", heading.version)
    key = ArchiveKey.from_seed(heading.archive_seed(session.by), heading.created)
    add_repository(tree, key, heading.version)
    describe_wheels(tree)
    add_compliance(tree, locks, sources, heading)
    small = outside(tree, sources.folder, [*locks.wheels["controller"], own])
    folder = out / f"casemate-{heading.version}-{heading.release_seq}"
    manifest = Bundle(folder, small).write(tree, heading, session.by, told)
    shutil.rmtree(staging)
    return folder, manifest


def add_given(tree: Tree, folders: list[Given]) -> None:
    """Write the locks of folders into the release: roles read there what they install."""
    for folder in folders:
        made = tree.write(f"binaries/{folder.name}{given.SUFFIX}", given.encode(folder))
        tree.parts.append(Part("lock", folder.name, folder.version, (made,)))


@dataclass(frozen=True, slots=True)
class Session:
    """How one build is named, signed and told."""

    heading: Heading
    by: Seal
    told: Told


def add_compliance(tree: Tree, locks: Locks, sources: Sources, heading: Heading) -> None:
    """Write the bill of materials, the provenance and the list of licences."""
    origin = provenance.Origin(
        commit=sources.commit, created=sources.created, version=heading.version,
        release_seq=heading.release_seq, profile=heading.profile, locks=locks.texts,
    )  # fmt: skip
    parts = tuple(tree.parts)
    made = (
        tree.write(
            "compliance/sbom.cdx.json", sbom.bill(parts, heading.version, heading.created)
        ),
        tree.write("compliance/provenance.intoto.json", provenance.statement(parts, origin)),
        tree.write("compliance/licences.tsv", sbom.licences(parts)),
    )
    tree.parts.append(Part("doc", "compliance", heading.version, made))


def outside(tree: Tree, source: Path, wheels: list[Wheel]) -> dict[str, bytes]:
    """Return what starts an installation: the installer, and `bootstrap/`.

    `bootstrap/` is flat: the controller's wheels, pip among them, ours, and their lock.
    """
    if not (source / INSTALLER).is_file():
        raise FetchError(f"{INSTALLER} est absent des sources.", f"{INSTALLER} is absent.")
    small = {"install.sh": (source / INSTALLER).read_bytes()}
    for wheel in wheels:
        place = "appliance" if wheel is wheels[-1] else "controller"
        data = (tree.folder / "wheels" / place / wheel.file).read_bytes()
        small[f"bootstrap/{wheel.file}"] = data
    small["bootstrap/bootstrap.lock"] = write_lock(wheels).encode()
    return small
