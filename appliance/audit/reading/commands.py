"""Command line of the reader: `casemate audit reader serve`."""

from pathlib import Path
from typing import Annotated

import typer

from appliance import logs
from appliance.audit.reading import serving
from appliance.settings import load
from appliance.trail_settings import ReaderSettings

app = typer.Typer(no_args_is_help=True, help="The reader of sealed contents.")


@app.callback()
def reader() -> None:
    """Keep the command a group: its word is `serve`."""


@app.command()
def serve(settings: Annotated[Path, typer.Option(help="reader.toml")]) -> None:
    """Open contents for two people, until told to end."""
    logs.to_standard_error()
    serving.run(load(settings, ReaderSettings))
