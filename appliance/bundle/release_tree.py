"""Lays out a release as it will be on the site: payloads from the cache, and what is made here.

Each payload is hashed again as it is laid and compared with its lock. What is made here (our
wheel, the index of packages, locks, compliance documents) depends on the sources, the version,
the time of the commit and the archive key, on nothing else.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from appliance.bundle import debs, depends, wheels
from appliance.bundle.debs import Deb, Described
from appliance.bundle.fetch import Cache, FetchError, digest_of
from appliance.bundle.openpgp import ArchiveKey
from appliance.bundle.plan import Part, Payload, Plan
from appliance.bundle.wheels import Wheel

Told = Callable[[str, int], None]
OLDEST_IN_ZIP = "315619200"  # 2 January 1980, in seconds since 1970
_CODE_LEFT_OUT = {"__pycache__", ".built"}


@dataclass(slots=True)
class Tree:
    """A release being laid out in `folder`, and the parts that are there."""

    folder: Path
    parts: list[Part] = field(default_factory=list)

    def lay(self, plan: Plan, cache: Cache, told: Told) -> None:
        """Put each payload of the plan at its place.

        Raises:
            FetchError: One is absent from the cache, or is not what its lock says.
        """
        for part in plan.parts:
            for payload in part.files:
                source = cache.path(payload.sha256)
                if not source.is_file() or digest_of(source) != payload.sha256:
                    source.unlink(missing_ok=True)
                    raise FetchError(
                        f"{payload.path} : ce n’est pas ce que dit le verrou ; relancez.",
                        f"{payload.path}: not what its lock says; run the build again.",
                    )
                link(source, self.folder / payload.path)
                told(payload.path, payload.size)
            self.parts.append(part)

    def write(self, path: str, data: bytes) -> Payload:
        """Write a file that the build makes."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o644)
        return self.payload(path)

    def payload(self, path: str) -> Payload:
        """Return what a file of the tree is."""
        file = self.folder / path
        return Payload(path, file.stat().st_size, digest_of(file))


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the disk cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(source.stat().st_mode & 0o777)


def add_own_wheel(tree: Tree, source: Path) -> Wheel:
    """Build the wheel of Casemate from an exported source tree; it goes with the appliance's.

    Raises:
        FetchError: It cannot be built, or the console's assets are not in the sources.
    """
    vendor = source / "appliance" / "console" / "static" / "vendor"
    if not (vendor / "icons.json").is_file():
        raise FetchError(
            "ressources de la console absentes : .ci/setup assets.",
            "the console's assets are not built: .ci/setup assets.",
        )
    with tempfile.TemporaryDirectory(dir=tree.folder.parent) as made:
        built = build_wheel(source, Path(made))
        name, version = built.name.split("-")[:2]
        path = f"wheels/appliance/{built.name}"
        link(built, tree.folder / path)
    payload = tree.payload(path)
    tree.parts.append(Part("wheel", name, version, (payload,), licence="", source="tree"))
    return Wheel(name, version, built.name, payload.size, payload.sha256)


def build_wheel(source: Path, made: Path) -> Path:
    """Return the wheel that setuptools builds from a source tree, without a network.

    Its files bear one fixed date: a commit that does not change the code changes no byte.
    """
    flat = {"LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": OLDEST_IN_ZIP}
    argv = [
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index",
        "--no-build-isolation", "--no-cache-dir", "--disable-pip-version-check",
        "-w", str(made), str(source),
    ]  # fmt: skip
    done = subprocess.run(  # noqa: S603 - no shell
        argv, capture_output=True, text=True, check=False, umask=0o022,
        env={**os.environ, **flat},
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise FetchError(f"notre paquet Python : {said}", "our wheel cannot be built.")
    (wheel,) = made.glob("*.whl")
    return wheel


def add_folder(tree: Tree, source: Path, name: str, version: str) -> None:
    """Copy a folder of the sources, such as `playbooks`, as one part."""
    found: list[Payload] = []
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if path.is_file() and not _CODE_LEFT_OUT & set(relative.parts):
            found.append(tree.write(f"{name}/{relative.as_posix()}", path.read_bytes()))
            if path.stat().st_mode & 0o100:
                (tree.folder / found[-1].path).chmod(0o755)
    tree.parts.append(Part("playbooks", name, version, tuple(found)))


def add_locks(tree: Tree, sets: Mapping[str, list[Wheel]], version: str) -> None:
    """Write the lock of each environment, which pip enforces on the site."""
    made = tuple(
        tree.write(f"wheels/{name}.lock", wheels.write_lock(found).encode())
        for name, found in sorted(sets.items())
    )
    tree.parts.append(Part("lock", "wheels", version, made))


def add_repository(tree: Tree, key: ArchiveKey, version: str) -> None:
    """Write the signed index of the packages that are laid, and describe their parts.

    Raises:
        FetchError: A package depends on one that is not there.
    """
    described: list[tuple[Deb, Described]] = []
    for at, part in enumerate(tree.parts):
        if part.kind == "deb":
            file = part.files[0]
            said = debs.describe((tree.folder / file.path).read_bytes())
            name = file.path.rpartition("/")[2]
            deb = Deb(part.name, part.version, name, file.size, file.sha256)
            check_names(deb, said)
            described.append((deb, said))
            tree.parts[at] = replace(part, licence=said.licence or part.licence)
    check_closed(said for _, said in described)
    index = debs.packages(described)
    release = debs.release(index, version, key.created)
    made = (
        tree.write("debs/Packages", index.encode()),
        tree.write("debs/Release", release.encode()),
        tree.write("debs/InRelease", key.sign_text(release)),
        tree.write("debs/archive-key.asc", key.public()),
    )
    tree.parts.append(Part("lock", "debs", version, made))


def check_closed(described: Iterable[Described]) -> None:
    """Refuse packages that would stop an installation for want of another.

    Raises:
        FetchError: One depends on a package that is not among them.
    """
    if absent := depends.unmet(said.fields for said in described):
        raise FetchError(
            f"paquet Debian sans sa dépendance — {absent[0]}.",
            f"a Debian package without what it depends on — {absent[0]}.",
        )


def check_names(deb: Deb, said: Described) -> None:
    """Refuse a package that calls itself otherwise than its lock.

    Raises:
        FetchError: It does.
    """
    fields = said.fields
    if (fields.get("Package"), fields.get("Version")) != (deb.name, deb.version):
        called = f"{fields.get('Package')} {fields.get('Version')}"
        raise FetchError(f"{deb.file} se nomme {called}.", f"{deb.file} calls itself {called}.")


def describe_wheels(tree: Tree) -> None:
    """Give the parts that are wheels the licence that each declares."""
    for at, part in enumerate(tree.parts):
        if part.kind == "wheel":
            with (tree.folder / part.files[0].path).open("rb") as file:
                tree.parts[at] = replace(part, licence=wheels.licence_of(file))
