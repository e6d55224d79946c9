"""What the commands of bundles print: French, then English; or one JSON object."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from appliance.bundle.chunks import Advance
from appliance.bundle.reading import FindingsError
from appliance.bundle.refusal import BundleError
from appliance.bundle.trust import spelled
from appliance.bundle.verify import Release
from appliance.errors import CODES


@contextmanager
def outcome(*, as_json: bool) -> Iterator[None]:
    """Print a refusal with its code and remedy, and end with its exit code."""
    try:
        yield
    except BundleError as exc:
        if as_json:
            answer(refusal(exc))
        else:
            known = CODES[exc.code]
            typer.echo(f"{exc.code} {known.title}\n{exc.french}\n→ {known.remedy}", err=True)
            typer.echo(f"\n{exc.code}\n{exc.english}", err=True)
        raise typer.Exit(exc.exit_code) from exc


def refusal(exc: BundleError) -> dict[str, Any]:
    """Return a refusal as JSON has it."""
    found: dict[str, Any] = {
        "ok": False, "code": exc.code, "exit": exc.exit_code,
        "french": exc.french, "english": exc.english,
    }  # fmt: skip
    if isinstance(exc, FindingsError):
        found["findings"] = [asdict(each) for each in exc.findings]
        found["media_absent"] = exc.absent
    return found


def answer(found: dict[str, Any]) -> None:
    """Print one JSON object."""
    typer.echo(msgspec.json.format(msgspec.json.encode(found, order="sorted"), indent=1))


def release_facts(release: Release, now: int) -> dict[str, Any]:
    """Return what a person wants to know of a release."""
    manifest = release.manifest
    return {
        "version": manifest.version,
        "release": manifest.release_seq,
        "kind": manifest.kind,
        "base": manifest.base,
        "profile": manifest.profile,
        "created": datetime.fromtimestamp(manifest.created, UTC).isoformat(),
        "days_old": release.age(now),
        "manifest": release.digest,
        "root": release.root.fingerprint(),
        "root_version": release.root.version,
        "root_compared": release.pinned,
        "signed_by": release.signers,
        "chunks": len(release.carried()),
        "bytes": sum(release.carried().values()),
    }


def print_release(facts: dict[str, Any]) -> None:
    """Print the facts of a release for people."""
    kind = "complète" if facts["kind"] == "full" else "delta"
    signed = ", ".join(facts["signed_by"])
    typer.echo(
        f"Livraison {facts['version']}, n° {facts['release']} ({kind}, profil "
        f"{facts['profile']}), faite le {facts['created'][:10]}, "
        f"il y a {facts['days_old']} jour(s)"
    )
    typer.echo(f"Manifeste    {facts['manifest']}\nSignée par   {signed}")
    typer.echo(f"Racine       {spelled(facts['root'])} (version {facts['root_version']})")
    if not facts["root_compared"]:
        typer.echo("À FAIRE      comparez l’empreinte de la racine avec la fiche imprimée")
    typer.echo(
        f"Release {facts['version']}, number {facts['release']} ({facts['kind']}, profile "
        f"{facts['profile']}), {facts['days_old']} day(s) old, signed by {signed}"
    )
    if not facts["root_compared"]:
        typer.echo("TO DO        compare the fingerprint of the root with the printed sheet")


@contextmanager
def progress(label: str, total: int, *, quiet: bool) -> Iterator[Advance]:
    """Show a bar of bytes on stderr while a block runs; lend what advances it."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True),
        TransferSpeedColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=quiet,
    )  # fmt: skip
    with bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)
