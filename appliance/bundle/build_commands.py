"""The command line of builds: `casemate bundle plan|build|lock`, `casemate model lock`."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer
from msgspec import ValidationError, convert
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from appliance.bundle import given_folder, models, rehearsed
from appliance.bundle.apt import AptRoot
from appliance.bundle.build import Locks, Session, Work, build, read_locks
from appliance.bundle.compose import Heading, sealed_by
from appliance.bundle.debs import names_of, write_lock
from appliance.bundle.given import DRIVER, KERNELS, SUFFIX, encode
from appliance.bundle.manifest import Revocation
from appliance.bundle.model_folder import Declared, lock_folder
from appliance.bundle.paths import check_digest
from appliance.bundle.sources import Sources, export
from appliance.bundle.sshsig import PublicKey
from appliance.bundle.wheels import chosen
from appliance.bundle.wheels import write_lock as write_wheels
from appliance.errors import FormatError

KINDS = {
    "wheel": "Paquets Python / Wheels", "deb": "Paquets Debian / Debs",
    "binary": "Programmes / Programs", "model": "Modèles / Models",
}  # fmt: skip
REPOSITORY = Path()
CACHE = Path("build/bundle-cache")

model = typer.Typer(no_args_is_help=True, help="Models of a bundle.")
Profile = Annotated[str, typer.Option(help="cpu or gpu.")]
Repository = Annotated[Path, typer.Option(help="Sources, with offline-wheels/ and models/.")]
CacheFolder = Annotated[Path, typer.Option("--cache", help="Verified payloads; kept.")]
Given = Annotated[list[str], typer.Option(help="ID=DIR, or DIR named ID.")]
Driver = Annotated[Path | None, typer.Option(help="gpu: folder of the driver, locked.")]
Kernels = Annotated[Path | None, typer.Option(help="gpu: folder of kernels, locked.")]
Keys = Annotated[list[Path], typer.Option(help="Private key that signs; several times.")]
Revoke = Annotated[
    list[str], typer.Option(help="bundle|file|key:SHA256=REASON, key:FILE.pub=REASON.")
]
Extra = Annotated[list[Path], typer.Option(help="A further signed deb source (deb822).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
out = Console()


def register(app: typer.Typer) -> None:
    """Add the commands of builds to `casemate bundle`."""
    app.command("plan")(plan)
    app.command("build")(build_bundle)
    app.command("lock")(renew)
    app.command("lock-folder")(lock_given)


def folders(given: list[str]) -> dict[str, Path]:
    """Return the folders of `ID=DIR` words; the name of a bare folder is its id."""
    found: dict[str, Path] = {}
    for word in given:
        name, _, path = word.rpartition("=")
        found[name or Path(path).resolve().name] = Path(path)
    return found


def plan(
    profile: Profile = "cpu", model: Given = [], repository: Repository = REPOSITORY,  # noqa: B006
    *, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say what a bundle will hold, from the locks alone."""
    locks = read_locks(Work(repository, CACHE, folders(model)), _profile(profile))
    show(locks, as_json=as_json)


def show(locks: Locks, *, as_json: bool = False) -> None:
    """Print the sizes of a plan."""
    found = locks.plan()
    kinds = found.by_kind()
    if as_json:
        print(json.dumps({"profile": found.profile, "bytes": found.total, "kinds": kinds}))  # noqa: T201
        return
    table = Table("", "", "Mo / MB")
    for kind, (count, size) in kinds.items():
        table.add_row(KINDS[kind], str(count), f"{size / 1e6:.1f}")
    table.add_row("Total", "", f"{found.total / 1e6:.1f}")
    out.print(table)
    for part in found.biggest(5):
        megabytes = sum(part.distinct.values()) / 1e6
        out.print(f"  {part.name} {part.version} : {megabytes:.0f} Mo", highlight=False)
    for line in remarks(locks):
        out.print(line, highlight=False)


