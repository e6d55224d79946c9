"""Every page in Chromium: both themes, four widths, axe-core, nothing from elsewhere."""

import re
import uuid
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from tests.console.browser import THEMES, WIDTHS, Watched, watched
from tests.console.stand import Person, Stand, person, values_of

LEAVE = "Quel est le délai de réponse à une demande de congé ?"
ABSENT = "Quel est le calibre du véhicule Vulcain 4312 ?"
PEOPLE: dict[str, dict[str, list[str]]] = {
    "clara": {},
    "operator": {"roles": ["exploitant"], "groups": []},
    "auditor": {"roles": ["auditeur"], "groups": []},
    "dpo": {"roles": ["dpo"], "groups": []},
    "nobody": {},
}


@dataclass
class Tour:
    """People with sessions, and the addresses of pages that hold something."""

    cookies: dict[str, str]
    pages: dict[str, tuple[str, str]]  # name -> who, address


@pytest.fixture(scope="session")
def tour(stand: Stand) -> Tour:
    stand.engine.words = ["Le chef de service répond ", "dans un délai de quinze jours [1]."]
    name = f"c.tour-{uuid.uuid4().hex[:6]}"
    cookies = {
        who: stand.sign_in(name if who == "clara" else f"{who}-tour", **claims)[0]
        for who, claims in PEOPLE.items()
        if who != "nobody"
    }
    with person(stand, name) as clara:
        answer = clara.ask(LEAVE)
        conversation = values_of(answer, "//*[@id='entete']/@data-url")[0]
        record = re.findall(r"/journal/(\d+)/recu", answer.text)[0]
        source = values_of(answer, "//a[@class='source']/@href")[0]
        silent = values_of(clara.ask(ABSENT), "//*[@id='entete']/@data-url")[0]
        clara.post("/cles", nom="gmao")
        clara.send("/documents/notes", ("attente.txt", uuid.uuid4().bytes))
    stand.indexed()
    with person(stand, "auditor-tour", **PEOPLE["auditor"]) as auditor:
        auditor.get("/journal/0/recu")  # a proof: all up to here is signed
        export = auditor.post("/journal/export", forme="csv").headers["location"]
    document = "/documents/procedures/00000000-0000-0000-0000-000000000002"
    pages = {
        "connexion": ("nobody", "/"),
        "question vide": ("clara", "/question"),
        "question": ("clara", conversation),
        "sans réponse": ("clara", silent),
        "question refusée": ("clara", f"/question/{uuid.UUID(int=0)}"),
        "visite": ("clara", "/visite"),
        "documents": ("clara", "/documents/notes"),
        "source": ("clara", source),
        "supprimer": ("clara", f"{document}/supprimer"),
        "clés": ("clara", "/cles"),
        "mes enregistrements": ("clara", "/journal"),
        "enregistrement": ("clara", f"/journal/{record}"),
        "reçu": ("clara", "/recu"),
        "historique": ("clara", "/historique"),
        "accès refusé": ("clara", "/modeles"),
        "modèles": ("operator", "/modeles"),
        "journal": ("auditor", "/journal?type=llm.completion&du=2026-01-01"),
        "demande": ("auditor", f"/journal/{record}"),
        "tirage": ("auditor", f"/journal/tirage?n=3&graine={'0' * 32}"),
        "ancrages": ("auditor", "/ancrages"),
        "exporter": ("auditor", "/journal/export"),
        "export": ("auditor", export),
        "contenus scellés": ("auditor", "/contenus"),
        "contenu scellé": ("auditor", f"/contenus/{record}"),
        "éliminations": ("dpo", "/eliminations"),
    }
    return Tour(cookies, pages)


NAMES = [
    "connexion", "question vide", "question", "sans réponse", "question refusée", "visite",
    "documents", "source", "supprimer", "clés", "mes enregistrements", "enregistrement", "reçu",
    "historique", "accès refusé", "modèles", "journal", "demande", "tirage",
    "ancrages", "exporter", "export", "contenus scellés", "contenu scellé", "éliminations",
]  # fmt: skip


