"""`casemate audit rotate-key`: new keys for the log, at the rack, by a named person."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from appliance.audit import rotation
from appliance.audit.maintenance import become_owner
from appliance.audit.verdict import Language
from appliance.identity import operator
from appliance.settings import RecorderSettings, load

FR, EN = Language.FR, Language.EN
ROTATED = {
    FR: "Clés du journal changées par {by} ; anciennes clés privées détruites.\n"
    "Nouvelles clés, à porter au procès-verbal et à la règle de confiance :\n{keys}\n"
    "  Trousseau à remettre aux auditeurs et au témoin : {keyring}\n"
    "  Relancez l’enregistreur.",
    EN: "Keys of the log changed by {by}; the old private keys are destroyed.\n"
    "New keys, for the report and for the policy:\n{keys}\n"
    "  Keyring, for auditors and the witness: {keyring}\n"
    "  Start the recorder again.",
}


def rotate_key(
    settings: Annotated[Path, typer.Option("--settings", help="recorder.toml")],
    reason: Annotated[str, typer.Option(help="Why, for the log.")],
    *,
    revoked_from: Annotated[
        int | None,
        typer.Option(help="A key was stolen: size of the last anchor known to be good."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer for programs.")] = False,
    language: Annotated[
        Language, typer.Option("--language", help="Of the answer for people.")
    ] = FR,
) -> None:
    """Give the log new keys; the checkpoint at that size carries both signatures."""
    person = operator.here()
    config = load(settings, RecorderSettings)
    become_owner(config.directory)
    done = rotation.rotate(config, person, reason, revoked_from)
    facts: dict[str, Any] = {
        "by": person, "keys": done.keys, "size": done.size, "keyring": str(done.keyring),
    }  # fmt: skip
    text = json.dumps(facts) if as_json else ROTATED[language].format_map(facts)
    typer.echo(text)
