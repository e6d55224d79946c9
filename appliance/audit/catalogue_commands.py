"""Command line of the list of events: `casemate audit events`."""

from typing import Annotated

import msgspec
import typer

from appliance.audit import catalogue, ocsf
from appliance.audit.verdict import Language


def events(
    *,
    language: Annotated[Language, typer.Option(help="Of the page.")] = Language.FR,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,
) -> None:
    """List every type of the log: when, who writes it, its fields, its class in OCSF."""
    if not as_json:
        typer.echo(catalogue.page(language), nl=False)
        return
    found = {
        "version": catalogue.version(),
        "mapping_version": ocsf.MAPPING_VERSION,
        "types": [
            {
                "type": one.kind, "by": one.by, "when": one.when[language],
                "fields": one.fields, "later": one.later,
                "class_uid": ocsf.MAPPING[one.kind].class_uid,
            }
            for one in catalogue.entries().values()
        ],
    }  # fmt: skip
    typer.echo(msgspec.json.encode(found))
