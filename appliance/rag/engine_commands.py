"""The command line of the extractive engine: `casemate engine serve`."""

import time
import uuid
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance import logs
from appliance.settings import EngineSettings, load

engine = typer.Typer(no_args_is_help=True, help="The engine that only quotes.")


@engine.callback()
def main() -> None:
    """Keep `serve` a command of its own."""


@engine.command("serve")
def serve(settings: Annotated[Path, typer.Option(help="engine.toml")]) -> None:
    """Answer on the unix socket until told to end."""
    import uvicorn  # noqa: PLC0415 - the parser starts from the same commands, in a small room

    logs.to_standard_error()
    server = uvicorn.Server(uvicorn.Config(**configuration(load(settings, EngineSettings))))
    server.run()
    if not server.started:
        raise typer.Exit(1)


def configuration(wanted: EngineSettings) -> dict[str, Any]:
    """Return how uvicorn serves the engine: alone on its socket, silent."""
    from appliance.rag.engine import Engine  # noqa: PLC0415 - as above

    application = Engine(
        wanted.model,
        version=version("appliance"),
        now=time.time,
        new_id=lambda: uuid.uuid4().hex,
    )
    return {
        "app": application, "uds": str(wanted.socket), "ws": "none", "lifespan": "off",
        "interface": "asgi3", "access_log": False, "server_header": False,
        "proxy_headers": False, "log_config": None, "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": 5,
    }  # fmt: skip
