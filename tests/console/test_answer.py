import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from appliance.console.answer import Growing, Links, blocks, cited, unbroken

LINKS = Links("t1", {1: "/source/a/b", 2: "/source/c/d"}, "Source %s")
ALLOWED = {
    "p", "ol", "ul", "li", "strong", "em", "code", "pre", "a", "span", "div", "table", "thead",
    "tbody", "tr", "th", "td", "br", "blockquote",
}  # fmt: skip
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[lien](javascript:alert(1))",
    "![image](http://ailleurs.example/x.png)",
    "<http://ailleurs.example>",
    "[a]: http://ailleurs.example\n\n[a]",
    "**gras <b onclick=x>**",
    '</div></article><form action="http://ailleurs.example">',
    "| a | <svg onload=x> |\n|---|---|\n| b | c |",
    "```\n</code><script>x</script>\n```",
    "&lt;script&gt;",
    "<hx-partial hx-target='#q'>x</hx-partial>",
]


def parsed(markup: str) -> html.HtmlElement:
    return html.fragment_fromstring(f"<main>{markup}</main>")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_a_model_writes_stays_inert(text: str) -> None:
    root = parsed(blocks(text, LINKS))
    assert {e.tag for e in root.iter()} - {"main"} <= ALLOWED
    for element in root.iter():
        assert not [name for name in element.attrib if name.startswith(("on", "hx-", "style"))]
        assert element.get("href", "/source/a/b") in LINKS.hrefs.values()
        assert "src" not in element.attrib


@given(st.text(alphabet="<>&\"'[]()!*_`|-#\n ab1:/=", max_size=200))
def test_no_text_becomes_an_element_of_its_own(text: str) -> None:
    root = parsed(blocks(text, LINKS))
    assert {e.tag for e in root.iter()} - {"main"} <= ALLOWED


def test_a_citation_is_a_link_only_when_its_passage_was_given() -> None:
    root = parsed(blocks("Deux mois [1], peut-être trois [9].", LINKS))
    assert [a.get("href") for a in root.iter("a")] == ["/source/a/b"]
    assert "[9]" in root.text_content()
    (link,) = root.iter("a")
    assert (link.get("data-source"), link.get("aria-label")) == ("source-t1-1", "Source 1")


def test_a_citation_does_not_part_from_its_word() -> None:
    root = parsed(blocks("Un délai de deux mois [1][2].", LINKS))
    (glued,) = (e for e in root.iter("span"))
    assert glued.get("class") == "nowrap"
    assert glued.text_content().startswith("mois\u00a0")
    assert [a.text for a in glued.iter("a")] == ["1", "2"]


def test_lists_tables_emphasis_and_code_are_drawn() -> None:
    text = (
        "1. un\n2. **deux**\n\n- a\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n# T\n\n```\nx < y\n```"
    )
    root = parsed(blocks(text, LINKS))
    assert {"ol", "ul", "table", "strong", "pre"} <= {e.tag for e in root.iter()}
    assert not [e for e in root.iter() if re.fullmatch(r"h\d", str(e.tag))]
    assert root.xpath("//pre/code/text()") == ["x < y\n"]
    assert root.xpath("//th/@scope") == ["col", "col"]


def test_citations_are_counted_once_in_their_order() -> None:
    assert cited("a [2] b [1] c [2] d [7]", {1: "", 2: ""}) == [2, 1]


def test_a_reference_does_not_break_at_its_hyphen() -> None:
    assert unbroken("voir PO-217 <b>") == 'voir <span class="nowrap">PO-217</span> &lt;b&gt;'


def test_blocks_close_at_an_empty_line_and_never_inside_a_fence() -> None:
    growing = Growing(LINKS)
    assert growing.feed("Un ") == ("", "Un ")
    assert growing.feed("texte\n") == ("", "Un texte\n")
    closed, opened = growing.feed("\nautre [1]")
    assert (parsed(closed).text_content().strip(), opened) == ("Un texte", "autre [1]")
    closed, opened = growing.feed("\n\n```\na\n\nb")
    assert "href" in closed
    assert opened == "```\na\n\nb"
    closed, opened = growing.feed("\n```\n\nfin")
    assert "<pre" in closed
    assert opened == "fin"


@given(st.lists(st.text(alphabet="ab[1]\n`*", max_size=12), max_size=12))
def test_however_a_stream_is_cut_its_blocks_are_those_of_the_whole(parts: list[str]) -> None:
    growing, drawn, opened = Growing(LINKS), "", ""
    for part in parts:
        closed, opened = growing.feed(part)
        drawn += closed
    whole = "".join(parts)
    assert growing.text == whole
    assert whole.endswith(opened)
    if whole.count("```") == 0:
        assert "\n\n" not in opened
    assert parsed(drawn).text_content().count("<") == 0
