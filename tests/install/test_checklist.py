from dataclasses import replace
from datetime import date

import pypdfium2  # type: ignore[import-untyped]
import pytest

from appliance.install.answers import check
from appliance.install.boxes import Brought
from appliance.install.checklist import markdown, sheet
from appliance.install.phases import PHASES
from appliance.install.screen import Language
from appliance.printing.typeset import Template, typeset
from tests.install.stage import GIVEN

AS_OF = date(2026, 11, 23)
BROUGHT = Brought("1.0.0", 7, "3fa9c1d2" + "ab" * 24 + "0123cdef", 1_795_000_000, 5 << 30, 2)
SITE = check({
    **GIVEN, "marking": "DIFFUSION RESTREINTE", "users_address": "192.0.2.10",
    "admin_address": "198.51.100.10", "site_toml": "/media/usb/site.toml", "pki": "site",
    "zones": {"users": {"interface": "eno1", "sources": ["192.0.2.0/24"]}},
    "time_servers": ["192.0.2.1"],
    "hosts": [{"address": "192.0.2.1", "names": ["heure.site.internal"]}],
    "media": [{"serial": "S-0042", "handed_by": "A. Martin", "scanned": "station n° 3"}],
    "overrides": [{"check": "luks", "reason": "Baie scellée"}],
})  # fmt: skip


def page(brought: Brought | None = BROUGHT, language: Language = Language.FR) -> str:
    return markdown(sheet(SITE, brought, AS_OF, language)).decode()


@pytest.mark.parametrize(
    "line",
    [
        "# Liste de contrôle de l’installation — Atelier d’essai",
        "Mention de protection : DIFFUSION RESTREINTE.",
        "| Taille | 5,0 Gio sur 2 support(s) |",
        "| 1/2 | S-0042 | A. Martin | station n° 3 | ☐ | ☐ |",
        "| 2/2 |  |  |  | ☐ | ☐ |",
        "- [ ] le site déclaré, à l’endroit dit par les réponses : /media/usb/site.toml",
        "- [ ] l’accord écrit pour passer outre le contrôle « luks » : Baie scellée",
        "| usagers | eno1 | 192.0.2.0/24 | ☐ |",
        "| sauvegarde | – | fermée | ☐ |",
        "| machine connue | heure.site.internal | 192.0.2.1 | ☐ |",
        "| horloge | 192.0.2.1 |  | ☐ |",
        "- [ ] mémoire : au moins 5,0 Gio",
        "- [ ] place libre sous /var/lib/casemate : 15,0 Gio",
    ],
)
def test_the_sheet_says_what_to_take_and_to_check(line: str) -> None:
    assert line in page().splitlines()


def test_the_bundle_is_named_and_names_go_with_their_addresses() -> None:
    names = "casemate.site.internal (192.0.2.10), admin.casemate.site.internal (198.51.100.10)"
    lot = "| Lot | Casemate 1.0.0, livraison n° 7, fabriqué le 18 novembre 2026"
    assert f"{lot} à 11 h 06 (UTC) |" in page().splitlines()
    assert f"- [ ] les postes connaissent les noms : {names}" in page().splitlines()


def test_an_authority_of_the_site_must_be_at_hand() -> None:
    assert "qui signe les certificats" in page()
    assert (
        "qui signe" not in markdown(sheet(check(GIVEN), BROUGHT, AS_OF, Language.FR)).decode()
    )


@pytest.mark.parametrize("language", Language)
def test_each_phase_has_its_box_its_time_and_whether_to_switch_off(language: Language) -> None:
    text = page(language=language)
    for phase in PHASES:
        name = phase.french if language == Language.FR else phase.english
        row = next(row for row in text.splitlines() if row.startswith(f"| {phase.number} |"))
        assert name in row
        assert row.endswith("| ☐ |")
        words = ("oui", "non") if language == Language.FR else ("yes", "no")
        assert f"| {words[not phase.power_off]} |" in row


def test_what_happens_comes_in_order() -> None:
    titles = ["Avant de partir", "Supports", "À obtenir du site", "Réseaux", "Devant la baie",
              "Installation", "Si elle s’arrête", "Avant de quitter"]  # fmt: skip
    found = [row for row in page().splitlines() if row.startswith("## ")]
    assert [row.split(". ", 1)[1].startswith(t) for row, t in zip(found, titles, strict=True)]
    assert all(row.startswith(f"## {n}. {t}") for n, (row, t) in
               enumerate(zip(found, titles, strict=True), 1))  # fmt: skip


def test_without_media_the_sheet_says_that_they_were_not_read() -> None:
    text = page(None)
    assert "supports non lus pour cette fiche" in text
    assert "4,0 Gio en plus de deux fois le lot" in text
    assert "| 1/1 | S-0042 |" in text


def test_the_fingerprint_of_the_root_is_never_on_what_may_travel_with_the_media() -> None:
    row = next(row for row in page().splitlines() if "racine de confiance" in row)
    assert row.endswith(" : …………………………")


def test_english_is_complete() -> None:
    french = {
        text.strip() for text in page().replace("|", "\n").splitlines()
        if len(text.split()) > 2 and not text.startswith("  ")
    }  # fmt: skip
    kept = {text for text in french if text in page(language=Language.EN)}
    kept = {text for text in kept if not text.endswith("min 00 s")}
    assert kept <= {"## 6. Installation", "station n° 3"}


@pytest.mark.parametrize("language", Language)
def test_the_paper_says_what_the_page_says(language: Language) -> None:
    shown = sheet(SITE, BROUGHT, AS_OF, language)
    made = typeset(Template.of("appliance.install", "checklist.typ"), shown)
    with pypdfium2.PdfDocument(made) as document:
        pages = [each.get_textpage().get_text_bounded() for each in document]
    paper = "".join("".join(pages).replace("\ufffe", "").split())
    sections = shown["sections"]
    assert isinstance(sections, list)
    for section in sections:
        cells = [cell for row in section["rows"] for cell in row]
        for text in (section["title"], *(box["text"] for box in section["boxes"]), *cells):
            assert "".join(text.split()) in paper


def test_the_same_day_and_answers_give_the_same_page() -> None:
    assert page() == page()
    later = sheet(SITE, BROUGHT, date(2026, 11, 24), Language.FR)
    assert later["foot"] == "2026-11-24"
    other = replace(BROUGHT, media=3)
    assert "| 3/3 |" in page(other)
