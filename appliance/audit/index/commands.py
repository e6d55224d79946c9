"""Command line of the working copy: `casemate audit index …`."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from psycopg import AsyncConnection, IsolationLevel
from rich.progress import Progress

from appliance import logs
from appliance.audit.client import RecorderClient
from appliance.audit.index import indexer, reconcile
from appliance.audit.verdict import Language
from appliance.errors import ApplianceError
from appliance.settings import load
from appliance.trail_settings import IndexerSettings

app = typer.Typer(no_args_is_help=True, help="The copy of the log in which people search.")
EXIT_DIFFERS = 1
FR, EN = Language.FR, Language.EN
SettingsFile = Annotated[Path, typer.Option("--settings", help="indexer.toml", dir_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Lang = Annotated[Language, typer.Option("--language", help="fr or en.")]

REBUILT = {
    FR: "Copie de travail refaite : {events} événements.",
    EN: "Working copy made anew: {events} events.",
}
SAME = {
    FR: "Copie conforme au journal : {compared} événements comparés, {behind} à prendre.",
    EN: "The copy is as the log: {compared} events compared, {behind} still to take.",
}
DIFFERS = {
    FR: "La copie n’est pas conforme au journal. Première différence : événement {record} "
    "({columns}).",
    EN: "The copy is not as the log. First difference: event {record} ({columns}).",
}


class AwayError(ApplianceError):
    """PostgreSQL does not answer, or refuses the role."""

    code = "CM-JRN-30"


@app.command("serve")
def serve(settings: SettingsFile) -> None:
    """Keep the copy up with the log until it is told to end."""
    logs.to_standard_error()
    asyncio.run(indexer.run(load(settings, IndexerSettings)))


@app.command("rebuild")
def rebuild(settings: SettingsFile, *, as_json: AsJson = False, language: Lang = FR) -> None:
    """Make the copy anew beside the one that serves, then let it serve."""
    with Progress(disable=as_json, transient=True) as progress:
        task = progress.add_task("", total=None)

        def told(taken: int, size: int) -> None:
            progress.update(task, completed=taken, total=size)

        events = asyncio.run(_rebuild(load(settings, IndexerSettings), told))
    facts = {"events": events}
    typer.echo(json.dumps(facts) if as_json else REBUILT[language].format_map(facts))


@app.command("reconcile")
def compare(
    settings: SettingsFile,
    log: Annotated[Path, typer.Option(help="Folder of the log.", file_okay=False, exists=True)],
    *,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Compare the copy with the files of the log, row by row."""
    found = asyncio.run(_reconcile(load(settings, IndexerSettings), log))
    wrong = found.difference
    facts = {
        "compared": found.compared, "behind": found.behind,
        "record": wrong.idx if wrong else None,
        "columns": ", ".join(wrong.columns) if wrong else "",
    }  # fmt: skip
    text = DIFFERS if wrong else SAME
    typer.echo(json.dumps(facts) if as_json else text[language].format_map(facts))
    if wrong:
        raise typer.Exit(EXIT_DIFFERS)


async def _rebuild(settings: IndexerSettings, told: indexer.Told) -> int:
    recorder = RecorderClient(settings.recorder, "index-rebuild")
    await recorder.connect()
    try:
        async with await _connection(settings) as conn:
            return await indexer.Indexer(recorder, conn).rebuild(told)
    finally:
        await recorder.close()


async def _reconcile(settings: IndexerSettings, log: Path) -> reconcile.Reconciled:
    async with await _connection(settings) as conn:
        await conn.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        async with conn.transaction():
            return await reconcile.reconcile(conn, log)


async def _connection(settings: IndexerSettings) -> AsyncConnection:
    try:
        return await AsyncConnection.connect(settings.database, autocommit=True)
    except psycopg.OperationalError as exc:
        raise AwayError("PostgreSQL is away") from exc
