import pytest

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
