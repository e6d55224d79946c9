"""What the person who started the demo is told once it is ready: where, who, how. Pure."""

from collections.abc import Iterator, Sequence
from shlex import quote

from rich.console import RenderableType
from rich.table import Table

from appliance.site.account import Account

DIRECTORY = "demo"  # where nothing else is said
ROLES = {
    "utilisateur": "poser une question, déposer des documents",
    "exploitant": "modèles et santé, arrêt",
    "auditeur": "journal, vérification",
    "rssi": "journal, arrêt et reprise",
    "autorite": "jalons",
    "dpo": "registres",
    "administrateur": "comptes, sur l’adresse d’administration d’un site",
}


def accounts_table(accounts: Sequence[Account]) -> Table:
    """Return the accounts with their generated passwords."""
    table = Table(box=None, pad_edge=False)
    for title in ("Compte", "Mot de passe", "Code", "Rôle"):
        table.add_column(title, no_wrap=True)  # a password must be whole to be copied
    table.add_column("Ce qu’il peut")
    for one in accounts:
        code = "oui" if one.otp else ""
        may = ROLES.get(one.role, "")
        table.add_row(one.username, one.password, code, one.role, may)
    return table


def welcome(
    origin: str, accounts: Sequence[Account], elapsed: str, *, vectors: bool, directory: str
) -> Iterator[RenderableType]:
    """Yield what is printed when the stack is ready.

    Args:
        origin: Public address.
        accounts: Of the demo.
        elapsed: Since the start, in words.
        vectors: The embedder is on its way.
        directory: Of the stack, as it was given.
    """
    yield f"\n[green bold]Prête[/green bold] en {elapsed} : [bold]{origin}[/bold]\n"
    yield accounts_table(accounts)
    if coded := [one.username for one in accounts if one.otp]:
        where = "" if directory == DIRECTORY else f" --dir {quote(directory)}"
        yield (
            "\nOù « Code » dit oui, un code à usage unique est demandé aussi : "
            f"[bold].venv/bin/casemate demo code {coded[0]}{where}[/bold]"
        )
    if vectors:
        yield "La recherche par mots répond ; les vecteurs suivent, quelques minutes plus tard."
    yield "Ctrl-C arrête tout ; documents, comptes et enregistrements restent dans le dossier."