def remarks(locks: Locks) -> Iterator[str]:
    """Yield what is said of a plan: drivers, kernels, and what was never rehearsed."""
    if locks.profile != "gpu":
        return
    given = {folder.name: folder for folder in locks.given}
    if driver := given.get(DRIVER):
        kernels = ", ".join(driver.kernels)
        yield f"Pilote / Driver {driver.version} ; Linux {kernels}"
    else:
        yield (
            "Aucun pilote ne voyage : le site doit en avoir un, R580 ou plus récent.\n"
            "No driver travels: the site must have one, R580 or newer."
        )
    if KERNELS not in given:
        yield (
            "Aucun noyau précompilé ne voyage : FlashInfer restera inactif.\n"
            "No precompiled kernel travels: FlashInfer stays off."
        )
    yield rehearsed.notice(locks.profile, rehearsed.recorded())


def build_bundle(  # noqa: PLR0913, PLR0917 - a command has one argument per option
    dest: Annotated[Path, typer.Option("--out", help="Where the bundle's folder is made.")],
    root: Annotated[Path, typer.Option(help="root.json, its signatures beside it.")],
    key: Annotated[
        list[Path], typer.Option(help="Private key that signs; several times.")
    ] = [],  # noqa: B006
    profile: Profile = "cpu",
    model: Given = [],  # noqa: B006
    driver: Driver = None,
    kernels: Kernels = None,
    seq: Annotated[int, typer.Option(help="Release number; grows.")] = 1,
    version: Annotated[str, typer.Option(help="Of the release.")] = "0.1.0",
    deb_source: Extra = [],  # noqa: B006
    revoke: Revoke = [],  # noqa: B006
    repository: Repository = REPOSITORY,
    cache: CacheFolder = CACHE,
    *,
    as_json: AsJson = False,
) -> None:
    """Fetch, verify and sign everything that a site needs."""
    started = monotonic()
    withdrawn = revocations(revoke)
    given = {DRIVER: driver, KERNELS: kernels}
    found = folders(model) | {name: path for name, path in given.items() if path}
    work = Work(repository, cache, found, tuple(deb_source))
    locks = read_locks(work, _profile(profile))
    by = sealed_by(root, key)
    if not as_json:
        show(locks)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary, progress(locks, as_json) as told:
        sources = export(repository, Path(temporary) / "sources")
        heading = Heading(version, seq, sources.created, profile, withdrawn)
        folder, manifest = build(dest, locks, sources, work, Session(heading, by, told))
    size = sum(manifest.chunks().values())
    if as_json:
        print(json.dumps({  # noqa: T201
            "folder": str(folder), "manifest": manifest.digest(), "bytes": size,
            "seconds": round(monotonic() - started),
        }))  # fmt: skip
        return
    for line in uncommitted(locks, sources):
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    out.print(f"{folder} : {size / 1e6:.0f} Mo, {monotonic() - started:.0f} s", highlight=False)
    out.print(f"Manifeste / Manifest SHA-256 {manifest.digest()}", highlight=False)


def revocations(words: list[str]) -> tuple[Revocation, ...]:
    """Return what words such as `key:lost.pub=stolen` revoke, for every site that hears it."""
    found = list[Revocation]()
    for word in words:
        try:
            found.append(_revocation(word))
        except (FormatError, ValidationError, OSError) as exc:
            raise typer.BadParameter(f"{word}: {exc}") from exc
    return tuple(found)


def _revocation(word: str) -> Revocation:
    what, _, reason = word.partition("=")
    kind, _, digest = what.partition(":")
    if kind == "key" and digest.endswith(".pub"):
        digest = PublicKey.parse(Path(digest).read_text("utf-8")).digest()
    if not reason.strip():
        raise FormatError("no reason")
    named = {"kind": kind, "digest": check_digest(digest), "reason": reason.strip()}
    return convert(named, Revocation)


