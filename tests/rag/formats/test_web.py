import pytest

from appliance.rag.formats import web
from appliance.rag.parsed import Reason, UnreadableError
from tests.rag import samples


def text_of(page: str) -> str:
    return "\n\n".join(sheet.text for sheet in web.read(page).pages)


def test_what_a_reader_does_not_see_is_left_out() -> None:
    parsed = web.read(samples.html().decode())
    text = "".join(page.text for page in parsed.pages)
    assert "invisible" not in text
    assert "color" not in text
    assert "Refus | deux mois" in text
    assert parsed.meta == {"reference": "NS-12"}


@pytest.mark.parametrize(
    ("page", "text"),
    [
        pytest.param("<p>un <b>mot</b>  gras</p>", "un mot gras", id="inline"),
        pytest.param("<p>un<p>deux", "un\n\ndeux", id="tags left open"),
        pytest.param("un<br>deux", "un\ndeux", id="line break"),
        pytest.param("<ul><li>un<li>deux</ul>", "• un\n\n• deux", id="list"),
        pytest.param("<pre>a\n  b</pre>", "a\nb", id="verbatim"),
        pytest.param("<p>caf&eacute; &amp; th&#233;</p>", "café & thé", id="references"),
        pytest.param("<!-- caché --><p>vu</p><!-- caché -->", "vu", id="comments"),
        pytest.param("<p>a</p><svg><text>b</text></svg>c", "a\n\nc", id="drawing"),
        pytest.param('<meta charset="utf-16"><p>été</p>', "été", id="a false declaration"),
        pytest.param("<p>" + "<b>" * 150 + "x", "x", id="nested, within measure"),
    ],
)
def test_pages_read_as_they_show(page: str, text: str) -> None:
    assert text_of(page) == text


def test_entities_of_a_page_open_no_file() -> None:
    page = '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>a &x; b</p>'
    assert "root:" not in text_of(page)


@pytest.mark.parametrize("depth", [201, 100_000])
def test_nesting_without_measure_is_refused(depth: int) -> None:
    with pytest.raises(UnreadableError) as caught:
        web.read("<div>" * depth + "x")
    assert caught.value.reason is Reason.TOO_COMPLEX
