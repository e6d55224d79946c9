from lxml import html

from appliance.console.drawing import fort, seal


def test_one_digest_has_one_seal_and_two_digests_two() -> None:
    assert seal("a") == seal("a")
    assert len({seal(str(n)) for n in range(50)}) == 50


def test_a_seal_is_one_decorative_drawing_without_style() -> None:
    drawn = html.fragment_fromstring(seal("4C6c2sfI", "seal-xl"))
    assert (drawn.tag, drawn.get("aria-hidden")) == ("svg", "true")
    assert drawn.get("class") == "seal seal-xl"
    assert not drawn.xpath("//@style")


def test_a_size_cannot_close_the_drawing() -> None:
    assert "<script" not in seal("a", '"><script>')


def test_the_plan_of_the_login_page_is_drawn() -> None:
    assert len(html.fragment_fromstring(fort()).xpath("//path")) == 17
