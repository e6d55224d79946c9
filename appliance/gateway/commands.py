"""The command line of the gateway: `casemate gateway serve`, `casemate service stop|start`."""

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn

from appliance import logs
from appliance.audit.event import Kind
from appliance.gateway.server import JoiningProtocol
from appliance.gateway.switch import throw
from appliance.identity import operator
from appliance.settings import GatewaySettings, load

GRACE = 10  # seconds for running requests when the worker is told to end
_GENERATIONS = 50_000, 20, 50  # most objects of a request die with it (spike: fewer pauses)


service = typer.Typer(no_args_is_help=True, help="The stop switch, at the rack.")
Recorder = Annotated[Path, typer.Option(help="Socket of the recorder.")]
Reason = Annotated[str, typer.Option(help="Why, for the log.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_SOCKET = Path("demo/run/recorder.sock")


def configuration(application: Any, socket: Path) -> uvicorn.Config:
    """Return how uvicorn serves a worker: what it need not say or log is off."""
    return uvicorn.Config(
        application, uds=str(socket), http=JoiningProtocol, ws="none", loop="uvloop",
        lifespan="on", interface="asgi3", access_log=False, server_header=False,
        date_header=False, proxy_headers=False, log_config=None, timeout_keep_alive=75,
        backlog=4096, timeout_graceful_shutdown=GRACE,
    )  # fmt: skip


def run(application: Any, socket: Path) -> bool:
    """Serve until told to end. Return whether it ever did."""
    server = uvicorn.Server(configuration(application, socket))
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GENERATIONS)
    server.run()
    return server.started


def commands(create: Callable[[GatewaySettings], Any]) -> typer.Typer:
    """Return the commands. `create` builds the application: app.py wires it."""
    app = typer.Typer(no_args_is_help=True, help="The only way to a model.")

    @app.callback()
    def gateway() -> None:
        """Keep `serve` a command of its own."""

    @app.command("serve")
    def serve(settings: Annotated[Path, typer.Option(help="gateway.toml")]) -> None:
        """Run one worker until it is told to end."""
        logs.to_standard_error()
        wanted = load(settings, GatewaySettings)
        if not run(create(wanted), wanted.socket):
            raise typer.Exit(1)

    return app


@service.command("stop")
def stop(recorder: Recorder = _SOCKET, reason: Reason = "", *, as_json: AsJson = False) -> None:
    """End all generation now. Starting again takes two people."""
    _switch(recorder, Kind.SERVICE_STOP, reason, as_json=as_json)


@service.command("start")
def start(
    recorder: Recorder = _SOCKET, reason: Reason = "", *, as_json: AsJson = False
) -> None:
    """Approve starting again: the second person's word starts the service."""
    _switch(recorder, Kind.SERVICE_APPROVE, reason, as_json=as_json)


def _switch(recorder: Path, kind: Kind, reason: str, *, as_json: bool) -> None:
    state = throw(recorder, kind, operator.here(), reason)
    if as_json:
        found = {"stopped": state.stopped, "by": state.stopped_by, "approvals": state.approvals}
        typer.echo(json.dumps(found))
    elif state.stopped:
        approvals = ", ".join(state.approvals) or "—"
        typer.echo(f"Service arrêté par {state.stopped_by} ; approbations : {approvals}")
        typer.echo(f"Service stopped by {state.stopped_by}; approvals: {approvals}")
    else:
        typer.echo("Service en marche\nService running")
