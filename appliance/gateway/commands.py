"""The command line of the gateway: `casemate gateway serve`."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn

from appliance.gateway.server import JoiningProtocol
from appliance.settings import GatewaySettings, load

GRACE = 10  # seconds for running requests when the worker is told to end
_GENERATIONS = 50_000, 20, 50  # most objects of a request die with it (spike: fewer pauses)


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
        wanted = load(settings, GatewaySettings)
        if not run(create(wanted), wanted.socket):
            raise typer.Exit(1)

    return app
