"""Arriving, choosing a language, staying, leaving; nobody gets further without a session."""

import httpx2 as httpx
import pytest

from appliance.console.routing import PAGES
from tests.console.stand import Person, Stand, found_in, person, text_of, values_of


def addresses() -> list[tuple[str, str]]:
    """Return each method and address of the pages."""
    routes = [route for module in PAGES for route in module.router.routes]
    found: list[tuple[str, str]] = [(m, r.path) for r in routes for m in r.methods]
    assert len(found) > 25
    return sorted(found)


@pytest.mark.parametrize(("method", "path"), addresses(), ids=lambda v: v)
def test_no_page_answers_who_is_not_signed_in(stand: Stand, method: str, path: str) -> None:
    address = path.replace("{code}", "en")
    for name in ("conversation", "document", "passage", "key"):
        address = address.replace(f"{{{name}}}", "00000000-0000-0000-0000-000000000001")
    address = address.replace("{slug}", "notes").replace("{index}", "1")
    address = address.replace("{request}", "r" * 20) + "?depuis=0&ancre=a"
    with httpx.Client(base_url=stand.origin) as nobody:
        answer = nobody.request(method, address)
        forged = nobody.request(method, address, headers={"cookie": f"casemate={43 * 'x'}"})
    if path == "/langue/{code}":
        assert answer.headers["location"] == "/"
    elif path == "/":
        assert found_in(answer, "//a[@id='se-connecter']")
    elif (method, path) == ("POST", "/question"):
        assert answer.status_code == 401
    else:
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/connexion?retour=/")
        assert forged.headers["location"] == answer.headers["location"]
    assert "quinze jours" not in answer.text


def test_who_is_signed_in_arrives_at_the_page_of_their_trade(
    clara: Person, operator: Person, auditor: Person
) -> None:
    arrivals = [p.get("/").headers["location"] for p in (clara, operator, auditor)]
    assert arrivals == ["/question", "/modeles", "/journal"]


def test_the_welcome_page_leads_to_the_sign_in(stand: Stand) -> None:
    with httpx.Client(base_url=stand.origin) as nobody:
        page = nobody.get("/")
        left = nobody.get(values_of(page, "//a[@id='se-connecter']/@href")[0])
    assert left.status_code == 303
    assert left.headers["location"].startswith(f"{stand.realm.issuer}/protocol/openid-connect/")


def test_htmx_is_sent_to_sign_in_instead_of_given_a_page(stand: Stand) -> None:
    with httpx.Client(base_url=stand.origin, headers={"hx-request": "true"}) as nobody:
        answer = nobody.get("/documents/notes/etats")
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"].startswith("/connexion?retour=")


@pytest.mark.parametrize(
    ("code", "referer", "back"),
    [
        ("en", "{origin}/documents?x=1", "/documents"),
        ("fr", "http://ailleurs.example/piege", "/"),
        ("en", "", "/"),
        ("xx", "{origin}//ailleurs.example", "/"),
    ],
)
def test_a_language_is_kept_and_leads_back_on_this_site_only(
    stand: Stand, clara: Person, code: str, referer: str, back: str
) -> None:
    answer = clara.get(f"/langue/{code}", referer=referer.format(origin=stand.origin))
    assert answer.headers["location"] == back
    assert ("langue=" in answer.headers.get("set-cookie", "")) == (code in {"fr", "en"})


def test_pages_speak_the_language_that_was_chosen(stand: Stand) -> None:
    with person(stand) as someone:
        someone.http.cookies.set("langue", "en")
        page = someone.get("/question")
    assert values_of(page, "/html/@lang") == ["en"]
    assert text_of(page, "//nav[@id='navigation']//a[@aria-current]") == "Ask a question"


@pytest.mark.parametrize(
    ("theme", "shown"),
    [("clair", ["clair"]), ("sombre", ["sombre"]), ("systeme", []), ('"><b', [])],
)
def test_the_first_paint_has_the_theme_that_was_chosen(
    stand: Stand, theme: str, shown: list[str]
) -> None:
    with person(stand) as someone:
        page = someone.http.get(
            "/recu", headers={"cookie": f"casemate={someone.cookie}; theme={theme}"}
        )
    assert values_of(page, "/html/@data-theme") == shown


def test_staying_renews_the_session_and_needs_its_token(clara: Person) -> None:
    stayed = clara.post("/session/prolonger", htmx=True)
    assert int(values_of(stayed, "//@data-until")[0]) > 0
    assert clara.post("/session/prolonger").status_code == 303
    assert clara.http.post("/session/prolonger", data={"csrf": "x"}).status_code == 403


def test_signing_out_ends_the_session(stand: Stand) -> None:
    with person(stand, "partante") as someone:
        assert someone.http.post("/deconnexion", data={"csrf": "x"}).status_code == 403
        assert someone.get("/question").status_code == 200
        left = someone.post("/deconnexion")
        assert left.headers["location"].startswith(f"{stand.realm.issuer}/protocol/")
        assert someone.get("/question").status_code == 303


def test_the_state_of_the_service_is_told_while_it_is_not_as_usual(clara: Person) -> None:
    page = clara.get("/etat")
    assert "Vecteurs en préparation" in text_of(page, "//*[@id='etat-service']")
    assert 'hx-trigger="every 5s"' in page.text
    assert 'hx-get="/etat?fois=1"' in page.text
    assert "hx-get" not in clara.get("/etat?fois=120").text
