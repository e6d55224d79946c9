"""One event as an auditor opens it: the whole request, proved, and the opening on record."""

from tests.console.pages.test_journal import LEAVE, record_of
from tests.console.stand import Person, Stand, text_of, values_of


def test_an_auditor_sees_the_whole_request_and_the_opening_is_on_record(
    stand: Stand, clara: Person, auditor: Person
) -> None:
    record = record_of(clara)
    stand.indexed()
    page = auditor.get(f"/journal/{record}")
    trail = text_of(page, "//ol[@class='trail']")
    words = ("Demande admise", "Recherche de passages", "Réponse achevée")
    assert [trail.count(word) for word in words] == [1, 1, 1]
    assert text_of(page, "//h1").startswith("Demande nº")
    assert "vérifiée" in text_of(page, "//section[@aria-labelledby='preuve']")
    assert f"une seule, nº {record}" in page.text.replace("\u202f", "").replace("\xa0", "")
    opened = stand.leaves()[-1]
    assert b"casemate.audit.read.v1" in opened
    assert b'"record":%d' % record in opened
    assert LEAVE not in page.text


def test_the_thread_is_whole_when_the_copy_is_not(clara: Person, auditor: Person) -> None:
    record = record_of(clara)  # most of it is not in the copy yet
    page = auditor.get(f"/journal/{record}")
    assert len(values_of(page, "//ol[@class='trail']/li/time/@datetime")) >= 3


def test_ones_own_opening_is_nobody_elses_business(stand: Stand, clara: Person) -> None:
    record = record_of(clara)
    before = len(stand.leaves())
    assert clara.get(f"/journal/{record}").status_code == 200
    assert b"audit.read" not in b"".join(stand.leaves()[before:])
