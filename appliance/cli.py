"""The command `casemate`. The command lines of the domains are wired together here.

A domain is imported when its command is named: a process pays for its own imports only.
Exit codes: 0 done, 1 refused with a message, 2 wrong usage, 70 a defect or a broken machine.
An uncaught exception would exit with 1 too: systemd could not tell the two apart.
"""

import logging
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from appliance.errors import ApplianceError
from appliance.parts import MODELS, Part
from appliance.settings import load

log = logging.getLogger(__name__)
EXIT_REFUSED, EXIT_DEFECT = 1, 70  # EX_SOFTWARE of sysexits.h
DOMAINS = {  # command -> where it is: a Typer, a function,
    "access": ("site.rack", "access"), "audit": ("audit", "app"), "bundle": ("bundle", "app"),
    "console": ("console", "commands"), "db": ("db", "app"),
    "demo": ("site", "demo"), "documents": ("rag", "documents_app"),
    "engine": ("rag", "engine"), "gateway": ("gateway", "commands"),
    "identity": ("identity", "commands"), "model": ("bundle", "model"),
    "parse": ("rag", "parse_document"),
    "service": ("gateway", "service"), "site": ("site", "site"), "smoke": ("site", "smoke"),
    "witness": ("audit", "witness"),
    "worker": ("rag", "worker_app"), "install": ("install", "install"),
    "preflight": ("install", "preflight"), "egress-proof": ("install", "egress_proof"),
    "report": ("install", "report"), "checklist": ("install", "checklist"),
    "rehearse": ("install", "rehearse"),
}  # fmt: skip


def commands_of(name: str) -> Any:
    """Import and return a command of `DOMAINS`."""
    domain, place = DOMAINS[name]
    found = getattr(import_module(f"appliance.{domain}.commands"), place)
    if place == "commands":  # of a process, which app.py wires
        found = found(partial(_create, name))
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False)
        found.command(name)(function)
    return get_command(found)


def _create(name: str, settings: Any) -> Any:
    return getattr(import_module("appliance.app"), f"create_{name}")(settings)


class Domains(TyperGroup):
    """The commands of the domains, beside those of this file."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: D102 - TyperGroup documents it
        return sorted([*super().list_commands(ctx), *DOMAINS])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: D102 - as above
        return (
            commands_of(cmd_name) if cmd_name in DOMAINS else super().get_command(ctx, cmd_name)
        )


app = typer.Typer(
    cls=Domains, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)
settings = typer.Typer(no_args_is_help=True, help="Settings files.")
app.add_typer(settings, name="settings")


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
