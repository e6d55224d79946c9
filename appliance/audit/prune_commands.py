"""`casemate audit prune` and `audit retention`: what is old enough goes, by a person."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from appliance.audit import pruning
from appliance.audit.maintenance import become_owner, now
from appliance.audit.retention import before
from appliance.audit.verdict import Language
from appliance.identity import operator
from appliance.settings import RecorderSettings, load

FR, EN = Language.FR, Language.EN
EXIT_OVER = 4
_MICRO = 1_000_000

PRUNED = {
    FR: "Événements {first} à {last} éliminés, antérieurs au {cutoff} ; clés de contenus "
    "détruites : {keys}\n  Les empreintes restent : reçus et preuves se vérifient toujours.\n"
    "  Relancez l’enregistreur.",
    EN: "Events {first} to {last} pruned, from before {cutoff}; keys of contents destroyed: "
    "{keys}\n  Hashes stay: receipts and proofs can still be verified.\n"
    "  Start the recorder again.",
}
FINISHED = {
    FR: "Rien d’autre à éliminer ; ce qu’une élimination interrompue avait laissé est effacé.",
    EN: "Nothing more to prune; what an interrupted pruning had left is deleted.",
}
AGE = {
    FR: "Premier événement gardé : {first}, du {oldest}\n"
    "  Plancher : rien n’est éliminé depuis le {floor}\n"
    "  Plafond  : rien ne devrait rester d’avant le {ceiling}{alarm}",
    EN: "First event that is kept: {first}, of {oldest}\n"
    "  Floor:   nothing is pruned since {floor}\n"
    "  Ceiling: nothing should be left from before {ceiling}{alarm}",
}
OVER = {
    FR: "\nALERTE : des événements dépassent la durée maximale de conservation.",
    EN: "\nALERT: events are kept longer than they may be.",
}

SettingsFile = Annotated[Path, typer.Option("--settings", help="recorder.toml")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
Lang = Annotated[Language, typer.Option("--language", help="Of the answer for people.")]


def prune(  # noqa: PLR0913 - one option for each thing that a person says
    settings: SettingsFile,
    basis: Annotated[str, typer.Option(help="On which ground, for the log.")],
    *,
    before_day: Annotated[
        datetime | None,
        typer.Option("--before", formats=["%Y-%m-%d"], help="Day, else by `log_months`."),
    ] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Only end a pruning that was cut short.")
    ] = False,
    as_json: AsJson = False,
    language: Lang = FR,
) -> None:
    """Prune what is older than the site keeps. The recorder is stopped meanwhile."""
    person = operator.here()
    config = load(settings, RecorderSettings)
    become_owner(config.directory)
    if finish:
        facts: dict[str, Any] = {"keys": pruning.finish(config)}
        _answer(FINISHED[language], facts, as_json=as_json)
        return
    zone = ZoneInfo(config.time_zone)
    cutoff = before(now(), config.log_months)
    if before_day is not None:
        cutoff = int(before_day.replace(tzinfo=zone).timestamp()) * _MICRO
    plan = pruning.plan(config, cutoff, now())
    keys = pruning.carry_out(config, plan, person, basis)
    facts = {
        "first": plan.first, "last": plan.end - 1, "cutoff": _day(cutoff, zone), "keys": keys,
        "by": person,
    }  # fmt: skip
    _answer(PRUNED[language], facts, as_json=as_json)


def retention(settings: SettingsFile, *, as_json: AsJson = False, language: Lang = FR) -> None:
    """Say how old the log is. Ends with 4 when records are kept longer than they may be."""
    config = load(settings, RecorderSettings)
    become_owner(config.directory)
    age, zone = pruning.age_of(config, now()), ZoneInfo(config.time_zone)
    facts: dict[str, Any] = {
        "first": age.first, "oldest": _day(age.oldest, zone) if age.oldest else "—",
        "floor": _day(age.floor, zone), "ceiling": _day(age.ceiling, zone),
        "over": age.is_over,
    }  # fmt: skip
    alarm = OVER[language] if age.is_over else ""
    text = AGE[language].format_map(facts | {"alarm": alarm})
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else text)
    if age.is_over:
        raise typer.Exit(EXIT_OVER)


def _day(at: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at / _MICRO, UTC).astimezone(zone).date().isoformat()


def _answer(message: str, facts: dict[str, Any], *, as_json: bool) -> None:
    text = json.dumps(facts, ensure_ascii=False) if as_json else message.format_map(facts)
    typer.echo(text)
