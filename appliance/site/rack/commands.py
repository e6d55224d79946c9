"""Command line of people at the rack: `casemate access enrol|seal|status`, as root.

`record` is run by PAM, `flush` by a timer, `boot` by a unit and `changed` by the playbooks;
they are silent. Secrets are shown to the person
they belong to and kept nowhere else: `enrol` and `seal` want a terminal.
"""

import logging
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from appliance import logs
from appliance.identity import operator
from appliance.site.rack import oath, people, uses
from appliance.site.rack.people import FACTORS, SHADOW, RackError
from appliance.site.rack.uses import BREAK_GLASS, RECORDER, WAITING

log = logging.getLogger(__name__)
access = typer.Typer(no_args_is_help=True, help="People who log in at the rack.")

AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Recorder = Annotated[Path, typer.Option(help="Socket of the recorder.")]
Waiting = Annotated[Path, typer.Option(help="Folder of what waits for the recorder.")]


def _terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RackError("À lancer dans un terminal. / To be run in a terminal.")


def _tell(login: str, action: str) -> None:
    event = uses.changed(operator.here(), login, action)
    if not uses.record(event, WAITING, RECORDER, time.time_ns()):
        typer.echo("Le journal est arrêté : l’événement lui sera dit à son retour.")
        typer.echo("The recorder is away: it will be told when it is back.")


@access.command("enrol")
def enrol(
    login: Annotated[str, typer.Argument(help="Account, as in the answers of the site.")],
    *,
    paper: Annotated[bool, typer.Option(help="A list of codes instead of a device.")] = False,
    site: Annotated[str, typer.Option(help="Name that the device shows.")] = "Casemate",
) -> None:
    """Give someone a password and a second factor: they type, nobody else looks."""
    _terminal()
    people.check_person(login, people.members())
    password = typer.prompt("Mot de passe / password", hide_input=True)
    again = typer.prompt("Encore / again", hide_input=True)
    people.check_password(login, password, again)
    secret = secrets.token_bytes(oath.SECRET_BYTES)
    _show(secret, login, site, paper=paper)
    typed = str(typer.prompt("Premier code / first code"))
    # The first code of a list proves that it was read; it stays good for the first login.
    held = typed == oath.code(secret, 0) if paper else oath.proves(secret, typed, time.time())
    if not held:
        raise RackError("Ce code n’est pas le bon : rien n’a changé. / Wrong code: unchanged.")
    people.set_password(login, password)
    people.give_factor(FACTORS, login, oath.LIST if paper else oath.MOMENT, secret)
    _tell(login, "enrol")
    typer.echo(f"{login} : prêt. / {login}: ready.")


def _show(secret: bytes, login: str, site: str, *, paper: bool) -> None:
    if paper:
        typer.echo("Codes à imprimer, à rayer dans l’ordre. / Print, strike out in order.")
        rows = oath.codes(secret)
        for at in range(0, len(rows), 6):
            typer.echo("   ".join(rows[at : at + 6]))
        return
    typer.echo("À donner à l’appareil, une seule fois. / For the device, once only.")
    typer.echo(f"  {oath.grouped(secret)}\n  {oath.address(secret, login, site)}")


@access.command("seal")
def seal() -> None:
    """Give the sealed account a new password, for an envelope; shown once."""
    _terminal()
    password = people.seal(WAITING)
    _tell(BREAK_GLASS, "seal")
    typer.echo(f"Compte de secours / break-glass account : {BREAK_GLASS}")
    typer.echo("Mot de passe, à recopier puis à sceller / to be written down and sealed :")
    typer.echo(f"  {password}")


@access.command("status")
def status(*, as_json: AsJson = False, waiting: Waiting = WAITING) -> None:
    """Say who can log in at the rack."""
    shadow, factors = people.read(SHADOW), people.read(FACTORS)
    found = people.standing(people.members(), shadow, factors, waiting)
    if as_json:
        typer.echo(msgspec.json.encode(found))
        return
    for one in found.people:
        typer.echo(
            f"{one.login} : {'prêt / ready' if one.complete else 'à enrôler / to be enrolled'}"
        )
    broken = "utilisé, à resceller / used, to be sealed again"
    sealed = "scellé / sealed" if found.sealed else "à sceller / to be sealed"
    typer.echo(f"{BREAK_GLASS} : {broken if found.used else sealed}")
    if found.waiting:
        typer.echo(f"En attente du journal / waiting for the recorder : {found.waiting}")


@access.command("forget", hidden=True)
def forget(
    left: Annotated[list[str], typer.Argument(help="Accounts of people who left.")],
    factors: Annotated[Path, typer.Option(help="File of the second factors.")] = FACTORS,
) -> None:
    """Remove second factors; says so when there were any. Run by the playbooks."""
    if people.take_factors(factors, left):
        typer.echo("changed")


@access.command("record", hidden=True)
def record(recorder: Recorder = RECORDER, waiting: Waiting = WAITING) -> None:
    """Record that a session opens; run by PAM, whose variables say which."""
    logs.to_standard_error()
    if os.environ.get("PAM_TYPE") != "open_session":
        return
    event = uses.opened(os.environ)
    try:
        uses.record(event, waiting, recorder, time.time_ns())
    except OSError:
        log.exception("a session could not be recorded")
        # The last resort opens in any case: the system's own audit has it too.
        raise typer.Exit(0 if uses.is_break_glass(event) else 1) from None


@access.command("boot", hidden=True)
def boot(
    boot_id: Annotated[str, typer.Argument(metavar="BOOT", help="Id of this boot.")],
    recorder: Recorder = RECORDER,
    waiting: Waiting = WAITING,
) -> None:
    """Record that the machine was started; run by a unit. Again, it changes nothing."""
    event = uses.booted(boot_id, os.uname().release)
    uses.record(event, waiting, recorder, time.time_ns())


@access.command("changed", hidden=True)
def changed(
    playbook: Annotated[str, typer.Argument(help="Name of its file.")],
    totals: Annotated[str, typer.Argument(help="ok=1,changed=2,failures=0,unreachable=0")],
    recorder: Recorder = RECORDER,
    waiting: Waiting = WAITING,
) -> None:
    """Record that a run of a playbook changed something; run at its end."""
    pairs = (one.partition("=") for one in totals.split(","))
    counts = {name: int(count) for name, _, count in pairs}
    event = uses.ran(operator.here(), playbook, **counts)
    uses.record(event, waiting, recorder, time.time_ns())


@access.command("flush", hidden=True)
def flush(recorder: Recorder = RECORDER, waiting: Waiting = WAITING) -> None:
    """Tell the recorder what waits; run by a timer."""
    raise typer.Exit(1 if uses.flush(waiting, recorder) else 0)
