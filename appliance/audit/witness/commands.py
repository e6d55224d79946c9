"""Command line of the witness: `casemate witness …`."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance import logs
from appliance.audit.verdict import Language
from appliance.audit.witness import memory, serving
from appliance.audit.witness.memory import Witness, logs_of
from appliance.audit.witness.request import Request
from appliance.settings import load
from appliance.trail_settings import WitnessSettings

app = typer.Typer(no_args_is_help=True, help="The witness of the log, on another machine.")

FR, EN = Language.FR, Language.EN
CREATED = {
    FR: "Témoin prêt : {directory}\nClé à porter dans la politique des auditeurs :\n{key}\n"
    "Journaux suivis à partir de rien : {new}",
    EN: "Witness ready: {directory}\nKey for the auditors’ policy:\n{key}\n"
    "Logs followed from nothing: {new}",
}
SIGNED = {
    FR: "Tête co-signée : {origin}, {size} événements\n  Racine {root}\n  À rapporter : {out}",
    EN: "Checkpoint cosigned: {origin}, {size} events\n  Root {root}\n  To carry back: {out}",
}
COSIG = "cosig.txt"

SettingsFile = Annotated[Path, typer.Option("--settings", help="witness.toml")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
Lang = Annotated[Language, typer.Option("--language", help="Of the answer for people.")]


@app.command()
def init(settings: SettingsFile, *, as_json: AsJson = False, language: Lang = FR) -> None:
    """Make the key, never overwritten, and an empty memory for each log that has none."""
    config = load(settings, WitnessSettings)
    key, new = memory.create(config.directory, config.name, logs_of(config.logs))
    facts = {
        "directory": str(config.directory), "key": key.cosigner.text(),
        "new": ", ".join(new) or "—",
    }  # fmt: skip
    _answer(CREATED[language], facts, as_json=as_json)


@app.command()
def serve(settings: SettingsFile) -> None:
    """Cosign over HTTP, until told to end."""
    logs.to_standard_error()
    if not serving.run(load(settings, WitnessSettings)):
        raise typer.Exit(1)


@app.command()
def sign(
    settings: SettingsFile,
    *,
    request: Annotated[Path, typer.Option(exists=True, dir_okay=False, help="req.txt")],
    out: Annotated[
        Path | None, typer.Option(help="File to write; beside the request if absent.")
    ] = None,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Cosign a request that was carried here: the same bytes, and the same memory, as HTTP."""
    config = load(settings, WitnessSettings)
    key = memory.read_key(config.directory, config.name)
    witness = Witness(config.directory, key, logs_of(config.logs), time.time)
    body = request.read_bytes()
    line = witness.add(body)
    written = out or request.with_name(COSIG)
    written.write_bytes(line)
    head = Request.parse(body).checkpoint
    facts = {
        "origin": head.origin, "size": head.size, "root": head.root.hex(), "out": str(written),
    }  # fmt: skip
    _answer(SIGNED[language], facts, as_json=as_json)


def _answer(text: str, facts: dict[str, Any], *, as_json: bool) -> None:
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text.format_map(facts))
