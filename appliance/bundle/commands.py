"""The command line of bundles: `casemate bundle verify|import|root|delta|spread|status|prune`.

Exit codes: 0 done, 1 refused, 2 wrong usage, 3 medium or chunk missing or damaged (copy it
again, then run the same command: what was good is not read again), 4 not trusted, 70 a defect.
"""

import platform
import re
import shutil
from pathlib import Path
from time import time
from typing import Annotated, Any

import typer
from msgspec.structs import replace

from appliance.bundle import importing, pack, reading, sums
from appliance.bundle.build_commands import model as model  # noqa: PLC0414 - for cli.py
from appliance.bundle.build_commands import register
from appliance.bundle.chunks import read_small
from appliance.bundle.delta import derive, lacking, outside
from appliance.bundle.manifest import MANIFEST_BYTES_MAX, Manifest, chunk_path
from appliance.bundle.medium import Media, open_media
from appliance.bundle.memory import Memory
from appliance.bundle.prune import prune
from appliance.bundle.refusal import BundleError
from appliance.bundle.show import answer, outcome, print_release, progress, release_facts
from appliance.bundle.sshsig import ROOT_NAMESPACE, load_private
from appliance.bundle.store import Store
from appliance.bundle.trust import Role, compose, spelled
from appliance.bundle.verify import Machine, prove
from appliance.errors import FormatError

app = typer.Typer(no_args_is_help=True, help="What enters a site: verify, import, delta.")
register(app)
PLACE = Path("/var/lib/casemate")
CURRENT = Path("/opt/casemate/current")
_PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}

