import io

from rich.console import Console

from appliance.site.account import Account
from appliance.site.welcome import ROLES, welcome

PEOPLE = [
    Account("utilisateur", "camille", "casemate", "secret-one"),
    Account("auditeur", "alix", "casemate", "secret-two", "ABCDEFGH"),
]


def _told(*, vectors: bool, directory: str = "demo") -> str:
    output = io.StringIO()
    console = Console(file=output, width=120)
    wanted = "http://localhost:8080", PEOPLE, "61,0 s"
    for shown in welcome(*wanted, vectors=vectors, directory=directory):
        console.print(shown)
    return output.getvalue()


def test_address_accounts_and_passwords_are_told() -> None:
    told = _told(vectors=True)

    assert "http://localhost:8080" in told
    assert "camille" in told
    assert "secret-one" in told
    assert "vecteurs" in told


def test_who_needs_a_code_is_told_how_to_get_one() -> None:
    told = _told(vectors=False)

    assert "secret-two" in told
    assert "demo code alix\n" in told
    assert "ABCDEFGH" not in told
    assert "vecteurs" not in told


def test_the_command_that_is_told_is_of_the_folder_that_was_given() -> None:
    assert "demo code alix --dir /srv/demo2\n" in _told(vectors=False, directory="/srv/demo2")


def test_each_role_of_the_sample_site_is_explained() -> None:
    assert {one.role for one in PEOPLE} <= ROLES.keys()