def uncommitted(locks: Locks, sources: Sources) -> Iterator[str]:
    """Yield what is said of files without a commit: locks are read as they lie, no other is."""
    used = [path for path in sources.changed if path in locks.texts]
    left = [path for path in sources.changed if path not in locks.texts]
    if used:
        yield f"Verrous employés sans être validés / Locks used without a commit: {_few(used)}"
    if left:
        yield f"Ne voyage pas, faute d’être validé / Left behind, not committed: {_few(left)}"


def _few(paths: list[str], shown: int = 5) -> str:
    more = len(paths) - shown
    return ", ".join(paths[:shown]) + (f" … (+ {more})" if more > 0 else "")


@contextmanager
def progress(locks: Locks, quiet: bool) -> Iterator[Callable[[str, int], None]]:  # noqa: FBT001
    """Show bytes as they come; what is told is a name and bytes."""
    columns = (
        TextColumn("{task.description:<40.40}"), BarColumn(), DownloadColumn(),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=out, disable=quiet or not out.is_terminal) as bar:
        task = bar.add_task("", total=2 * locks.plan().total)

        def told(name: str, size: int) -> None:
            bar.update(task, description=name.rpartition("/")[2], advance=size)

        yield told


def renew(
    pylocks: Annotated[Path, typer.Option(help="Folder of pylock.NAME.toml, made by uv.")],
    repository: Repository = REPOSITORY,
    cache: CacheFolder = CACHE,
    deb_source: Extra = [],  # noqa: B006
) -> None:
    """Write the locks of wheels and of debs. `make site-locks` calls it."""
    site = repository / "offline-wheels" / "site"
    for path in sorted(pylocks.glob("pylock.*.toml")):
        name = path.name.split(".")[1]
        (site / f"{name}.lock").write_text(write_wheels(chosen(path.read_text("utf-8"))))
        out.print(f"{name}.lock")
    root = AptRoot(cache / "apt", tuple(deb_source))
    root.make()
    root.update()
    debs = root.closure(names_of((site / "debs.in").read_text("utf-8")))
    (site / "debs.lock").write_text(write_lock(debs))
    out.print(f"debs.lock : {len(debs)}")


def lock_given(
    name: Annotated[str, typer.Argument(help="gpu-driver or gpu-kernels.")],
    folder: Path,
    licence: Annotated[str, typer.Option(help="As its publisher declares it.")],
    repository: Repository = REPOSITORY,
) -> None:
    """Write the lock of a folder that the engineer gives: a GPU driver, precompiled kernels."""
    found = given_folder.lock_folder(folder, name, licence)
    lock = f"{name}{SUFFIX}"
    (repository / "offline-wheels" / "site" / lock).write_bytes(encode(found))
    size = sum(entry.size for entry in found.files) / 1e6
    out.print(
        f"{lock} : {found.version}, {len(found.files)} fichiers / files, {size:.0f} Mo / MB",
        highlight=False,
    )
    if found.kernels:
        out.print(f"Linux {', '.join(found.kernels)}", highlight=False)


@model.callback()
def about() -> None:
    """Keep `lock` a command of its own."""


@model.command("lock")
def lock_model(
    folder: Path,
    revision: Annotated[str, typer.Option(help="Commit of the publisher's repository.")],
    licence: Annotated[str, typer.Option(help="As its publisher declares it.")],
    id: Annotated[str, typer.Option(help="Name; the folder's when absent.")] = "",  # noqa: A002
    repository: Repository = REPOSITORY,
) -> None:
    """Write the lock of a model from its files."""
    name = id or folder.resolve().name
    found = lock_folder(folder, Declared(name, revision, licence))
    target = repository / "models" / f"{name}.lock.json"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(models.encode(found))
    out.print(f"{target} : {found.digest}", highlight=False)


def _profile(name: str) -> str:
    if name not in {"cpu", "gpu"}:
        raise typer.BadParameter("cpu, gpu")
    return name