def test_the_tour_goes_through_every_page(tour: Tour) -> None:
    assert list(tour.pages) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing_and_nothing_leaves_the_origin(
    stand: Stand, browser: Browser, tour: Tour, name: str
) -> None:
    who, path = tour.pages[name]
    with watched(browser, stand, tour.cookies.get(who, "")) as seen:
        seen.open(path)
        for width in WIDTHS:
            seen.page.set_viewport_size({"width": width, "height": 900})
            assert seen.overflow() <= 0, f"{name} is wider than {width} px"
            for theme in THEMES:
                seen.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                assert seen.violations() == [], f"{name} {width} {theme}"


@pytest.mark.parametrize("name", NAMES)
def test_no_french_is_left_on_an_english_page(
    stand: Stand, browser: Browser, tour: Tour, name: str
) -> None:
    who, path = tour.pages[name]
    with watched(browser, stand, tour.cookies.get(who, ""), locale="en-GB") as seen:
        seen.open(path)
        assert seen.page.evaluate("document.documentElement.lang") == "en"
        words = interface_words(seen)
        french = [w for w in FRENCH if re.search(rf"\b{w}\b", words, re.IGNORECASE)]
        assert french == []
        assert seen.violations() == []


# Words that English has not, and that French pages are full of.
FRENCH = [
    "le", "la", "les", "des", "du", "une", "est", "sont", "pas", "vous", "votre", "vos", "avec",
    "dans", "pour", "qui", "aucun", "aucune", "cette", "ce", "il", "elle",
]  # fmt: skip
# What people, documents and the site wrote, and not the interface.
THEIRS = """[lang=fr], .question, .answer, .paper, .source, .history, textarea, .starter, .raw,
h1, nav.rows, .visit input, time, code, .tag, svg, .chip, tbody th, .crumbs, .facts dd, td,
[aria-labelledby=liste-titre] h2, tbody [aria-label]"""


def interface_words(seen: Watched) -> str:
    """Return what the interface says."""
    said = """theirs => { const copy = document.body.cloneNode(true);
      for (const e of copy.querySelectorAll(theirs)) e.remove();
      const names = ['aria-label', 'title', 'placeholder'];
      const spoken = [...copy.querySelectorAll('*')].flatMap(
        (e) => names.map((n) => e.getAttribute(n) ?? ''));
      return copy.textContent + ' ' + spoken.join(' '); }"""
    return str(seen.page.evaluate(said, THEIRS))


@pytest.mark.parametrize("width", [320, 640])
def test_every_page_reflows_at_four_hundred_per_cent(
    stand: Stand, browser: Browser, tour: Tour, width: int
) -> None:
    for name, (who, path) in tour.pages.items():
        size = {"width": width, "height": 600}
        with watched(browser, stand, tour.cookies.get(who, ""), viewport=size) as seen:
            seen.open(path)
            assert seen.overflow() <= 0, name


def test_every_link_leads_somewhere(stand: Stand, tour: Tour) -> None:
    checked: set[str] = set()
    for name, (who, path) in tour.pages.items():
        if who == "nobody":
            continue
        with person(stand, "x") as visitor:
            visitor.http.cookies.set("casemate", tour.cookies[who])
            broken = [h for h in links(visitor, path) - checked if not opens(visitor, h)]
            checked |= links(visitor, path)
        assert broken == [], name
    assert len(checked) > 30


def links(visitor: Person, path: str) -> set[str]:
    hrefs = values_of(visitor.get(path), "//a/@href")
    return {href.split("#")[0] for href in hrefs if not href.startswith("/langue/")} - {""}


def opens(visitor: Person, href: str) -> bool:
    assert href.startswith("/"), href
    if href.endswith("/original"):  # the test put the text in, and no file
        return visitor.get(href).status_code in {200, 503}
    return visitor.get(href).status_code in {200, 303}
