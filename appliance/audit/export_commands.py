"""Command line of what an auditor takes away: `casemate audit export`, `verifier`, `diff`."""

import asyncio
import getpass
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from appliance.audit import exported, training
from appliance.audit.client import RecorderClient, RecorderError, new_id
from appliance.audit.contents import ALL, SUMS, Form, Order
from appliance.audit.event import Kind, fact
from appliance.audit.export import Exported, export, range_of
from appliance.audit.lineage import anchors_of
from appliance.audit.verdict import Language
from appliance.settings import RecorderSettings, load

FR, EN = Language.FR, Language.EN

DONE = {
    FR: "Export : {folder}\n  Événements {first} à {last}, parmi {size} signés\n"
    "  SHA-256 de SHA256SUMS, à reporter au bordereau : {sums}\n"
    "  SHA-256 de verify.py, à comparer au procès-verbal : {verifier}\n  {recorded}",
    EN: "Export: {folder}\n  Events {first} to {last}, among {size} signed\n"
    "  SHA-256 of SHA256SUMS, for the delivery slip: {sums}\n"
    "  SHA-256 of verify.py, to be compared with the installation report: {verifier}\n"
    "  {recorded}",
}
RECORDED = {FR: "Inscrit au journal.", EN: "Recorded in the log."}
UNRECORDED = {
    FR: "NON inscrit au journal : l’enregistreur ne tourne pas, ou le journal est une copie.",
    EN: "NOT recorded in the log: the recorder does not run, or the log is a copy.",
}
COMPARED = {
    FR: {"old": "Premier export, refusé avant toute comparaison :",
         "new": "Second export, comparé à la tête du premier :"},
    EN: {"old": "First export, refused before any comparison:",
         "new": "Second export, held against the head of the first one:"},
}  # fmt: skip
SAMPLE = {
    FR: "Exports d’exercice : {out}\n  Commencez par A-LIRE.txt.",
    EN: "Exports to learn on: {out}\n  Begin with A-LIRE.txt.",
}
INTACT = {0, 3, 4}  # exit codes without a fault
PATIENCE = 3  # seconds that a recorder has to answer

AsJson = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
Lang = Annotated[Language, typer.Option("--language", help="Of the answer for people.")]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", exists=True, help="Policy of the auditor.")
]
KeyringFile = Annotated[
    Path | None, typer.Option("--keyring", exists=True, help="Sizes of keys that changed.")
]


def write_export(  # noqa: PLR0913 - one option for each thing that may be asked
    log: Annotated[
        Path, typer.Argument(exists=True, help="Folder of a log, or recorder.toml.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder to write into.", file_okay=False)],
    first: Annotated[
        int | None, typer.Option("--from", min=0, help="First event; the first one if absent.")
    ] = None,
    last: Annotated[
        int | None, typer.Option("--to", min=0, help="Last event, included; all if absent.")
    ] = None,
    label: Annotated[str, typer.Option(help="Protective marking, on each page.")] = "",
    site: Annotated[str, typer.Option(help="Name of the site, in the folder's name.")] = "",
    formats: Annotated[
        list[Form] | None, typer.Option(help="Derived form; may be repeated; all if absent.")
    ] = None,
    recipient: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Certificate to encrypt to, PEM."),
    ] = None,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Write a folder that an auditor takes away and verifies with nothing of ours.

    An export that was cut goes on where it stopped, when the same is asked again.
    """
    directory, socket, anchors = log, None, None
    if log.is_file():
        config = load(log, RecorderSettings)
        directory, socket, anchors = config.directory, config.socket, anchors_of(config)
    begins, ends = range_of(directory)
    order = Order(
        begins if first is None else first, ends if last is None else last, label, site,
        frozenset(formats or ALL), made=time.time_ns() // 1000, made_by=getpass.getuser(),
        anchors=anchors, recipient=recipient,
    )  # fmt: skip
    recorded = _record(socket, order)
    done = _shown(directory, out, order)
    recorded = recorded and _record(socket, order, done.sums)
    facts = {
        "folder": str(done.folder), "first": order.first, "last": order.last,
        "size": done.head.size, "sums": done.sums, "verifier": exported.verifier_digest(),
        "recorded": recorded, "slip": str(done.slip) if done.slip else "",
    }  # fmt: skip
    said = (RECORDED if recorded else UNRECORDED)[language]
    _answer(DONE[language].format_map({**facts, "recorded": said}), facts, as_json=as_json)


def print_verifier(
    *,
    digest: Annotated[bool, typer.Option("--digest", help="Its SHA-256 instead.")] = False,
) -> None:
    """Print verify.py, which checks an export with python3 alone."""
    typer.echo(exported.verifier_digest() if digest else exported.verifier(), nl=digest)


def compare_exports(  # noqa: PLR0913 - as above
    old: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    new: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    *,
    policy: PolicyFile = None,
    key: Annotated[str, typer.Option("--key", help="Keys of the log, or their file.")] = "",
    keyring: KeyringFile = None,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Check that the log of the second visit extends that of the first; verifies both.

    Ends like `verify`. The old head counts as an anchor: its auditor kept it elsewhere.
    """
    trust = _trust(policy, key, keyring, language)
    checked = "old"
    code, text, facts = exported.verify(str(old), *trust)
    if code in INTACT:
        checked, size = "new", facts["size"]
        anchor = str(old / "checkpoint")
        code, text, facts = exported.verify(str(new), *trust, "--anchor", anchor)
        facts["old_size"] = size
    facts["checked"] = checked
    _answer(COMPARED[language][checked] + "\n" + text, facts, as_json=as_json)
    raise typer.Exit(code)


