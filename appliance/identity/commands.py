"""Command line of the identity domain: `casemate identity provision|events`."""

import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

import typer

from appliance import logs
from appliance.identity.follow import Tell, follow
from appliance.identity.provision import provision
from appliance.settings import ProvisionSettings, load, read_secret
from appliance.trail_settings import EventsSettings

Telling = Callable[[EventsSettings], AbstractAsyncContextManager[Tell]]


def commands(telling: Telling) -> typer.Typer:
    """Return the commands. `telling` opens what has facts recorded: app.py wires it."""
    app = typer.Typer(no_args_is_help=True, help="Keycloak: its realms, its events.")
    app.command("provision")(provision_realms)

    @app.command("events")
    def events(settings: Annotated[Path, typer.Option(help="events.toml")]) -> None:
        """Have recorded what Keycloak keeps of logins and changes, until told to end."""
        logs.to_standard_error()
        asyncio.run(_follow(load(settings, EventsSettings), telling))

    return app


async def _follow(settings: EventsSettings, telling: Telling) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with telling(settings) as tell:
        await follow(settings, tell, stop)


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
        "events": found.events_secret,
    }
    secrets = {name: read_secret(path).decode() for name, path in paths.items()}
    changes = provision(found.keycloak, values, secrets)
    typer.echo(
        json.dumps({"changes": changes}) if as_json else "\n".join(changes) or "unchanged"
    )
