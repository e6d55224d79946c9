"""Command line of the documents domain: `worker run`, `parse`, `documents import`."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from appliance import logs
from appliance.rag import parse, worker
from appliance.rag.engine_commands import engine
from appliance.rag.importing import Imported, import_folder
from appliance.rag.objects import Objects
from appliance.settings import WorkerSettings, load, read_secret

__all__ = ["documents_app", "engine", "parse_document", "worker_app"]

EXIT_REFUSED = 1

worker_app = typer.Typer(no_args_is_help=True, help="Worker of durable jobs.")
documents_app = typer.Typer(no_args_is_help=True, help="Collections and documents.")

SettingsFile = Annotated[Path, typer.Option("--settings", help="worker.toml")]


@worker_app.callback()
def _worker() -> None:
    """Keep `run` a command of its own."""


@documents_app.callback()
def _documents() -> None:
    """Keep `import` a command of its own."""


@worker_app.command("run")
def run_worker(settings: SettingsFile) -> None:
    """Run the worker until it is told to stop."""
    logs.to_standard_error()
    asyncio.run(worker.run(load(settings, WorkerSettings)))


def parse_document() -> None:
    """Read a document on standard input, print what is in it as one line of JSON."""
    parse.main()


@documents_app.command("import")
def import_documents(
    folder: Path,
    settings: SettingsFile,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per file.")] = False,
) -> None:
    """Deposit the files of a folder; each subfolder is named as a collection."""
    done = asyncio.run(_import(load(settings, WorkerSettings), folder))
    for one in done:
        typer.echo(_line(one, as_json=as_json))
    if any(one.problem for one in done):
        raise typer.Exit(EXIT_REFUSED)


async def _import(settings: WorkerSettings, folder: Path) -> list[Imported]:
    objects = Objects(settings.objects, read_secret(settings.object_key))
    async with await psycopg.AsyncConnection.connect(
        settings.database, autocommit=True
    ) as conn:
        return [one async for one in import_folder(conn, objects, folder)]


def _line(one: Imported, *, as_json: bool) -> str:
    if as_json:
        state = "refused" if one.problem else "present" if one.present else "deposited"
        return json.dumps(
            {
                "collection": one.collection,
                "name": one.name,
                "document": str(one.document) if one.document else None,
                "state": state,
                "problem": one.problem,
            },
            ensure_ascii=False,
        )
    words = one.problem or ("déjà présent" if one.present else "déposé")
    return f"{one.collection}/{one.name} : {words}"
