"""What the person who started the demo is told once it is ready: where, who, how. Pure."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table

from appliance.site.account import Account

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
    table = Table("Compte", "Mot de passe", "Rôle", "Ce qu’il peut", box=None, pad_edge=False)
    for one in accounts:
        code = " + code" if one.otp else ""
        table.add_row(one.username, f"{one.password}{code}", one.role, ROLES.get(one.role, ""))
    return table


def welcome(
    origin: str, accounts: Sequence[Account], elapsed: str, *, vectors: bool
) -> Iterator[RenderableType]:
    """Yield what is printed when the stack is ready.

    Args:
        origin: Public address.
        accounts: Of the demo.
        elapsed: Since the start, in words.
        vectors: The embedder is on its way.
    """
    yield f"\n[green bold]Prête[/green bold] en {elapsed} : [bold]{origin}[/bold]\n"
    yield accounts_table(accounts)
    if coded := [one.username for one in accounts if one.otp]:
        yield (
            "\nUn compte marqué « + code » demande un code à usage unique : "
            f"[bold].venv/bin/casemate demo code {coded[0]}[/bold]"
        )
    if vectors:
        yield "La recherche par mots répond ; les vecteurs suivent, quelques minutes plus tard."
    yield "Ctrl-C arrête tout ; documents, comptes et enregistrements restent dans le dossier."
