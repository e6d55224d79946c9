"""Failures as pages: what happened, what to do, the code, and nothing of the defect."""

import httpx2 as httpx
import pytest

from tests.console.stand import Person, Stand, found_in, text_of, values_of


def test_a_page_that_does_not_exist_is_told_inside_the_shell(clara: Person) -> None:
    page = clara.get("/absente")
    assert page.status_code == 404
    assert text_of(page, "//h1") == "Introuvable"
    assert "404 CM-DOC-01" in text_of(page, "//dl")
    assert found_in(page, "//nav[@id='navigation']")


def test_a_page_of_another_role_is_refused_and_names_no_content(operator: Person) -> None:
    page = operator.get("/question")
    assert page.status_code == 403
    assert "403 CM-DRT-01" in text_of(page, "//dl")
    assert "Votre rôle ne permet pas cette action" in text_of(page, "//main")


def test_a_form_of_another_session_is_refused(clara: Person) -> None:
    page = clara.http.post("/cles", data={"csrf": "d’une autre session", "nom": "x"})
    assert page.status_code == 403
    assert "CM-IDE-07" in page.text


def test_a_form_from_another_origin_is_refused(clara: Person) -> None:
    page = clara.http.post(
        "/cles",
        data={"csrf": clara.session.csrf, "nom": "x"},
        headers={"origin": "http://ailleurs.example"},
    )
    assert page.status_code == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [("/documents/notes/pas-un-uuid", 404), ("/documents/notes?apres=-1", 400),
     ("/journal?avant=x", 400), ("/historique?avant=hier", 400)],
)  # fmt: skip
def test_an_address_out_of_form_is_a_page_and_no_dump(
    clara: Person, path: str, status: int
) -> None:
    page = clara.get(path)
    assert page.status_code == status
    assert page.headers["content-type"].startswith("text/html")
    assert "CM-" in text_of(page, "//dl")


def test_htmx_is_told_in_a_message_beside_the_page(clara: Person) -> None:
    answer = clara.post("/cles/00000000-0000-0000-0000-000000000001/revoquer", htmx=True)
    assert answer.status_code == 404
    assert (answer.headers["hx-retarget"], answer.headers["hx-reswap"]) == (
        ".toasts",
        "beforeend",
    )
    assert "CM-DRT-04" in answer.text
    assert "<html" not in answer.text


def test_a_defect_shows_a_code_and_nothing_of_itself(
    stand: Stand, clara: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.console.pages import keys  # noqa: PLC0415

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("le secret du défaut")

    monkeypatch.setattr(keys, "visible_collections", broken)
    with httpx.Client(base_url=stand.origin, cookies={"casemate": clara.cookie}) as http:
        page = http.get("/cles")
    assert page.status_code == 500
    assert "CM-NET-00" in page.text
    assert "secret" not in page.text
    assert "Traceback" not in page.text
    assert page.headers["content-security-policy"]


def test_no_database_is_a_page_that_says_why_nobody_passes(
    stand: Stand, clara: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from psycopg import OperationalError  # noqa: PLC0415

    from appliance.identity.session import Sessions  # noqa: PLC0415

    async def away(*_: object) -> None:
        raise OperationalError("server closed the connection: mot de passe")

    monkeypatch.setattr(Sessions, "find", away)
    page, asked = clara.get("/question"), clara.ask("Quel délai ?")
    assert page.status_code == asked.status_code == 503
    assert "503 CM-IDE-03" in text_of(page, "//dl")
    assert text_of(asked, "//textarea") == "Quel délai ?"
    assert "mot de passe" not in page.text
    assert values_of(page, "//a[@class='btn btn-primary']/@href") == ["/"]
    del stand


def test_a_question_whose_session_ended_is_given_back(stand: Stand) -> None:
    text = "Quel <b>délai</b> ?"
    with httpx.Client(base_url=stand.origin) as nobody:
        page = nobody.post("/question", data={"q": text})
    assert page.status_code == 401
    assert text_of(page, "//textarea") == text
    assert found_in(page, "//textarea//b") == []


def test_sign_in_leads_back_to_where_one_was(stand: Stand) -> None:
    with httpx.Client(base_url=stand.origin) as nobody:
        back = nobody.get("/documents/notes").headers["location"]
        posted = nobody.post("/cles/x/revoquer", data={"a": "b"}).headers["location"]
        elsewhere = nobody.post("/recu", data={"a": "b"}).headers["location"]
    assert back.startswith("/connexion?retour=/documents/notes&")
    assert posted.startswith("/connexion?retour=/cles&")
    assert elsewhere.startswith("/connexion?retour=/&")
