import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from jinja2 import UndefinedError
from lxml import html

from appliance.console.assets import STATIC
from appliance.console.language import CODES
from appliance.console.page import NO_CONTENT, Proof, Shell, person
from appliance.console.problem import explain
from appliance.console.render import AssetsError, Renderer, icon, initials, short, team
from appliance.identity.principal import Principal
from tests.console.stand import found_in

LABELS = ["Non protégé", "Usage interne", "Diffusion restreinte"]


@pytest.fixture
def renderer(assets: None) -> Renderer:  # noqa: ARG001
    return Renderer("Europe/Paris", lambda: LABELS)


def shell(rank: int = 0) -> Shell:
    return Shell("Atelier <b>", tuple(LABELS), rank, NO_CONTENT, "sombre")


def test_a_page_speaks_its_language_and_escapes_its_values(renderer: Renderer) -> None:
    problem = explain("CM-DOC-01")
    pages = {
        code: renderer.page("error_alone.html", code, shell=shell(), problem=problem)
        for code in ("fr", "en")
    }
    assert "Introuvable" in pages["fr"]
    assert "Not found" in pages["en"]
    for code, page in pages.items():
        root = html.document_fromstring(page)
        assert root.get("lang") == code
        assert root.get("data-theme") == "sombre"
        assert "<b>" not in page.replace("<b>Casemate</b>", "")


@pytest.mark.parametrize(
    ("hours", "french", "english", "warned"),
    [
        (None, "pas encore ancré", "not anchored yet", True),
        (2, "Ancré il y a 2 h", "Anchored 2 h", False),
        (24, "Ancré il y a 24 h", "Anchored 24 h", False),
        (25, "en retard", "late", True),
    ],
)
def test_every_page_says_how_old_the_last_anchor_is(
    renderer: Renderer, hours: int | None, french: str, english: str, *, warned: bool
) -> None:
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    anchored = None if hours is None else now - timedelta(hours=hours)
    around = replace(
        shell(), proof=Proof(9, 8, now, "r", anchored),
        who=person(Principal("s", "a.roux", frozenset({"rssi"}), frozenset(), (), 1)),
    )  # fmt: skip
    pages = {
        said: renderer.page(
            "error.html", code, shell=around, problem=explain("CM-DOC-01"), now=now
        )
        for code, said in zip(CODES, (french, english), strict=True)
    }
    for said, page in pages.items():
        foot = page[page.index('<div id="journal-pied"') : page.index('<div class="who"')]
        shown = re.sub(r"<[^>]*>", "", foot).replace("\u202f", " ").replace("\xa0", " ")
        assert said in " ".join(shown.split())
        assert ("text-warn" in foot) == warned


def test_a_value_that_was_not_given_is_a_defect(renderer: Renderer) -> None:
    with pytest.raises(UndefinedError):
        renderer.page("error_alone.html", "fr", shell=shell())


def test_the_sprite_holds_each_icon_that_the_page_uses(renderer: Renderer) -> None:
    page = renderer.page("error_alone.html", "fr", shell=shell(), problem=explain("CM-NET-00"))
    used = set(re.findall(r'href="#i-([a-z0-9-]+)"', page))
    held = set(re.findall(r'<symbol id="i-([a-z0-9-]+)"', page))
    assert used
    assert used <= held
    assert {"square", "download", "copy"} <= held  # of the parts that may join later


def test_the_band_is_as_high_as_what_is_displayed(renderer: Renderer) -> None:
    page = renderer.page("error_alone.html", "en", shell=shell(2), problem=explain("CM-NET-00"))
    bands = found_in(page, "//*[contains(@class, 'marking-2')]")
    assert len(bands) == 2
    for band in bands:
        assert "DIFFUSION RESTREINTE" in band.text_content()
        assert band.xpath(".//*[@lang='fr']")
        assert len(band.xpath(".//i[@class='on']")) == 3


def test_static_addresses_change_with_their_content(renderer: Renderer) -> None:
    page = renderer.page("error_alone.html", "fr", shell=shell(), problem=explain("CM-NET-00"))
    found = re.findall(r'"/static/([^"?]+)\?v=([0-9a-f]{10})"', page)
    assert {"vendor/fonts.css", "tokens.css", "console.css"} <= {name for name, _ in found}
    assert all((STATIC / name).is_file() for name, _ in found)
    with pytest.raises(AssetsError, match=r"absent\.css"):
        renderer._static("absent.css")


def test_an_icon_is_decorative_unless_it_is_named() -> None:
    assert 'aria-hidden="true"' in icon("icon:x")
    named = icon("x", label='Fermer "<')
    assert 'role="img"' in named
    assert "<" not in named.split("aria-label=")[1].split("><use")[0]


def test_short_forms() -> None:
    assert short("abcdefghijklmnopqrst") == "abcdefgh…qrst"
    assert short("court") == "court"
    assert team("/equipes/rh") == "rh"
    assert initials("Mention du site") == "MS"
