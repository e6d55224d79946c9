import pytest

from appliance.console.menu import ROLES, landing, menu_for, roles_of
from appliance.identity.principal import Principal
from tests.console.stand import ROLES as SITE

SIGNED = ("Vérifier un reçu",)


def somebody(*roles: str) -> Principal:
    scopes = frozenset(scope for role in roles for scope in SITE.get(role, []))
    return Principal("s", "c.vasseur", frozenset(roles), scopes, (), 1)


def entries(*roles: str) -> list[str]:
    return [item.text for group in menu_for(somebody(*roles)) for item in group.items]


@pytest.mark.parametrize(
    ("roles", "texts", "first"),
    [
        (
            ["utilisateur"],
            ["Poser une question", "Documents", "Mes clés", "Mes enregistrements",
             "Visite guidée", "Vérifier un reçu"],
            "/question",
        ),
        (["exploitant"], ["Documents", "Modèles et santé", "Vérifier un reçu"], "/modeles"),
        (
            ["auditeur"],
            ["Journal", "Exports", "Ancrages", "Contenus scellés", "Vérifier un reçu"],
            "/journal",
        ),
        (
            ["rssi"],
            ["Modèles et santé", "Journal", "Ancrages", "Contenus scellés", "Vérifier un reçu"],
            "/journal",
        ),
        (["administrateur"], ["Vérifier un reçu"], "/recu"),
        (
            ["utilisateur", "exploitant"],
            ["Poser une question", "Documents", "Mes clés", "Mes enregistrements",
             "Visite guidée", "Modèles et santé", "Vérifier un reçu"],
            "/question",
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_an_entry_that_cannot_be_opened_is_absent(
    roles: list[str], texts: list[str], first: str
) -> None:
    assert entries(*roles) == texts
    assert landing(somebody(*roles)) == first


def test_who_sees_all_records_has_no_second_entry_for_their_own() -> None:
    assert entries("utilisateur", "rssi").count("Mes enregistrements") == 0


def test_roles_are_named_in_words_and_in_one_order() -> None:
    assert roles_of(somebody("rssi", "utilisateur", "inconnu")) == ("utilisateur", "RSSI")
    assert set(ROLES) >= set(SITE)
