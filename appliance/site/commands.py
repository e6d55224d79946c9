"""Command line of the site domain: `casemate demo …`, `casemate site …`, `casemate smoke`."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from appliance.db.bootstrap import bootstrap
from appliance.front_settings import FrontSettings
from appliance.settings import (
    ApplySettings,
    KeycloakSettings,
    load,
    read_secret,
)
from appliance.site import account, credentials, keycloak, setup
from appliance.site import demo as embedded
from appliance.site import smoke as smoking
from appliance.site.apply import apply, read_accounts, read_declared
from appliance.site.demo import SAMPLE, Wish, prepared, running
from appliance.site.folder import Folder
from appliance.site.machine import held
from appliance.site.postgres import system_user
from appliance.site.store import make_identity_database
from appliance.site.welcome import DIRECTORY, welcome

demo = typer.Typer(no_args_is_help=True, help="The whole appliance on this machine.")
site = typer.Typer(no_args_is_help=True, help="The declared site.")

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
SettingsFile = Annotated[Path, typer.Option(help="Settings file.")]
Directory = Annotated[Path, typer.Option("--dir", help="Folder of the stack.")]


@site.command("apply")
def apply_site(
    declared: Annotated[Path, typer.Argument(help="The declared site: site.toml.")],
    *,
    settings: Annotated[Path, typer.Option(help="Settings file: apply.toml.")],
    as_json: AsJson = False,
) -> None:
    """Make the site be what is declared; a second call changes nothing."""
    changes = asyncio.run(apply(read_declared(declared), load(settings, ApplySettings)))
    typer.echo(
        json.dumps({"changes": changes}) if as_json else "\n".join(changes) or "unchanged"
    )


@site.command("secrets")
def make_secrets(
    folder: Annotated[Path, typer.Argument(help="Folder of the secrets.", file_okay=False)],
    names: Annotated[list[str], typer.Argument(help="Secrets that have to be there.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Make the secrets that are missing; print their names, never themselves."""
    _say_changes(credentials.make(folder, names), as_json=as_json)


@site.command("database")
def make_databases(
    server: Annotated[str, typer.Option(help="Connection string of a superuser.")],
    password: Annotated[Path, typer.Option(help="File with Keycloak's own password.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Make roles and databases where they are missing, Keycloak's too."""
    changes = bootstrap(server, "casemate")
    secret = read_secret(password).decode()
    changes += make_identity_database(server, keycloak.DATABASE, secret)
    _say_changes(changes, as_json=as_json)


@site.command("keycloak")
def set_up_keycloak(settings: SettingsFile, *, as_json: AsJson = False) -> None:
    """Build Keycloak from the release and write its settings; keycloak.toml."""
    _say_changes(setup.set_up_keycloak(load(settings, KeycloakSettings)), as_json=as_json)


@site.command("front")
def set_up_front(settings: SettingsFile, *, as_json: AsJson = False) -> None:
    """Write the settings of haproxy, once haproxy accepts them; front.toml."""
    _say_changes(setup.set_up_front(load(settings, FrontSettings)), as_json=as_json)


def _say_changes(changes: list[str], *, as_json: bool) -> None:
    """Print what was changed; for people, nothing when nothing was."""
    if as_json or changes:
        typer.echo(json.dumps({"changes": changes}) if as_json else "\n".join(changes))


@demo.command("code")
def code(
    who: Annotated[str, typer.Argument(help="Account or role, such as rssi.")],
    directory: Directory = Path(DIRECTORY),
) -> None:
    """Print the one-time code of the moment."""
    found = account.find(read_accounts(Folder(directory).accounts), who)
    digits, seconds = account.one_time_code(found, time.time())
    typer.echo(f"{digits}  {found.username}, {seconds} s")


@demo.command("fetch")
def fetch() -> None:
    """Fetch and build Keycloak, once for every stack of this clone."""
    binary = keycloak.locked()
    console = Console()
    archive = embedded.CACHE / binary.file
    size = f"{binary.size / 1e6:.0f} Mo"
    if not archive.exists():
        console.print(f"▸ Keycloak {binary.version} : {size} à recevoir par Maven")
    keycloak.install(embedded.CACHE)


@demo.command("run")
def run(  # noqa: PLR0913 - one option per word of `make demo`
    directory: Directory = Path(DIRECTORY),
    *,
    port: Annotated[int, typer.Option(help="Public port; 0 for any.")] = 0,
    gateways: Annotated[int, typer.Option(min=1, max=16, help="Gateway workers.")] = 2,
    model: Annotated[
        Path | None, typer.Option(help="Model folder in Mistral's format.", file_okay=False)
    ] = None,
    site: Annotated[Path, typer.Option(help="Declared site.")] = SAMPLE / "site.toml",
    vectors: Annotated[bool, typer.Option(help="Serve the embedding model.")] = True,
) -> None:
    """Start the embedded stack, print its address and accounts, stop it on Ctrl-C."""
    directory.mkdir(parents=True, exist_ok=True)
    model = model.resolve() if model else None
    wish = Wish(directory, port, gateways, model, vectors, site.resolve())
    with held(directory) as holder:
        _until_told(_serve(wish, holder, Console()))


def smoke() -> None:
    """Start a stack on free ports, ask once, verify the receipt, stop."""
    _until_told(smoking.smoke(Console()))


def _until_told(work: Coroutine[None, None, None]) -> None:
    """Run to the end or to the first signal; a second one cuts no stop short."""

    async def interruptible() -> None:
        task = asyncio.ensure_future(work)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, _once(task))
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(interruptible())


def _once(task: asyncio.Future[None]) -> Callable[[], None]:
    """Return what cancels a task the first time that it is called; later calls do nothing."""
    told: list[bool] = []

    def interrupt() -> None:
        if not told:
            told.append(task.cancel())

    return interrupt


async def _serve(wish: Wish, holder: int | None, console: Console) -> None:
    layout = prepared(wish, holder)
    if user := system_user():
        console.print(f"PostgreSQL tourne sous l’utilisateur « {user} », créé au besoin.")
    async with running(layout, wish, console) as stack:
        people = list(stack.accounts.values())
        board = stack.board
        board.say(
            *welcome(
                layout.origin, people, board.elapsed,
                vectors=wish.vectors, directory=str(wish.directory),
            )
        )  # fmt: skip
        while True:
            stack.supervisor.check()
            await asyncio.sleep(1)
