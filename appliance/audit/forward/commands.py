"""Command line of the copy at the collector: `casemate audit forward`."""

from pathlib import Path
from typing import Annotated

import typer

from appliance import logs
from appliance.audit.forward import forwarder
from appliance.settings import load
from appliance.trail_settings import ForwarderSettings

Settings = Annotated[Path, typer.Option("--settings", help="forwarder.toml")]


def forward(settings: Settings) -> None:
    """Send the log to the site's collector in the foreground, until told to end."""
    logs.to_standard_error()
    forwarder.run(load(settings, ForwarderSettings))
