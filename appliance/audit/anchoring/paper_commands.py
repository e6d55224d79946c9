"""Command line of the anchors on paper: `casemate audit sheet`, `audit anchor paper`."""

import asyncio
import base64
import getpass
import hashlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.audit import volume
from appliance.audit.anchoring import asking
from appliance.audit.anchoring.answer import Anchor, merge
from appliance.audit.anchoring.kept import SUFFIX, keep
from appliance.audit.anchoring.sheet import Sheet, facts
from appliance.audit.anchoring.typed import typed_note
from appliance.audit.checkpoint import Checkpoint, open_checkpoint
from appliance.audit.client import RecorderClient
from appliance.audit.event import FACTS, Kind
from appliance.audit.key import Verifier, parse_keys
from appliance.audit.lineage import ANCHORS, anchors_of
from appliance.audit.note import Note
from appliance.audit.publisher import CHECKPOINT
from appliance.audit.verdict import Language
from appliance.errors import VerificationError
from appliance.printing.typeset import Template, typeset
from appliance.settings import RecorderSettings, SettingsError, load

FR, EN = Language.FR, Language.EN
PRINTED = {
    FR: "Fiche : {sheet}\n  {size} événements, racine {root}…\n"
    "  Imprimez, datez, signez ; puis, une fois la fiche sous clé :\n"
    "  casemate audit anchor paper {note} --by NOM --settings recorder.toml",
    EN: "Sheet: {sheet}\n  {size} events, root {root}…\n"
    "  Print, date, sign; then, once the sheet is under lock:\n"
    "  casemate audit anchor paper {note} --by NAME --settings recorder.toml",
}
ANCHORED = {
    FR: "Fiche inscrite : {size} événements, événement {record} du journal\n"
    "  Note gardée : {file}",
    EN: "Sheet recorded: {size} events, event {record} of the log\n  Note kept: {file}",
}

SettingsFile = Annotated[Path, typer.Option("--settings", help="recorder.toml")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
Lang = Annotated[Language, typer.Option("--language", help="Of the sheet and the answer.")]


def print_sheet(
    log: Annotated[
        Path, typer.Argument(exists=True, help="Folder of the log, or recorder.toml.")
    ],
    out: Annotated[Path, typer.Option(help="PDF to write; its note is written beside it.")],
    *,
    marking: Annotated[str, typer.Option(help="Protective marking on each page.")] = "",
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Set the sheet that the RSSI dates, signs and locks away, with the note as a QR code."""
    directory, anchors = log, log / ANCHORS
    if log.is_file():
        config = load(log, RecorderSettings)
        directory, anchors = config.directory, anchors_of(config)
    keys = keys_of(directory)
    note = _cosigned(_read(directory / CHECKPOINT), anchors)
    when = datetime.now(UTC)
    moment = when.year, when.month, when.day, when.hour, when.minute, when.second
    shown = facts(Sheet(note, keys, moment, marking), language)
    out.write_bytes(typeset(Template.of("appliance.audit", "fiche.typ"), shown))
    beside = out.with_suffix(SUFFIX)
    beside.write_bytes(note)
    head = open_checkpoint(note, *keys)
    _answer(PRINTED[language], {
        "sheet": str(out), "note": str(beside), "size": head.size,
        "root": head.root.hex()[:16],
    }, as_json=as_json)  # fmt: skip


def anchor_paper(
    note: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="Beside the PDF, or typed.")
    ],
    settings: SettingsFile,
    by: Annotated[str, typer.Option(help="Who signed the sheet, as written on it.")],
    *,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Record that a sheet was signed and is kept away from the machine."""
    config = load(settings, RecorderSettings)
    data = typed_note(note.read_bytes())
    head = open_checkpoint(data, *keys_of(config.directory))
    anchor = Anchor(head, Note.parse(data), {})
    record = asyncio.run(tell(config, anchor, "paper", by))
    kept = keep(anchors_of(config), anchor)
    told = {"file": str(kept), "size": head.size, "record": record}
    _answer(ANCHORED[language], told, as_json=as_json)


async def tell(config: RecorderSettings, anchor: Anchor, kind: str, name: str) -> int:
    """Record an anchor that the running log extends; return the index of its leaf.

    Raises:
        AnchorError: This log does not begin with those records.
        RecorderError: The recorder is away.
        RefusedError: This user may not write anchors, or the log has not as many records.
    """
    client = RecorderClient(config.socket, "anchor")
    await client.connect()
    try:
        await asking.check_ours(client, anchor.head)
        digest, now = hashlib.sha256(anchor.note.to_bytes()).digest(), int(time.time())
        named = hashlib.sha256(f"{kind} {now} {name} ".encode() + digest).hexdigest()
        data: dict[str, str | int] = {
            "size": anchor.head.size, "kind": kind, "name": name, "at": now,
            "digest": base64.b64encode(digest).decode(),
        }  # fmt: skip
        actor = f"local:{getpass.getuser()}"
        fact = FACTS[Kind.AUDIT_ANCHOR](actor=actor, id=f"anchor-{named[:40]}", data=data)
        return (await client.append(fact)).index
    finally:
        await client.close()


def keys_of(directory: Path) -> tuple[Verifier, ...]:
    """Return the keys that sign the log in a folder, as it says itself.

    Raises:
        SettingsError: They are not there.
    """
    return tuple(parse_keys(_read(directory / volume.VERIFIER_KEY).decode()))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from exc


def _cosigned(note: bytes, anchors: Path) -> bytes:
    """Return the checkpoint with the cosignatures that are kept for it."""
    own = Note.parse(note)
    path = anchors / f"{Checkpoint.parse(own.text).size}{SUFFIX}"
    if not path.exists():
        return note
    kept = Note.parse(path.read_bytes())
    if kept.text != own.text:
        raise VerificationError(f"{path} is of another log, or of a fork of this one")
    return merge(kept, own).to_bytes()


def _answer(text: str, told: dict[str, Any], *, as_json: bool) -> None:
    typer.echo(json.dumps(told, ensure_ascii=False) if as_json else text.format_map(told))
