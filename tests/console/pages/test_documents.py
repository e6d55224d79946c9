"""Documents: who sees what, deposits, states, source pages, deletion."""

import uuid

import pytest

from tests.console.stand import Person, Stand, found_in, person, text_of, values_of
from tests.rag.library import Book


@pytest.fixture
def shelf(stand: Stand) -> str:
    """Return a collection of the methods team, of this test alone."""
    slug = f"rayon-{uuid.uuid4().hex[:8]}"
    stand.declare(slug, 1, methodes=True)
    return slug


def put(stand: Stand, slug: str, title: str = "Note", text: str = "Un texte.") -> uuid.UUID:
    book = Book(slug, title, (text, "Deuxième page."))
    stand.put(book)
    return book.public_id


def test_collections_and_their_documents_are_listed(
    stand: Stand, clara: Person, shelf: str
) -> None:
    put(stand, shelf, "Charte <b>")
    page = clara.get(f"/documents/{shelf}")
    assert page.status_code == 200
    assert "marking-1" in values_of(page, "//*[@id='marquage']/@class")[0]
    assert text_of(page, "//tbody/tr/th/a") == "Charte <b>"
    assert "prêt" in text_of(page, "//tbody/tr/td")
    assert f"/documents/{shelf}" in values_of(page, "//nav[@aria-label='Collections']/a/@href")
    assert "direction" not in page.text


def test_the_first_collection_opens_by_itself(clara: Person) -> None:
    page = clara.get("/documents")
    assert page.status_code == 200
    assert found_in(page, "//nav[@aria-label='Collections']/a[@aria-current='true']")


def test_a_hidden_collection_and_an_absent_one_answer_alike(
    stand: Stand, clara: Person
) -> None:
    hidden = put(stand, "direction", "Caché")
    for path in ("/documents/{}", "/documents/{}/etats", f"/documents/{{}}/{hidden}"):
        pages = [clara.get(path.format(slug)) for slug in ("direction", "absente")]
        assert [page.status_code for page in pages] == [404, 404]
        bodies = {text_of(page, "//main") for page in pages}
        assert len(bodies) == 1
        assert "Caché" not in pages[0].text


def test_who_has_no_collection_is_told_whom_to_ask(stand: Stand) -> None:
    with person(stand, "sans-groupe", groups=[]) as someone:
        page = someone.get("/documents")
    assert page.status_code == 200
    assert "exploitant" in text_of(page, "//*[contains(@class, 'empty')]")


def test_deposits_are_told_one_by_one_and_the_table_follows_them(
    clara: Person, shelf: str
) -> None:
    files = [("2026/charte.txt", b"Bonjour"), ("vide.txt", b""), ("copie.txt", b"Bonjour")]
    page = clara.send(f"/documents/{shelf}", *files, htmx=True)
    assert page.status_code == 200
    told = [
        " ".join(li.text_content().split()) for li in found_in(page, "//*[@id='depots']//li")
    ]
    assert told[0].startswith("2026/charte.txt déposé, analyse en cours")
    assert told[1].startswith("vide.txt Fichier vide CM-DOC-03")
    assert told[2].startswith("copie.txt déjà présent")
    assert 'hx-trigger="every 3s"' in page.text
    table = clara.get(f"/documents/{shelf}")
    assert "en attente" in text_of(table, "//tbody/tr/td")
    assert 'hx-trigger="every 3s"' in clara.get(f"/documents/{shelf}/etats").text


def test_a_deposit_is_on_record(stand: Stand, clara: Person, shelf: str) -> None:
    clara.send(f"/documents/{shelf}", ("a.txt", uuid.uuid4().bytes))
    assert b"casemate.rag.ingest.v1" in stand.leaves()[-1]


def test_without_javascript_a_deposit_leads_back_to_the_list(clara: Person, shelf: str) -> None:
    done = clara.send(f"/documents/{shelf}", ("a.txt", b"Un"))
    assert (done.status_code, done.headers["location"]) == (303, f"/documents/{shelf}")
    failed = clara.send(f"/documents/{shelf}", ("b.txt", b""))
    assert failed.status_code == 200
    assert "Fichier vide" in text_of(failed, "//*[@id='depots']")


def test_a_table_without_moving_documents_does_not_ask_again(
    stand: Stand, clara: Person, shelf: str
) -> None:
    put(stand, shelf)
    assert "every 3s" not in clara.get(f"/documents/{shelf}").text


@pytest.mark.parametrize("csrf", ["", "faux"])
def test_a_deposit_needs_the_token_of_its_page(clara: Person, shelf: str, csrf: str) -> None:
    sent = clara.http.post(
        f"/documents/{shelf}", data={"csrf": csrf}, files=[("fichiers", ("a.txt", b"Un"))]
    )
    assert sent.status_code == 403
    assert "a.txt" not in clara.get(f"/documents/{shelf}").text


