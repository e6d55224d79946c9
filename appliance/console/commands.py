"""The command line of the console: `casemate console serve`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn

from appliance import logs
from appliance.settings import ConsoleSettings, load

GRACE = 5  # seconds for running answers when the console is told to end


def configuration(application: Any, socket: Path) -> uvicorn.Config:
    """Return how uvicorn serves the console."""
    return uvicorn.Config(
        application, uds=str(socket), ws="none", loop="uvloop", http="httptools",
        lifespan="on", access_log=False, server_header=False, proxy_headers=False,
        log_config=None, timeout_keep_alive=75, timeout_graceful_shutdown=GRACE,
    )  # fmt: skip


def commands(create: Callable[[ConsoleSettings], Any]) -> typer.Typer:
    """Return the commands. `create` builds the application: app.py wires it."""
    app = typer.Typer(no_args_is_help=True, help="The web console.")

    @app.callback()
    def console() -> None:
        """Keep `serve` a command of its own."""

    @app.command("serve")
    def serve(settings: Annotated[Path, typer.Option(help="console.toml")]) -> None:
        """Serve the pages until it is told to end."""
        logs.to_standard_error()
        wanted = load(settings, ConsoleSettings)
        server = uvicorn.Server(configuration(create(wanted), wanted.socket))
        server.run()
        if not server.started:
            raise typer.Exit(1)

    return app