Folders = Annotated[list[Path], typer.Argument(help="Folder of each medium.")]
Place = Annotated[Path, typer.Option("--root", help="Folder of the store.")]
Fingerprint = Annotated[
    str | None, typer.Option("--fingerprint", "-r", help="Of the root, from the printed sheet.")
]
OsRelease = Annotated[Path, typer.Option(help="Says what the machine of the store is.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_OS_RELEASE = Path("/etc/os-release")


@app.command("verify")
def verify(
    folders: Folders,
    fingerprint: Fingerprint = None,
    root: Place = PLACE,
    memory: Annotated[Path | None, typer.Option(help="Remembers what was read.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check a bundle, all of it, and name what is wrong and on which medium."""
    with outcome(as_json=as_json):
        store = Store(root)
        media = open_media(folders)
        now = int(time())
        release = prove(media, importing.site_of(store, now, fingerprint, None))
        reading.check_sizes(media, release, release.carried())
        total = reading.bytes_to_read(media, release)
        with progress("Vérification / checking", total, quiet=as_json) as advance:
            kept = Memory(memory or (root / "verified.json" if root.is_dir() else None))
            known = reading.check_bytes(media, release, kept, advance)
        reading.check_nothing_more(media, release)
        facts = release_facts(release, now)
        if as_json:
            answer({"ok": True, **facts, "known_before": known})
            return
        print_release(facts)
        typer.echo(
            f"BON : complète et signée ; {known} fichier(s) déjà vérifié(s), non relu(s)"
        )
        typer.echo(
            f"GOOD: complete and signed; {known} file(s) verified before, not read again"
        )


@app.command("import")
def import_release(
    folders: Folders,
    fingerprint: Fingerprint = None,
    root: Place = PLACE,
    os_release: OsRelease = _OS_RELEASE,
    *,
    as_json: AsJson = False,
) -> None:
    """Bring a release into the store of this site. Interrupted, it is simply run again."""
    with outcome(as_json=as_json):
        store, media = Store(root), open_media(folders)
        try:
            store.prepare()
        except PermissionError as exc:
            raise BundleError(
                "CM-INS-14", f"{root} n’est pas accessible.", f"{root} cannot be written."
            ) from exc
        now = int(time())
        with store.alone():
            site = importing.site_of(store, now, fingerprint, machine(os_release))
            total = _to_copy(media, store)
            with progress("Import", total, quiet=as_json) as advance:
                done = importing.run_import(media, store, site, advance)
        facts = release_facts(done.release, now)
        if as_json:
            answer({"ok": True, **facts, "tree": str(done.tree), "bytes_read": done.copied,
                    "files_new": done.files})  # fmt: skip
            return
        print_release(facts)
        typer.echo(f"IMPORTÉE dans {done.tree} ; {done.copied} octets lus sur les supports")
        typer.echo(f"IMPORTED into {done.tree}; {done.copied} bytes read from the media")


@app.command("root")
def make_root(  # noqa: PLR0913, PLR0917 - a command has one argument per option
    out: Annotated[Path, typer.Argument(help="root.json to write.")],
    root_key: Annotated[list[Path], typer.Option(help="Public key that may sign roots.")],
    release_key: Annotated[list[Path], typer.Option(help="Public key that may sign releases.")],
    root_threshold: Annotated[int, typer.Option(help="How many must sign a root.")] = 2,
    release_threshold: Annotated[int, typer.Option(help="How many must sign a release.")] = 1,
    version: Annotated[int, typer.Option(help="One more at each rotation.")] = 1,
    *,
    as_json: AsJson = False,
) -> None:
    """Write the root of trust, to be signed by `ssh-keygen -Y sign`, and print its sheet."""
    lines = {_id_of(path): path.read_text("utf-8") for path in (*root_key, *release_key)}
    roles = [
        Role(sorted(map(_id_of, paths)), threshold)
        for paths, threshold in ((root_key, root_threshold), (release_key, release_threshold))
    ]
    made = compose(version, roles[0], roles[1], lines)
    out.write_bytes(made.to_bytes())
    if as_json:
        answer({"ok": True, "fingerprint": made.fingerprint(), "version": version})
        return
    typer.echo(f"FICHE / SHEET\n  {spelled(made.fingerprint())}")
    typer.echo(f"À signer par {root_threshold} clé(s) racine, ancienne(s) et nouvelle(s) :")
    typer.echo(f"To be signed by {root_threshold} root key(s), old and new:")
    typer.echo(
        f"  ssh-keygen -Y sign -n {ROOT_NAMESPACE} -f KEY < {out.name} > {out.name}.sig.ID"
    )


def _id_of(path: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:32]


@app.command("delta")
def delta(
    folder: Annotated[Path, typer.Argument(help="Folder of the full bundle.")],
    base: Annotated[Path, typer.Option(help="manifest.json of the release that the site has.")],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    key: Annotated[list[Path], typer.Option(help="Release key: Ed25519, without password.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Make a delta: the same release, with the chunks that its base lacks."""
    with outcome(as_json=as_json):
        media = open_media([folder])
        full = Manifest.parse(media.manifest)
        had = Manifest.parse(read_small(base, MANIFEST_BYTES_MAX))
        draft, carried = derive(full, had)
        listed = sums.parse(read_small(folder / sums.NAME, sums.SUMS_BYTES_MAX))
        draft = replace(draft, files=outside(full, had, listed))
        keys = [load_private(path.read_bytes()) for path in key]
        manifest = pack.repack(media, draft, carried, out, keys)
        size = sum(manifest.chunks()[digest] for digest in carried)
        if as_json:
            answer({"ok": True, "manifest": manifest.digest(), "chunks": len(carried),
                    "bytes": size})  # fmt: skip
            return
        typer.echo(f"Delta : {len(carried)} morceau(x), {size} octets, dans {out}")
        typer.echo(f"Delta: {len(carried)} chunk(s), {size} bytes, in {out}")


@app.command("spread")
def spread(
    folder: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    to: Annotated[list[Path], typer.Option(help="Folder to make on each medium, in order.")],
    size: Annotated[
        int | None, typer.Option(help="Bytes to use of each; else what is free.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Copy a bundle onto several media, each of which says which one it is."""
    with outcome(as_json=as_json):
        media = open_media([folder])
        release = prove(media, importing.site_of(Store(PLACE), int(time()), None, None))
        reading.check_sizes(media, release, release.carried())
        places = [(each, size or shutil.disk_usage(each.parent).free) for each in to]
        counts = pack.spread(media, release.carried(), places)
        if as_json:
            answer({"ok": True, "chunks": counts})
            return
        for number, (place, count) in enumerate(zip(to, counts, strict=True), 1):
            typer.echo(f"Support {number}/{len(to)} : {place}, {count} morceau(x) / chunk(s)")


@app.command("status")
def status(
    folders: Annotated[list[Path] | None, typer.Argument(help="Media to compare.")] = None,
    root: Place = PLACE,
    *,
    read: Annotated[bool, typer.Option(help="Read every file of the newest release.")] = False,
    repair: Annotated[
        bool, typer.Option(help="Drop what is damaged, to import it again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what this site has, and which chunks are to be brought."""
    with outcome(as_json=as_json):
        store = Store(root)
        facts = _status(store, read=read or repair, repair=repair)
        if folders:
            facts["to_bring"] = _to_bring(open_media(folders), store)
        if as_json:
            answer({"ok": True, **facts})
            return
        _print_status(facts)


@app.command("prune")
def prune_store(
    keep: Annotated[int, typer.Option(min=1, help="Newest releases that stay.")] = 2,
    root: Place = PLACE,
    current: Annotated[Path, typer.Option(help="Name of the release that runs.")] = CURRENT,
    *,
    as_json: AsJson = False,
) -> None:
    """Drop old releases, and the files that only they needed; the one that runs stays."""
    with outcome(as_json=as_json):
        store = Store(root)
        name = current.readlink().name if current.is_symlink() else ""
        with store.alone():
            found = prune(store, keep, [int(name)] if name.isdigit() else [])
        if as_json:
            answer({"ok": True, "releases": found.releases, "files": found.files,
                    "bytes": found.bytes})  # fmt: skip
            return
        gone = ", ".join(map(str, found.releases)) or "0"
        typer.echo(
            f"Retirées : {gone} ; {found.files} fichier(s), {found.bytes} octets libérés"
        )
        typer.echo(f"Removed: {gone}; {found.files} file(s), {found.bytes} bytes freed")


def machine(os_release: Path) -> Machine:
    """Return what this machine is, in the words of a manifest."""
    text = os_release.read_text("utf-8", "replace") if os_release.is_file() else ""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    known = {name: value.strip("\"'") for name, value in found.items()}
    processor = platform.machine()
    return Machine(
        known.get("ID", "?"),
        known.get("VERSION_ID", "?"),
        _PROCESSORS.get(processor, processor),
    )


def _to_copy(media: Media, store: Store) -> int:
    """Return how many bytes an import would read; nothing is proved yet, it is for the bar."""
    try:
        manifest = Manifest.parse(media.manifest)
    except FormatError:
        return 0
    return sum(importing.need(store, manifest, {}).chunks.values())


def _to_bring(media: Media, store: Store) -> list[dict[str, Any]]:
    """Return the chunks that neither the store nor these media have."""
    release = prove(media, importing.site_of(store, int(time()), None, None))
    wanted = importing.need(store, release.manifest, store.chunks()).chunks
    users = reading.needed_by(release.manifest)
    there = {digest for digest in wanted if media.find(digest) is not None}
    return [
        {"chunk": digest, "bytes": size, "medium": media.label(digest), "files": users[digest]}
        for digest, size in lacking(wanted, there).items()
    ]


def _status(store: Store, *, read: bool, repair: bool) -> dict[str, Any]:
    state = store.state()
    facts: dict[str, Any] = {
        "last": state.last and state.last[0],
        "manifest": state.last and state.last[1],
        "root": state.root and state.root.fingerprint(),
        "releases": {
            number: store.is_whole(store.manifest(digest))
            for number, digest in state.releases.items()
        },
        "revocations": len(state.revocations),
    }
    if read and state.last:
        damaged = store.damaged(store.manifest(state.last[1]))
        facts["damaged"] = [file.path for file in damaged]
        for file in damaged if repair else []:
            store.blob(file).unlink(missing_ok=True)
    return facts


def _print_status(facts: dict[str, Any]) -> None:
    if facts["last"] is None:
        typer.echo("Aucune livraison reçue\nNo release received")
    else:
        typer.echo(f"Dernière livraison : n° {facts['last']}, manifeste {facts['manifest']}")
        typer.echo(f"Newest release: {facts['last']}, manifest {facts['manifest']}")
    for number, whole in facts["releases"].items():
        french, english = ("entière", "whole") if whole else ("incomplète", "incomplete")
        typer.echo(f"  {number} : {french} / {english}")
    for path in facts.get("damaged", []):
        typer.echo(f"Abîmé / damaged: {path}")
    for each in facts.get("to_bring", []):
        typer.echo(f"À apporter / to bring: {each['medium']} {chunk_path(each['chunk'])}")
