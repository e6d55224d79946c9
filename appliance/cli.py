"""The command `casemate`. The command lines of the domains are wired together here.

Exit codes: 0 done, 1 refused with a message, 2 wrong usage, 70 a defect or a broken machine.
An uncaught exception would exit with 1 too, and systemd could not tell the two apart.
"""

import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from appliance.console.commands import commands as console
from appliance.errors import ApplianceError
from appliance.gateway.commands import commands as gateway
from appliance.identity.commands import identity
from appliance.rag.commands import documents_app, parse_document, worker_app
from appliance.settings import (
    ConsoleSettings,
    EngineSettings,
    GatewaySettings,
    RecorderSettings,
    WorkerSettings,
    load,
)
from appliance.site.commands import demo, site

log = logging.getLogger(__name__)
EXIT_REFUSED, EXIT_DEFECT = 1, 70  # 70: EX_SOFTWARE of sysexits.h

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
settings = typer.Typer(no_args_is_help=True, help="Settings files.")
app.add_typer(settings, name="settings")


def _create_gateway(wanted: GatewaySettings) -> Any:
    from appliance.app import create_gateway  # noqa: PLC0415 - other commands need no HTTP

    return create_gateway(wanted)


def _create_console(wanted: ConsoleSettings) -> Any:
    from appliance.app import create_console  # noqa: PLC0415 - other commands need no HTTP

    return create_console(wanted)


app.add_typer(gateway(_create_gateway), name="gateway")
app.add_typer(console(_create_console), name="console")
app.add_typer(worker_app, name="worker")
app.add_typer(documents_app, name="documents")
app.command("parse")(parse_document)
app.add_typer(identity, name="identity")
app.add_typer(demo, name="demo")
app.add_typer(site, name="site")


class Part(StrEnum):
    """A process with a settings file."""

    GATEWAY = "gateway"
    CONSOLE = "console"
    WORKER = "worker"
    ENGINE = "engine"
    RECORDER = "recorder"


MODELS: dict[Part, type[BaseModel]] = {
    Part.GATEWAY: GatewaySettings,
    Part.CONSOLE: ConsoleSettings,
    Part.WORKER: WorkerSettings,
    Part.ENGINE: EngineSettings,
    Part.RECORDER: RecorderSettings,
}


@settings.command("check")
def check_settings(part: Part, path: Path) -> None:
    """Read a settings file as its process would."""
    load(path, MODELS[part])


def main() -> None:
    """Run one command."""
    try:
        app()
    except ApplianceError as exc:
        print(f"casemate: {exc}", file=sys.stderr)  # noqa: T201 - the edge of the process
        sys.exit(EXIT_REFUSED)
    except Exception:  # the edge of the process
        log.exception("casemate stopped")
        sys.exit(EXIT_DEFECT)


if __name__ == "__main__":
    main()
