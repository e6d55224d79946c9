"""What each person finds in the menu: an entry that they cannot open is absent, not greyed."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.console.language import mark
from appliance.identity.principal import Principal, Scope


@dataclass(frozen=True, slots=True)
class Item:
    """One page."""

    href: str
    icon: str  # "icon:" and the name of a lucide icon
    text: str  # msgid


@dataclass(frozen=True, slots=True)
class Group:
    """Pages of one trade."""

    title: str  # msgid, or empty
    items: tuple[Item, ...]


Rule = tuple[Item, Callable[[Principal], bool]]


def _any(*scopes: Scope) -> Callable[[Principal], bool]:
    return lambda who: any(scope in who.scopes for scope in scopes)


def _own_records(who: Principal) -> bool:
    return Scope.RECORDS_OWN in who.scopes and Scope.RECORDS_ALL not in who.scopes


ASK = Item("/question", "icon:message-square-text", mark("Poser une question"))
DOCUMENTS = Item("/documents", "icon:files", mark("Documents"))
KEYS = Item("/cles", "icon:key-round", mark("Mes clés"))
MODELS = Item("/modeles", "icon:cpu", mark("Modèles et santé"))
JOURNAL = Item("/journal", "icon:scroll-text", mark("Journal"))
OWN_JOURNAL = Item("/journal", "icon:scroll-text", mark("Mes enregistrements"))
ANCHORS = Item("/ancrages", "icon:anchor", mark("Ancrages"))
EXPORTS = Item("/journal/export", "icon:package-check", mark("Exports"))
CONTENTS = Item("/contenus", "icon:lock-keyhole", mark("Contenus scellés"))
ELIMINATIONS = Item("/eliminations", "icon:eraser", mark("Éliminations"))
RECEIPT = Item("/recu", "icon:shield-check", mark("Vérifier un reçu"))
VISIT = Item("/visite", "icon:compass", mark("Visite guidée"))

_MENU: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    (
        "",
        (
            (ASK, _any(Scope.CHAT)),
            (DOCUMENTS, _any(Scope.DOCUMENTS_READ, Scope.COLLECTIONS)),
            (KEYS, _any(Scope.KEYS_OWN)),
            (OWN_JOURNAL, _own_records),
            (VISIT, _any(Scope.CHAT)),
        ),
    ),
    (mark("Suivre"), ((MODELS, _any(Scope.HEALTH, Scope.STOP, Scope.START_APPROVE)),)),
    (
        mark("Contrôler"),
        (
            (JOURNAL, _any(Scope.RECORDS_ALL)),
            (EXPORTS, _any(Scope.EXPORT)),
            (ANCHORS, _any(Scope.RECORDS_ALL)),
            (CONTENTS, _any(Scope.CONTENT_APPROVE)),
            (ELIMINATIONS, _any(Scope.ERASURE_APPROVE, Scope.ERASURES)),
            (RECEIPT, lambda _: True),
        ),
    ),
)
ROLES = {
    "utilisateur": mark("utilisateur"),
    "exploitant": mark("exploitant"),
    "auditeur": mark("auditeur"),
    "rssi": mark("RSSI"),
    "autorite": mark("autorité d’homologation"),
    "dpo": mark("délégué à la protection des données"),
    "administrateur": mark("administrateur"),
}


def menu_for(who: Principal) -> tuple[Group, ...]:
    """Return the groups of the menu that hold something for this person."""
    groups = (
        Group(title, tuple(item for item, allowed in rules if allowed(who)))
        for title, rules in _MENU
    )
    return tuple(group for group in groups if group.items)


def landing(who: Principal) -> str:
    """Return where this person arrives: the page of their trade."""
    if Scope.CHAT in who.scopes:
        return ASK.href
    for item, allowed in ((MODELS, _any(Scope.HEALTH)), (JOURNAL, _any(Scope.RECORDS_ALL))):
        if allowed(who):
            return item.href
    return RECEIPT.href


def roles_of(who: Principal) -> tuple[str, ...]:
    """Return the names of the person's roles, as msgids."""
    return tuple(text for role, text in ROLES.items() if role in who.roles)
