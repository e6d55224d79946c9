"""Command line of the database: `casemate db migrate`."""

from typing import Annotated

import psycopg
import typer

from appliance.db.migrate import migrate as apply

app = typer.Typer(no_args_is_help=True, help="The database.")


@app.callback()
def _group() -> None:
    """Keep `migrate` a subcommand, alone as it is."""


@app.command("migrate")
def migrate(
    database: Annotated[
        str, typer.Option(help="Connection string of the role that owns the tables.")
    ],
) -> None:
    """Apply the migrations that are missing; print their names."""
    with psycopg.connect(database) as conn:
        for name in apply(conn):
            typer.echo(name)
