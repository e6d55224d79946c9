"""Command line of the installation, from before the travel to the signed report.

Exit codes: 0 done, 1 refused or stopped, 2 wrong usage, 3 a medium or chunk is missing or
damaged, 4 not trusted, 70 a defect.
"""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from appliance.errors import ApplianceError
from appliance.install import answers as asked
from appliance.install import rehearse as rehearsed
from appliance.install import seal, telephone
from appliance.install.carried import created_last, described, is_pinned, open_bundle
from appliance.install.checklist import markdown, sheet
from appliance.install.explain import explained
from appliance.install.installing import Wish, text_of
from appliance.install.installing import install as run_install
from appliance.install.machine import observe
from appliance.install.places import Places
from appliance.install.preflight import Check, Level, checks
from appliance.install.rehearsal import words
from appliance.install.report import Facts
from appliance.install.screen import Language, checked, spoken, total
from appliance.install.verbs import measure
from appliance.printing.typeset import Template, typeset

EXIT_FOUND = 1  # a measure found what must not be
FINGERPRINT = (
    "Empreinte de la racine de confiance (fiche remise à part)",
    "Fingerprint of the root of trust (sheet that came another way)",
    "",
)
report = typer.Typer(no_args_is_help=True, help="Signed installation reports.")

AsJson = Annotated[bool, typer.Option("--json", help="Answer for programs.")]
Lang = Annotated[Language, typer.Option("--language", help="Of what is shown.")]
Medium = Annotated[
    list[Path] | None,
    typer.Option(help="Folder of the bundle on a medium; may be repeated."),
]
AnswersFile = Annotated[
    Path | None, typer.Option("--answers", help="Answers in TOML; nothing is asked.")
]
Root = Annotated[Path, typer.Option(hidden=True, help="Root of the target.")]
_ROOT = Path("/")


def install(  # noqa: PLR0913 - one option for each thing that an engineer may bring
    medium: Medium = None,
    answers: AnswersFile = None,
    *,
    root_fingerprint: Annotated[
        str, typer.Option(help="Of the root of trust, from the sheet that came another way.")
    ] = "",
    explain: Annotated[str, typer.Option(help="Say what a dictated code stands for.")] = "",
    playbooks: Annotated[
        Path, typer.Option(help="For --explain: those of the release.")
    ] = Path("playbooks"),
    language: Lang = Language.FR,
    as_json: AsJson = False,
    root: Root = _ROOT,
) -> None:
    """Verify, import, install, prove, report. Started again, it goes on where it stopped."""
    if explain:
        typer.echo("\n".join(explained(telephone.parse(explain), playbooks)) or "?")
        return
    os.umask(0o022)  # whatever the engineer's: services pass through folders made here
    places, began = Places(root.resolve()), time.monotonic()
    ask = None if answers or as_json else _asking(language)
    wish = Wish(language, answers, ask)
    try:
        if medium and ask and not root_fingerprint and not is_pinned(places):
            root_fingerprint = ask(*FINGERPRINT)
        bundle = open_bundle(places, medium or [], root_fingerprint, _say)
        changed = run_install(places, wish, bundle, _say)
    except ApplianceError as exc:
        typer.echo(f"casemate: {exc}", err=True)
        raise typer.Exit(getattr(exc, "exit_code", EXIT_FOUND)) from exc
    seconds = round(time.monotonic() - began)
    if as_json:
        found = {"changed": changed, "seconds": seconds, "report": str(places.reports),
                 "release": msgspec.to_builtins(bundle.release)}  # fmt: skip
        typer.echo(json.dumps(found))
    else:
        typer.echo(total(changed, seconds, language))
        typer.echo(str(places.paper))


def checklist(  # noqa: PLR0913 - one option for each thing that the sheet may say
    inventory: Annotated[
        Path, typer.Option("--inventory", "--answers", help="Answers of the site, in TOML.")
    ],
    medium: Medium = None,
    *,
    out: Annotated[
        Path | None, typer.Option(help="File to write: .pdf or .md; else Markdown is printed.")
    ] = None,
    as_of: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])] = None,
    language: Lang = Language.FR,
    as_json: AsJson = False,
) -> None:
    """Print what the engineer must have before travelling, and do at the rack."""
    given = asked.check(asked.read_answers(text_of(inventory)))
    brought = described(medium) if medium else None
    shown = sheet(given, brought, (as_of or datetime.now(UTC)).date(), language)
    if as_json:
        typer.echo(json.dumps(shown))
    elif out is None:
        typer.echo(markdown(shown).decode(), nl=False)
    elif out.suffix == ".pdf":
        out.write_bytes(typeset(Template.of("appliance.install", "checklist.typ"), shown))
    else:
        out.write_bytes(markdown(shown))


