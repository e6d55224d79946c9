"""Records: one's own for everybody, all for who controls; their proof, their receipt."""

import re

import pytest

from appliance.audit.receipt import check
from tests.console.stand import Person, Stand, found_in, person, text_of, values_of

ROWS = "//*[@id='resultats']//tbody"
LEAVE = "Quel est le délai de réponse à une demande de congé ?"


def record_of(who: Person) -> int:
    """Ask, and return the number of the terminal record."""
    (href,) = values_of(who.ask(LEAVE), "//article//a[contains(@href, '/recu')]/@href")
    return int(re.findall(r"\d+", href)[0])


def test_ones_own_records_are_listed_latest_first(stand: Stand) -> None:
    with person(stand, "seule") as someone:
        record_of(someone)
        page = someone.get("/journal")
    assert text_of(page, "//h1") == "Mes enregistrements"
    numbers = [int(re.sub(r"\D", "", n)) for n in values_of(page, "//tbody//td[1]/a/text()")]
    assert numbers == sorted(numbers, reverse=True)
    titles = [" ".join(th.text_content().split()) for th in found_in(page, "//tbody/tr/th")]
    assert titles == ["Réponse achevée", "Recherche de passages", "Demande admise"]


def test_the_auditor_sees_all_and_the_reading_is_on_record(
    stand: Stand, clara: Person, auditor: Person
) -> None:
    record_of(clara)
    page = auditor.get("/journal")
    assert text_of(page, "//h1") == "Journal"
    assert "c.vasseur" in text_of(page, ROWS)
    assert b"casemate.audit.search.v1" in stand.leaves()[-1]
    assert "quinze jours" not in page.text


def test_older_records_are_reached_page_by_page(clara: Person, auditor: Person) -> None:
    for _ in range(17):
        record_of(clara)
    page = auditor.get("/journal")
    assert len(found_in(page, f"{ROWS}/tr")) == 50
    older = values_of(page, "//div[@class='panel-foot']//a/@href")[-1]
    following = auditor.get(older)
    last = values_of(page, f"{ROWS}//td[1]/a/@href")[-1]
    assert last not in values_of(following, f"{ROWS}//td[1]/a/@href")
    assert found_in(following, "//a[@href='/journal' and contains(@class, 'btn')]")


def test_a_record_shows_its_request_its_proof_and_no_content(clara: Person) -> None:
    page = clara.get(f"/journal/{record_of(clara)}")
    assert page.status_code == 200
    steps = [text_of(page, f"//ol[@class='trail']/li[{n}]//p") for n in (1, 2, 3)]
    assert [step.split("nº")[0].strip() for step in steps] == [
        "Demande admise",
        "Recherche de passages",
        "Réponse achevée",
    ]
    assert "vérifiée" in text_of(page, "//section[@aria-labelledby='preuve']")
    assert LEAVE not in page.text
    assert "quinze jours" not in page.text


def test_a_record_of_somebody_else_is_as_one_that_does_not_exist(
    stand: Stand, clara: Person
) -> None:
    record = record_of(clara)
    with person(stand, "b.dupont") as other:
        pages = [
            other.get(f"/journal/{n}{end}") for n in (record, 10**9) for end in ("", "/recu")
        ]
    assert [page.status_code for page in pages] == [404] * 4
    assert len({text_of(page, "//main") for page in pages}) == 1


@pytest.mark.parametrize("number", ["-1", "abc", "99999999999999999999"])
def test_a_number_that_is_none_is_not_found(clara: Person, number: str) -> None:
    assert clara.get(f"/journal/{number}").status_code == 404


def test_the_receipt_opens_the_text_for_its_owner_and_for_nobody_else(
    stand: Stand, clara: Person, auditor: Person
) -> None:
    record = record_of(clara)
    own = clara.get(f"/journal/{record}/recu")
    name = f'attachment; filename="recu-{record}.tlog-proof"'
    assert own.headers["content-disposition"] == name
    key = (stand.site.folder / "verifier-key").read_text()
    verified = check(own.content, key)
    assert verified.index == record
    verified.check_text("question", LEAVE)
    verified.check_text(
        "answer", "Le chef de service répond dans un délai de quinze jours [1]."
    )
    assert b"casemate.audit.export.v1" in stand.leaves()[-1]
    assert check(auditor.get(f"/journal/{record}/recu").content, key).keys == {}


def test_who_may_see_no_record_has_no_page(operator: Person) -> None:
    for path in ("/journal", "/journal/1", "/journal/1/recu"):
        assert operator.get(path).status_code == 403
