"""Command line of the copy on a medium: `casemate audit copy`."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from appliance.audit.anchoring.answer import Anchor
from appliance.audit.anchoring.copying import check, copy
from appliance.audit.anchoring.kept import keep
from appliance.audit.anchoring.paper_commands import keys_of, tell
from appliance.audit.archive import TamperedError
from appliance.audit.lineage import anchors_of
from appliance.audit.note import Note
from appliance.audit.verdict import Language, tampered_facts, tampered_text
from appliance.audit.verify import EXIT_TAMPERED
from appliance.settings import RecorderSettings, load

FR, EN = Language.FR, Language.EN
COPIED = {
    FR: "Copie à jour : {to}\n  {size} événements ({added} de plus), {files} fichiers écrits\n"
    "  Relus sur le support et conformes à ce qui est signé : {read}\n  {recorded}",
    EN: "Copy up to date: {to}\n  {size} events ({added} more), {files} files written\n"
    "  Read again on the medium, each as it was signed: {read}\n  {recorded}",
}
RECORDED = {
    FR: "Inscrite au journal : événement {record}",
    EN: "In the log: event {record}",
}
NOT_RECORDED = {
    FR: "Non inscrite au journal : nommez recorder.toml au lieu du dossier",
    EN: "Not in the log: name recorder.toml instead of the folder",
}
DAMAGED = {
    FR: "LE SUPPORT N’EST PAS FIDÈLE : {to}\n{what}\n  Gardez-le à part et recommencez sur un "
    "autre ; pour y réécrire un fichier, retirez-le d’abord.",
    EN: "THE MEDIUM IS NOT FAITHFUL: {to}\n{what}\n  Put it aside and begin again on another; "
    "to have a file written again, take it away first.",
}

AsJson = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
Lang = Annotated[Language, typer.Option("--language", help="Of the answer for people.")]


def copy_log(
    log: Annotated[
        Path, typer.Argument(exists=True, help="Folder of the log, or recorder.toml.")
    ],
    to: Annotated[Path, typer.Option(exists=True, file_okay=False, help="On the medium.")],
    *,
    name: Annotated[str, typer.Option(help="Of the medium, as written on it.")] = "",
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Copy what grew to a medium, read all of it again, and record the anchor.

    Ends with 1 when the medium does not give back what was signed.
    """
    config = load(log, RecorderSettings) if log.is_file() else None
    directory = config.directory if config else log
    keys = keys_of(directory)
    done = copy(directory, to, keys, anchors_of(config) if config else None)
    try:
        read = check(to, keys, done.begins)
    except TamperedError as exc:
        what = "  " + tampered_text(exc, language).partition("\n  ")[2]
        text = DAMAGED[language].format(to=to, what=what)
        typer.echo(json.dumps(tampered_facts(exc)) if as_json else text)
        raise typer.Exit(EXIT_TAMPERED) from exc
    record = None
    if config and done.head.size:
        anchor = Anchor(done.head, Note.parse(done.note), {})
        record = asyncio.run(tell(config, anchor, "usb", name or to.name))
        keep(anchors_of(config), anchor)
    facts = {
        "to": str(to), "size": done.head.size, "added": done.head.size - done.before,
        "files": done.files, "read": read, "record": record,
    }  # fmt: skip
    recorded = (NOT_RECORDED if record is None else RECORDED)[language].format(record=record)
    text = COPIED[language].format_map(facts | {"recorded": recorded})
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)
