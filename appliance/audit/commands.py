"""Command line of the signed log: `casemate audit …`."""

import asyncio
import json
import os
import secrets
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance import logs
from appliance.audit import falsify as falsifier
from appliance.audit import publisher, recorder, volume
from appliance.audit.ancestry import ancestors
from appliance.audit.anchoring import paper_commands
from appliance.audit.anchoring.commands import anchor, check_policy, feed, write_request
from appliance.audit.anchoring.copy_commands import copy_log
from appliance.audit.anchoring.typed import typed_note
from appliance.audit.archive import TamperedError
from appliance.audit.catalogue_commands import events
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.client import RecorderClient
from appliance.audit.content import PARTS, Part, open_sealed
from appliance.audit.epoch_commands import app as new_epoch
from appliance.audit.export_commands import (
    Brought,
    KeyringFile,
    PolicyFile,
    compare_exports,
    is_export,
    print_verifier,
    verify_export,
    write_export,
    write_sample,
)
from appliance.audit.falsify import Kind
from appliance.audit.forward.commands import forward
from appliance.audit.heartbeat_commands import run as run_heartbeat
from appliance.audit.index.commands import app as index
from appliance.audit.key import (
    SEED_BYTES,
    Verifier,
    keys_text,
    parse_keys,
    scalar_from,
    verifier_key,
)
from appliance.audit.keyring import Keyring
from appliance.audit.prune_commands import prune, retention
from appliance.audit.reading.commands import app as reader
from appliance.audit.receipt import SUFFIX, Verified, check, page, page_digest, receipt_file
from appliance.audit.rotation_commands import rotate_key
from appliance.audit.verdict import (
    Language,
    ancestor_facts,
    ancestor_text,
    tampered_facts,
    tampered_text,
    whole_facts,
    whole_text,
)
from appliance.audit.verify import EXIT_TAMPERED, Trust
from appliance.audit.verify import verify as verify_log
from appliance.audit.witness.commands import app as witness
from appliance.errors import CODES, FormatError, VerificationError
from appliance.settings import RecorderSettings, SettingsError, load, read_secret

__all__ = ["app", "witness"]

app = typer.Typer(no_args_is_help=True, help="The signed log.")
receipt = typer.Typer(no_args_is_help=True, help="Receipts of answers.")
app.add_typer(receipt, name="receipt")
app.add_typer(new_epoch, name="new-epoch")
app.command("heartbeat")(run_heartbeat)
app.command("prune")(prune)
app.command("retention")(retention)
app.command("rotate-key")(rotate_key)
app.command()(forward)
app.command("copy")(copy_log)
app.command("sheet")(paper_commands.print_sheet)
anchor.command("paper")(paper_commands.anchor_paper)
app.add_typer(index, name="index")
app.add_typer(reader, name="reader")
app.command("request")(write_request)
app.add_typer(anchor, name="anchor")
app.command("feed")(feed)
app.command("policy")(check_policy)
app.command("events")(events)
app.command("export")(write_export)
app.command("verifier")(print_verifier)
app.command("diff")(compare_exports)
app.command("sample")(write_sample)

PAGE = "verify_receipt.py"
FR, EN = Language.FR, Language.EN

CREATED = {
    FR: "Journal créé : {directory}\nClés à porter au procès-verbal :\n{key}",
    EN: "Log created: {directory}\nKeys for the installation report:\n{key}",
}
MUST_NOT_GO_ON = (
    "{code} The log is behind its last signature, or differs: restored, or changed.\n"
    "Write nothing into it; tell the security officer, then begin a new epoch, two people: "
    "casemate audit new-epoch propose."
)
FALSIFIED = {
    FR: "Copie falsifiée : {copy}\n  Événement {record} ({kind})\n  avant  …{old}…\n"
    "  après  …{new}…",
    EN: "Falsified copy: {copy}\n  Event {record} ({kind})\n  before …{old}…\n  after  …{new}…",
}
SAVED = {
    FR: "Reçu de l’événement {record} : {receipt}\n"
    "Page pour le vérifier sans Casemate : {page}\n  SHA-256 {sha256}",
    EN: "Receipt of event {record}: {receipt}\nPage to check it without Casemate: {page}\n"
    "  SHA-256 {sha256}",
}
CHECKED = {
    FR: "Reçu authentique : événement {record} de {origin}, parmi {signed} signés.\n"
    "  Textes comparés : {texts}",
    EN: "The receipt is authentic: event {record} of {origin}, among {signed} signed.\n"
    "  Texts compared: {texts}",
}

