"""Command line of the identity domain: `casemate identity provision`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from appliance.identity.provision import provision
from appliance.settings import ProvisionSettings, load, read_secret

identity = typer.Typer(no_args_is_help=True, help="Keycloak: its realms.")


@identity.callback()
def _group() -> None:
    """Keep `provision` a subcommand, alone as it is."""


@identity.command("provision")
def provision_realms(
    *,
    settings: Annotated[Path, typer.Option(help="Settings file: identity.toml.")],
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Bring both realms to what is declared; a second call changes nothing."""
    found = load(settings, ProvisionSettings)
    values = {"origin": found.origin, "admin_front": ""}
    if found.admin_origin:
        values["admin_front"] = f"{found.admin_origin}/auth"
    paths = {
        "bootstrap": found.bootstrap_secret,
        "provision": found.provision_secret,
        "console": found.console_secret,
        "worker": found.worker_secret,
    }
    secrets = {name: read_secret(path).decode() for name, path in paths.items()}
    changes = provision(found.keycloak, values, secrets)
    typer.echo(
        json.dumps({"changes": changes}) if as_json else "\n".join(changes) or "unchanged"
    )