def test_a_deposit_from_another_origin_is_refused(clara: Person, shelf: str) -> None:
    sent = clara.http.post(
        f"/documents/{shelf}",
        data={"csrf": clara.session.csrf},
        files=[("fichiers", ("a.txt", b"Un"))],
        headers={"origin": "http://ailleurs.example"},
    )
    assert sent.status_code == 403


def test_who_may_read_and_not_write_sees_no_way_to_and_is_refused(
    stand: Stand, clara: Person
) -> None:
    slug = f"lu-{uuid.uuid4().hex[:8]}"
    stand.declare(slug, 0, methodes=False)
    document = put(stand, slug)
    page = clara.get(f"/documents/{slug}")
    assert page.status_code == 200
    assert found_in(page, "//input[@type='file']") == []
    assert found_in(page, "//a[contains(@href, 'supprimer')]") == []
    assert clara.send(f"/documents/{slug}", ("a.txt", b"Un")).status_code == 403
    assert clara.post(f"/documents/{slug}/{document}/supprimer").status_code == 403


def test_a_source_is_read_page_by_page_and_the_reading_is_on_record(
    stand: Stand, clara: Person, shelf: str
) -> None:
    document = put(stand, shelf, text="Première <b> page.")
    page = clara.get(f"/documents/{shelf}/{document}")
    assert text_of(page, "//*[@class='paper-text']") == "Première <b> page."
    assert b"casemate.rag.open.v1" in stand.leaves()[-1]
    second = values_of(page, "//nav[@aria-label='Pages du document']/a/@href")[0]
    assert text_of(clara.get(second), "//*[@class='paper-text']") == "Deuxième page."
    assert clara.get(f"/documents/{shelf}/{document}?page=3").status_code == 404
    assert clara.get(f"/documents/notes/{document}").status_code == 404


def test_the_original_is_given_as_it_was_deposited_and_never_shown_in_place(
    stand: Stand, clara: Person, shelf: str
) -> None:
    data = b"<script>alert(1)</script>" + uuid.uuid4().bytes
    clara.send(f"/documents/{shelf}", ("2026/été 1.html", data))
    (relaunch,) = values_of(
        clara.get(f"/documents/{shelf}"), "//a[contains(@href, 'supprimer')]/@href"
    )
    address = relaunch.replace("supprimer", "original")
    given = clara.get(address)
    assert given.content == data
    assert given.headers["content-type"] == "application/octet-stream"
    disposition = given.headers["content-disposition"]
    assert disposition == "attachment; filename*=UTF-8''%C3%A9t%C3%A9%201.html"
    assert b'"original":1' in stand.leaves()[-1]
    assert clara.get(address.replace(shelf, "notes")).status_code == 404
    with person(stand, "ailleurs", groups=[]) as other:
        assert other.get(address).status_code == 404


def test_deleting_is_confirmed_recorded_and_final(
    stand: Stand, clara: Person, shelf: str
) -> None:
    document = put(stand, shelf, "À jeter")
    address = f"/documents/{shelf}/{document}"
    confirm = clara.get(f"{address}/supprimer")
    assert text_of(confirm, "//h1") == "Supprimer ce document ?"
    assert "À jeter" in text_of(confirm, "//dl")
    assert clara.post(f"{address}/supprimer").status_code == 303
    assert b"casemate.rag.delete.v1" in stand.leaves()[-1]
    assert clara.get(address).status_code == 404
    assert "À jeter" not in clara.get(f"/documents/{shelf}").text


def test_a_failure_is_told_and_can_be_tried_again(
    stand: Stand, clara: Person, shelf: str
) -> None:
    stand.fail(put(stand, shelf), "no_text_layer")
    page = clara.get(f"/documents/{shelf}")
    assert "échec" in text_of(page, "//tbody/tr/td")
    assert "il n’a pas de couche de texte" in text_of(page, "//tbody/tr/th")
    (action,) = values_of(page, "//form[contains(@action, 'relancer')]/@action")
    assert clara.post(action).status_code == 303
    assert "en attente" in text_of(clara.get(f"/documents/{shelf}"), "//tbody/tr/td")


def test_a_long_collection_is_read_in_pages(stand: Stand, clara: Person, shelf: str) -> None:
    stand.put(*[Book(shelf, f"Note {n:02}", ("x",)) for n in range(52)])
    first = clara.get(f"/documents/{shelf}")
    assert len(found_in(first, "//tbody/tr")) == 50
    older = values_of(first, "//div[@class='panel-foot']//a/@href")
    assert len(found_in(clara.get(older[0]), "//tbody/tr")) == 2


def test_the_operator_sees_collections_and_opens_no_document(
    stand: Stand, operator: Person, shelf: str
) -> None:
    document = put(stand, shelf)
    assert operator.get("/documents").status_code == 200
    assert operator.get(f"/documents/{shelf}/{document}").status_code == 403