SettingsFile = Annotated[Path, typer.Option("--settings", help="recorder.toml")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
Lang = Annotated[Language, typer.Option("--language", help="Of the answer for people.")]
Key = Annotated[
    str, typer.Option("--key", help="Verifier keys of the installation report, or their file.")
]
Earlier = Annotated[
    list[Path] | None,
    typer.Option(exists=True, help="Checkpoint kept elsewhere; may be repeated."),
]
Receipts = Annotated[
    list[Path] | None,
    typer.Option("--receipt", exists=True, help="Receipt kept elsewhere; may be repeated."),
]
FormerKeys = Annotated[
    list[str] | None,
    typer.Option("--former-key", help="Verifier keys of a log that this one follows."),
]
TimeZone = Annotated[str, typer.Option(help="In which the periods of budgets begin.")]
TextFile = Annotated[Path | None, typer.Option(exists=True, help="File with the text.")]


@app.command()
def init(settings: SettingsFile, *, as_json: AsJson = False, language: Lang = FR) -> None:
    """Make the two keys of this machine and an empty log. None is ever overwritten."""
    config = load(settings, RecorderSettings)
    seed = secrets.token_bytes(SEED_BYTES)
    p256 = scalar_from(secrets.token_bytes(SEED_BYTES + 8))
    key = verifier_key(config.origin, seed, p256)
    for name in (volume.KEY, volume.KEY_P256):
        if os.path.lexists(config.directory / name):
            raise volume.VolumeError(f"{config.directory / name} exists and is not overwritten")
    publisher.create(config.last_signed, config.origin)
    volume.create(config.directory, seed, config.segment_bytes, p256)
    publisher.write_files(config.directory, {volume.VERIFIER_KEY: f"{key}\n".encode()})
    _print(CREATED[language], {"directory": str(config.directory), "key": key}, as_json=as_json)


@app.command("recorder")
def run_recorder(settings: SettingsFile) -> None:
    """Run the recorder in the foreground, until it is told to end or a write fails."""
    logs.to_standard_error()
    try:
        recorder.run(load(settings, RecorderSettings))
    except publisher.RollbackError as exc:  # nobody is there who could look the code up
        told = CODES[exc.code]
        typer.echo(f"{exc.code} {told.title}\n{told.meaning}\n{told.remedy}", err=True)
        typer.echo(MUST_NOT_GO_ON.format(code=exc.code), err=True)
        raise


@app.command()
def verify(  # noqa: PLR0913 - one option for each thing that an auditor may bring
    log: Annotated[
        Path, typer.Argument(exists=True, help="Folder of a log or export, or recorder.toml.")
    ],
    key: Key = "",
    *,
    policy: PolicyFile = None,
    keyring: KeyringFile = None,
    since: Earlier = None,
    receipts: Receipts = None,
    former: FormerKeys = None,
    time_zone: TimeZone = "Europe/Paris",
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Check that the whole log, or an export, is what was signed. Changes nothing.

    An export takes --policy (or --key), --keyring and --since; a log all but --policy.
    Ends with 0 when it is, 1 when it was tampered with, 2 on wrong usage, 3 when it is not
    signed as it should be, 4 when there is something else to remark.
    """
    if is_export(log):
        brought = Brought(policy, key, keyring, since or [])
        verify_export(log, brought, language, as_json=as_json)
    ring = Keyring.parse(keyring.read_text("utf-8")) if keyring else None
    verifiers = _verifiers(key)
    brought_keys = Trust(verifiers, keyring=ring)
    earlier = [brought_keys.open(typed_note(path.read_bytes())) for path in since or []]
    proved = [check(path.read_bytes(), keys_text(verifiers)) for path in receipts or []]
    earlier += [one.head for one in proved]
    directory = log
    if log.is_file():
        config = load(log, RecorderSettings)
        directory, time_zone = config.directory, config.time_zone
        earlier.append(_last_signed(config.last_signed))
    records = {one.index: one.stored for one in proved}
    trust = Trust(verifiers, earlier, records, time_zone, ring)
    try:
        report = verify_log(directory, trust)
        keys = [_verifiers(one) for one in former or []]
        followed = ancestors(directory, report.head, keys, time_zone)
    except TamperedError as exc:
        _answer(tampered_text(exc, language), tampered_facts(exc), as_json=as_json)
        raise typer.Exit(EXIT_TAMPERED) from exc
    text = [whole_text(report, trust, language)]
    text += [ancestor_text(one, language) for one in followed]
    facts = whole_facts(report, trust) | {"follows": [ancestor_facts(one) for one in followed]}
    _answer("\n".join(text), facts, as_json=as_json)
    raise typer.Exit(report.exit_code)


@app.command()
def falsify(  # noqa: PLR0913 - as above
    log: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="Not changed.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the copy, to be made.")],
    kind: Annotated[Kind, typer.Option(help="What to do.")] = Kind.RECORD,
    record: Annotated[
        int | None, typer.Option(help="Index; the last answer's if absent.")
    ] = None,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Copy a log and falsify the copy, to show what `verify` says of it."""
    done = falsifier.falsify(log, out, kind, record)
    old, new = done.excerpts()
    facts = {
        "copy": str(out), "kind": str(kind), "record": done.record, "old": old, "new": new,
    }  # fmt: skip
    _print(FALSIFIED[language], facts, as_json=as_json)


@receipt.command("save")
def save_receipt(  # noqa: PLR0913 - as above
    record: Annotated[int, typer.Argument(min=0, help="Index of the event.")],
    settings: SettingsFile,
    *,
    out: Annotated[Path, typer.Option(help="Folder.", file_okay=False)] = Path(),
    history_key: Annotated[
        Path | None, typer.Option(help="X25519 private key that opens the content's keys.")
    ] = None,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:  # fmt: skip
    """Ask the running recorder for a receipt, and put the page that checks it beside it."""
    socket = load(settings, RecorderSettings).socket
    private = read_secret(history_key) if history_key else None
    file = asyncio.run(_receipt(socket, record, private))
    saved, beside = out / f"{record}{SUFFIX}", out / PAGE
    saved.write_bytes(file)
    beside.write_text(page(), "utf-8")
    facts = {
        "record": record, "receipt": str(saved), "page": str(beside), "sha256": page_digest(),
    }  # fmt: skip
    _print(SAVED[language], facts, as_json=as_json)


@receipt.command("check")
def check_receipt(  # noqa: PLR0913 - as above
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    key: Key,
    *,
    question: TextFile = None,
    answer: TextFile = None,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Check a receipt, and that the texts given are those that were recorded."""
    verified = check(file.read_bytes(), keys_text(_verifiers(key)))
    texts: dict[Part, Path | None] = {"question": question, "answer": answer}
    compared = [part for part, path in texts.items() if path and _same(verified, part, path)]
    facts = {
        "record": verified.index, "origin": verified.head.origin, "signed": verified.head.size,
        "texts": ", ".join(compared) or "—", "leaf": verified.stored.decode(),
    }  # fmt: skip
    _print(CHECKED[language], facts, as_json=as_json)


@receipt.command("page")
def print_page() -> None:
    """Print the program that checks a receipt with python3 and openssl alone."""
    typer.echo(page(), nl=False)


def _same(verified: Verified, part: Part, path: Path) -> bool:
    """Compare a text file; a final newline, as editors add, may be there.

    Raises:
        VerificationError: It is another text.
    """
    text = path.read_text("utf-8")
    try:
        verified.check_text(part, text)
    except VerificationError:
        verified.check_text(part, text.removesuffix("\n"))
    return True


def _verifiers(key: str) -> tuple[Verifier, ...]:
    """Read the keys of a log, or the file that holds them."""
    path = Path(key)
    try:
        return parse_keys(path.read_text("utf-8") if path.is_file() else key)
    except (FormatError, UnicodeDecodeError) as exc:
        raise typer.BadParameter(str(exc), param_hint="--key") from exc


def _last_signed(folder: Path) -> Checkpoint:
    try:
        return Checkpoint.parse((folder / publisher.LAST_SIGNED).read_text("utf-8"))
    except OSError as exc:
        raise SettingsError(f"{folder}: {exc.strerror}: {publisher.LAST_SIGNED}") from exc


async def _receipt(socket: Path, record: int, private: bytes | None) -> bytes:
    client = RecorderClient(socket, "receipt")
    await client.connect()
    try:
        leaf, proof = await client.prove(record)
        if private is None:
            return receipt_file(proof, leaf, {})
        key = open_sealed(private, await client.sealed(record))
        return receipt_file(proof, leaf, {part: key.commitment_key(part) for part in PARTS})
    finally:
        await client.close()


def _print(message: str, facts: dict[str, Any], *, as_json: bool) -> None:
    _answer(message.format_map(facts), facts, as_json=as_json)


def _answer(text: str, facts: dict[str, Any], *, as_json: bool) -> None:
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)