def write_sample(
    *,
    out: Annotated[Path, typer.Option(help="Folder to be made.")],
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Write exports to learn on: one whole, others tampered with, and what each should show."""
    training.write(out, time.time_ns() // 1000)
    facts = {"folder": str(out), "exports": sorted({one.folder for one in training.EXERCISES})}
    _answer(SAMPLE[language].format(out=out), facts, as_json=as_json)


@dataclass(frozen=True, slots=True)
class Brought:
    """What the auditor brings to an export. Nothing of it comes from there."""

    policy: Path | None
    key: str
    keyring: Path | None
    since: Sequence[Path]  # checkpoints kept elsewhere


def verify_export(folder: Path, brought: Brought, language: Language, *, as_json: bool) -> None:
    """Verify an export, as verify.py would; ends the command with its exit code."""
    more = [word for path in brought.since for word in ("--anchor", str(path))]
    trust = _trust(brought.policy, brought.key, brought.keyring, language)
    code, text, facts = exported.verify(str(folder), *trust, *more)
    _answer(text, facts, as_json=as_json)
    raise typer.Exit(code)


def is_export(folder: Path) -> bool:
    """Tell whether a folder is an export, and not a log."""
    return (folder / SUMS).exists() and not (folder / "journal").exists()


def _trust(
    policy: Path | None, key: str, keyring: Path | None, language: Language
) -> list[str]:
    if bool(policy) == bool(key):
        raise typer.BadParameter("--policy or --key", param_hint="--policy")
    words = ["--policy", str(policy)] if policy else ["--key", key]
    if keyring:
        words += ["--keyring", str(keyring)]
    return [*words, "--language", str(language)]


def _shown(directory: Path, out: Path, order: Order) -> Exported:
    """Export, and show how far it is where somebody looks."""
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("export", total=None)
        return export(
            directory, out, order,
            lambda done, count: bars.update(task, completed=done, total=count),
        )  # fmt: skip


def _record(socket: Path | None, order: Order, sums: str = "") -> bool:
    """Record the export where a recorder runs; tell whether it is recorded."""
    if socket is None or not socket.exists():
        return False
    try:
        asyncio.run(_append(socket, order, sums))
    except RecorderError:
        return False
    return True


async def _append(socket: Path, order: Order, sums: str) -> None:
    client = RecorderClient(socket, "export", patience=PATIENCE)
    await client.connect()
    try:
        taken = fact(
            Kind.AUDIT_EXPORT, order.made_by, new_id(), first=order.first, last=order.last,
            marking=order.label[:200], formats=" ".join(sorted(order.formats)),
            state="done" if sums else "begin", sums=sums,
        )  # fmt: skip
        await client.append(taken)
    finally:
        await client.close()


def _answer(text: str, facts: dict[str, Any], *, as_json: bool) -> None:
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)
