"""Command line of the anchors: `casemate audit request`, `audit anchor`, `audit feed`."""

import asyncio
import contextlib
import getpass
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from appliance import logs
from appliance.audit.anchoring import asking, feeder
from appliance.audit.anchoring.answer import accept, join
from appliance.audit.anchoring.kept import largest
from appliance.audit.client import RecorderClient
from appliance.audit.lineage import anchors_of, current_origin
from appliance.audit.policy import Policy
from appliance.audit.verdict import Language
from appliance.audit.witness.request import Request
from appliance.settings import RecorderSettings, load
from appliance.trail_settings import FeederSettings

anchor = typer.Typer(no_args_is_help=True, help="Checkpoints that are kept elsewhere.")

REQUEST = "req.txt"
FR, EN = Language.FR, Language.EN
ASKED = {
    FR: "Demande écrite : {out}\n  {size} événements, depuis les {old} que le témoin connaît\n"
    "  Sur la machine du témoin : casemate witness sign --settings witness.toml "
    "--request {name}",
    EN: "Request written: {out}\n  {size} events, from the {old} that the witness knows\n"
    "  On the witness’s machine: casemate witness sign --settings witness.toml "
    "--request {name}",
}
ADDED = {
    FR: "Ancrage gardé : {file}\n  {size} événements, co-signés par {names}\n"
    "  Inscrit au journal : {records}",
    EN: "Anchor kept: {file}\n  {size} events, cosigned by {names}\n  In the log: {records}",
}
TRUSTED = {
    FR: "Clés du journal :\n  {keys}\nTémoins :\n  {witnesses}\nQuorum : {quorum}",
    EN: "Keys of the log:\n  {keys}\nWitnesses:\n  {witnesses}\nQuorum: {quorum}",
}

SettingsFile = Annotated[Path, typer.Option("--settings", help="recorder.toml")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
Lang = Annotated[Language, typer.Option("--language", help="Of the answer for people.")]
Result = TypeVar("Result")


def write_request(
    settings: SettingsFile,
    *,
    old: Annotated[
        int | None, typer.Option(min=0, help="Events that the witness knows, if it said so.")
    ] = None,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path(REQUEST),
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Write what a witness wants, to be carried to it by hand."""
    config = load(settings, RecorderSettings)
    origin = current_origin(config.directory, config.origin)
    known = largest(anchors_of(config), origin) if old is None else old
    made = _asked(config, lambda client: asking.request_from(client, known))
    out.write_bytes(made.to_bytes())
    facts = {"out": str(out), "size": made.checkpoint.size, "old": known, "name": out.name}
    _answer(ASKED[language], facts, as_json=as_json)


@anchor.callback()
def anchors() -> None:
    """Keep the command a group: what is added, others show."""


@anchor.command("add")
def add_anchor(  # noqa: PLR0913 - one option for each file that was carried
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="cosig.txt")],
    settings: SettingsFile,
    policy: Annotated[Path, typer.Option(exists=True, help="Policy of the auditors.")],
    *,
    request: Annotated[
        Path | None, typer.Option(help="What was asked; req.txt beside the file if absent.")
    ] = None,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Check the cosignature that came back, keep it, and record the anchor."""
    config = load(settings, RecorderSettings)
    note = file.read_bytes()
    if b"\n\n" not in note:
        asked = Request.parse((request or file.with_name(REQUEST)).read_bytes())
        note = join(note, asked.note)
    origin = current_origin(config.directory, config.origin)
    found = accept(note, Policy.parse(policy.read_text("utf-8")), origin)

    async def record(client: RecorderClient) -> tuple[Path, list[int]]:
        await asking.check_ours(client, found.head)
        actor = f"local:{getpass.getuser()}"
        return await asking.record(client, anchors_of(config), found, "file", actor)

    kept, records = _asked(config, record)
    facts = {
        "file": str(kept), "size": found.head.size, "names": ", ".join(sorted(found.times)),
        "records": ", ".join(map(str, records)),
    }  # fmt: skip
    _answer(ADDED[language], facts, as_json=as_json)


def check_policy(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Policy.")],
    *,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Read a policy as those who verify do, and say whom it trusts."""
    found = Policy.parse(file.read_text("utf-8"))
    facts = {
        "keys": [key.text() for key in found.keys],
        "witnesses": {one.name: one.cosigner.text() for one in found.witnesses},
        "quorum": found.quorum,
    }
    text = TRUSTED[language].format(
        keys="\n  ".join(key.text() for key in found.keys) or "—",
        witnesses="\n  ".join(f"{one.name} {one.cosigner.text()}" for one in found.witnesses)
        or "—",
        quorum=found.quorum,
    )
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)


def feed(
    settings: Annotated[Path, typer.Option("--settings", help="feeder.toml")],
) -> None:
    """Bring each grown checkpoint to the witnesses over the network, until told to end."""
    logs.to_standard_error()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(feeder.run(load(settings, FeederSettings)))


def _asked(
    config: RecorderSettings, work: Callable[[RecorderClient], Awaitable[Result]]
) -> Result:
    """Run `work` with a client of the running recorder."""

    async def connected() -> Result:
        client = RecorderClient(config.socket, "anchor")
        await client.connect()
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(connected())


def _answer(text: str, facts: dict[str, Any], *, as_json: bool) -> None:
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text.format_map(facts))
