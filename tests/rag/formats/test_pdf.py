import pytest
from fpdf import FPDF

from appliance.rag.formats import pdf
from tests.rag import samples


def test_pages_are_those_of_the_document() -> None:
    parsed = pdf.read(samples.pdf(pages=3))
    assert len(parsed.pages) == 3
    assert samples.NEEDLE in parsed.pages[1].text
    assert [len(page.sections) for page in parsed.pages] == [0, 1, 0]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        pytest.param(
            "Le régle-\r\nment est ici.",
            "Le règlement".replace("è", "é") + " est ici.",
            id="broken word",
        ),
        pytest.param(
            "Le service de la mairie\nouvre à midi.",
            "Le service de la mairie ouvre à midi.",
            id="prose",
        ),
        pytest.param(
            "Fin de phrase.\nAutre phrase.",
            "Fin de phrase.\nAutre phrase.",
            id="end of a sentence",
        ),
        pytest.param(
            "Une liste assez longue\n- un\n- deux",
            "Une liste assez longue\n- un\n- deux",
            id="list",
        ),
        pytest.param("Article\n1. Objet", "Article\n1. Objet", id="numbered"),
        pytest.param("Nord-\nEst", "Nord-Est", id="a hyphen of its own"),
        pytest.param("a\n\n\n\nb", "a\n\nb", id="blank lines"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_lines_become_paragraphs(lines: str, text: str) -> None:
    assert pdf.reflow(lines) == text


@pytest.mark.parametrize(
    ("target", "page"),
    [pytest.param(2, 2, id="its page"), pytest.param(1, 2, id="moved to the next page")],
)
def test_a_heading_is_where_its_words_are(target: int, page: int) -> None:
    document = FPDF()
    document.set_font("Helvetica", size=12)
    for number in (1, 2):
        document.add_page()
        if number == target:
            document.start_section("Voies de recours")
        text = "Un texte." if number == 1 else "Une suite. Voies de recours. Le recours."
        document.multi_cell(0, 8, text)
    parsed = pdf.read(bytes(document.output()))
    assert [len(p.sections) for p in parsed.pages] == [int(n == page) for n in (1, 2)]
    (section,) = parsed.pages[page - 1].sections
    assert parsed.pages[page - 1].text[section.at :].startswith("Voies de recours")


def test_a_heading_without_words_follows_the_one_before() -> None:
    document = FPDF()
    document.set_font("Helvetica", size=12)
    document.add_page()
    for title in ("Première partie", "Titre absent", "Seconde partie"):
        document.start_section(title)
    document.multi_cell(
        0, 8, "Un avant-propos. Première partie. Un texte. Seconde partie. Fin."
    )
    (page,) = pdf.read(bytes(document.output())).pages
    first, second = page.text.index("Première"), page.text.index("Seconde")
    assert [section.at for section in page.sections] == [first, first, second]
    assert page.sections[1].title == "Titre absent"