def rehearse(  # noqa: PLR0913 - one option for each thing that an engineer may bring
    inventory: Annotated[
        Path, typer.Option("--inventory", "--answers", help="Answers of the site, in TOML.")
    ],
    medium: Annotated[list[Path], typer.Option(help="Folder of the bundle; may be repeated.")],
    root_fingerprint: Annotated[str, typer.Option(help="Of the root of trust.")],
    *,
    folder: Annotated[Path, typer.Option(help="To work in: about 15 GB; papers stay.")] = Path(
        "repetition"
    ),
    debian: Annotated[
        str, typer.Option(help="Source of Debian 13, for debootstrap; else that of here.")
    ] = "",
    language: Lang = Language.FR,
    as_json: AsJson = False,
) -> None:
    """Play the same bundle and inventory in a local container, before travelling."""
    wish = rehearsed.Wish(
        inventory, tuple(medium), root_fingerprint, folder.resolve(), debian, language
    )
    try:
        found = rehearsed.rehearse(wish, _say)
    except ApplianceError as exc:
        typer.echo(f"casemate: {exc}", err=True)
        raise typer.Exit(getattr(exc, "exit_code", EXIT_FOUND)) from exc
    if as_json:
        typer.echo(found.text().decode(), nl=False)
    else:
        typer.echo("\n".join(words(found, language)))
        typer.echo(str(wish.folder / rehearsed.PAPERS / "report.pdf"))
    if not found.good:
        raise typer.Exit(EXIT_FOUND)


def preflight(
    *,
    profile: Annotated[str, typer.Option(help="cpu or gpu.")] = "cpu",
    machine_only: Annotated[
        bool, typer.Option(help="Leave out what needs the release and root.")
    ] = False,
    as_json: AsJson = False,
    root: Root = _ROOT,
) -> None:
    """Check the machine, and the system by the playbook of the release that is installed."""
    places = Places(root.resolve())
    if profile not in {"cpu", "gpu"}:
        raise asked.AnswersError(f"profile : {profile}")
    found = list(checks(observe(places.data, profile, created_last(places), 0)))
    status = 0
    if not machine_only and places.linked() is not None:
        measured = measure(places, "preflight.yml")
        found, status = [*found, *measured.checks], measured.status
    if as_json:
        typer.echo(json.dumps([msgspec.to_builtins(check) for check in found]))
    else:
        typer.echo("\n".join(map(checked, found)))
    if status != 0 or any(_fails(check) for check in found):
        raise typer.Exit(EXIT_FOUND)


def egress_proof(
    *, as_json: AsJson = False, language: Lang = Language.FR, root: Root = _ROOT
) -> None:
    """Prove that nothing leaves: no attempt is counted, and a planted one is caught."""
    measured = measure(Places(root.resolve()), "egress_proof.yml")
    attempts = sum(canary.attempts for canary in measured.egress)
    caught = bool(measured.egress) and all(one.positive_control for one in measured.egress)
    if as_json:
        rows = [msgspec.to_builtins(canary) for canary in measured.egress]
        typer.echo(json.dumps({"attempts": attempts, "positive_control": caught, "rows": rows}))
    else:
        typer.echo(_egress_words(attempts, language, caught=caught))
    if attempts or not caught or measured.status != 0:
        raise typer.Exit(EXIT_FOUND)


@report.callback()
def _group() -> None:
    """Keep `verify` a subcommand, alone as it is."""


@report.command("verify")
def verify_report(
    file: Annotated[
        Path, typer.Argument(exists=True, help="report.pdf, report.md or report.json")
    ],
    key: Annotated[
        Path, typer.Option("--key", exists=True, help="Public key of the site, kept elsewhere.")
    ],
    *,
    as_json: AsJson = False,
    language: Lang = Language.FR,
) -> None:
    """Check that the site's key signed a report. The key must have come by another way."""
    public = " ".join(key.read_text("ascii").split()[:2])
    seal.verify(file, file.with_name(f"{file.name}.sig"), public)
    if file.suffix == ".json":
        Facts.parse(file.read_bytes())
    fingerprint = seal.fingerprint(key)
    if as_json:
        typer.echo(json.dumps({"authentic": True, "key": fingerprint}))
        return
    typer.echo(
        spoken(
            f"Procès-verbal authentique, signé par la clé {fingerprint}",
            f"The report is authentic, signed by key {fingerprint}",
            language,
        )
    )


def _fails(check: Check) -> bool:
    return check.level in {Level.FAIL, Level.STRICT}


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _asking(language: Language) -> "asked.Ask":
    def ask(french: str, english: str, default: str) -> str:
        answer: str = typer.prompt(
            spoken(french, english, language), default=default or None, err=True
        )
        return answer

    return ask


def _egress_words(attempts: int, language: Language, *, caught: bool) -> str:
    french = "attrapée" if caught else "NON attrapée : la preuve ne vaut rien"
    english = "caught" if caught else "NOT caught: the proof is worth nothing"
    return spoken(
        f"Tentatives de sortie : {attempts}. Tentative plantée : {french}.",
        f"Attempts to leave: {attempts}. Planted attempt: {english}.",
        language,
    )
