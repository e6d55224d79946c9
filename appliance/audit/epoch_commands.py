"""`casemate audit new-epoch`: two people begin a new log after a refusal to start.

The first one runs `propose` at the rack and reads the code to the second one, who runs
`approve` under their own name. The recorder is stopped meanwhile.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from appliance.audit import epoch, succession
from appliance.audit.maintenance import become_owner
from appliance.audit.verdict import Language
from appliance.identity import operator
from appliance.settings import RecorderSettings, load

app = typer.Typer(
    no_args_is_help=True, help="Begin a new log, two people, when this one must not go on."
)
FR, EN = Language.FR, Language.EN

PROPOSED = {
    FR: "Nouvelle époque proposée par {by}, le {at} : {origin}\n"
    "  Ce journal   {kept} événements, {signed} signés : {previous}\n"
    "  Ailleurs     {known} événements connus : {known_from}\n"
    "  Perdus ici   {lost}\n"
    "Lisez ce code à une autre personne, qui l’approuve sous son nom avant demain :\n"
    "  casemate audit new-epoch approve --settings {settings} --code {code}",
    EN: "New epoch proposed by {by}, {at}: {origin}\n"
    "  This log     {kept} events, {signed} signed: {previous}\n"
    "  Elsewhere    {known} events are known: {known_from}\n"
    "  Lost here    {lost}\n"
    "Read this code to another person, who approves it under their name before tomorrow:\n"
    "  casemate audit new-epoch approve --settings {settings} --code {code}",
}
BEGUN = {
    FR: "Nouvelle époque ouverte, approuvée par {by} : {origin}\n"
    "Clés à porter au procès-verbal et à la règle de confiance des auditeurs :\n{keys}\n"
    "  Perdus dans l’ancien journal : {lost}\n"
    "Relancez l’enregistreur, puis « casemate audit index rebuild » ; l’ancien journal reste "
    "lisible : {former}",
    EN: "New epoch begun, approved by {by}: {origin}\n"
    "Keys for the report and for the policy of auditors:\n{keys}\n"
    "  Lost in the former log: {lost}\n"
    "Start the recorder again, then `casemate audit index rebuild`; the former log can still "
    "be read: {former}",
}
NOTHING = {FR: "rien", EN: "nothing"}
RANGE = {FR: "événements {first} à {last}", EN: "events {first} to {last}"}

SettingsFile = Annotated[Path, typer.Option("--settings", help="recorder.toml")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
Lang = Annotated[Language, typer.Option("--language", help="Of the answer for people.")]


@app.command("propose")
def propose(
    settings: SettingsFile,
    reason: Annotated[str, typer.Option(help="Why, for the log.")],
    *,
    known: Annotated[
        list[Path] | None,
        typer.Option(exists=True, help="Checkpoint kept elsewhere; may be repeated."),
    ] = None,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """State what is here and what is known elsewhere; print the code to approve."""
    person = operator.here()
    brought = [(str(path), path.read_bytes()) for path in known or []]
    config = load(settings, RecorderSettings)
    become_owner(config.directory)
    stated = succession.propose(config, person, reason, brought)
    at = datetime.fromtimestamp(stated.at / 1e6, ZoneInfo(config.time_zone))
    facts: dict[str, Any] = {
        "by": person, "at": at.isoformat(" ", "seconds"), "code": stated.code(),
        "origin": epoch.origin_of(config.origin, stated.epoch), "previous": stated.previous,
        "kept": stated.kept, "signed": epoch.split(stated.local)[0].size if stated.local else 0,
        "known": epoch.split(stated.known)[0].size, "known_from": stated.known_from,
        "lost": _range(epoch.lost(stated), language), "settings": str(settings),
    }  # fmt: skip
    _answer(PROPOSED[language], facts, as_json=as_json)


@app.command("approve")
def approve(
    settings: SettingsFile,
    code: Annotated[str, typer.Option(help="That the other person read.")],
    *,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Approve what another person proposed, and begin the new log."""
    person = operator.here()
    config = load(settings, RecorderSettings)
    become_owner(config.directory)
    begun = succession.approve(config, person, code)
    facts: dict[str, Any] = {
        "by": person, "origin": begun.origin, "keys": begun.keys,
        "lost": _range(begun.lost, language), "former": str(begun.former),
    }  # fmt: skip
    _answer(BEGUN[language], facts, as_json=as_json)


def _range(lost: tuple[int, int], language: Language) -> str:
    first, end = lost
    if first == end:
        return NOTHING[language]
    return RANGE[language].format(first=first, last=end - 1)


def _answer(message: str, facts: dict[str, Any], *, as_json: bool) -> None:
    text = json.dumps(facts, ensure_ascii=False) if as_json else message.format_map(facts)
    typer.echo(text)
