from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID

from appliance.console.gateway import Given, Place
from appliance.console.problem import explain
from appliance.console.turn import (
    Turn,
    answered,
    highlighted,
    panel_of,
    paper,
    place_of,
    source,
)  # fmt: skip
from appliance.rag.document import PageText

AT = datetime(2026, 11, 23, tzinfo=UTC)
GIVEN = [Given(n, f"p{n}", f"d{n}", f"Note {n}", Place(n, "Durée"), n % 3) for n in range(1, 7)]
TURN = Turn("k", "Question ?", AT, sources=GIVEN, outcome="answer")


def page(text: str = "avant <b> après", start: int = 6, end: int = 9) -> PageText:
    return PageText(
        document=UUID(int=1), collection="notes", label=2, title="Note", kind="pdf",
        dated=date(2026, 3, 1), state="replaced", page=3, pages=7,
        section="Durée", text=text, start=start, end=end,
    )  # fmt: skip


def test_the_passage_is_marked_and_the_page_is_escaped() -> None:
    assert highlighted(page()) == 'avant <mark id="passage">&lt;b&gt;</mark> après'


def test_offsets_that_fit_no_text_mark_nothing() -> None:
    for start, end in ((0, 0), (5, 5), (-1, 3), (4, 99)):
        assert "<mark" not in highlighted(page(start=start, end=end))


def test_an_answer_is_drawn_and_its_citations_checked() -> None:
    turn = answered(TURN, "Deux mois [2], puis [9].", "Source %s")
    assert turn.cited == [2]
    assert 'href="/source/d2/p2"' in turn.html
    assert "[9]" in turn.html


def test_beside_an_answer_stand_the_passages_that_it_cites_in_their_order() -> None:
    turn = replace(TURN, cited=[4, 2])
    assert [given.n for given in turn.shown()] == [4, 2]


def test_beside_no_answer_stand_the_nearest_passages() -> None:
    for outcome in ("none", "nearby"):
        turn = replace(TURN, outcome=outcome)
        assert [given.n for given in turn.shown()] == [1, 2, 3, 4]


def test_a_source_leads_to_its_page_with_the_passage_marked() -> None:
    one = source(GIVEN[2], page(), "page %(page)s sur %(pages)s")
    assert one.href == f"/documents/notes/{UUID(int=1)}?passage=p3#passage"
    assert (one.place, one.page_text) == ("p.\u00a03 · Durée", "page 3 sur 7")
    assert (one.label, one.state_text) == (2, "remplacé")
    assert one.page is not None
    assert one.page.state_text == "remplacé"
    assert "<mark" in one.page.marked


def test_a_source_that_is_gone_has_no_page_and_no_link() -> None:
    one = source(GIVEN[0], None)
    assert (one.page, one.href, one.title) == (None, "", "Note 1")


def test_a_page_number_is_told_only_where_a_reader_knows_it() -> None:
    assert place_of(GIVEN[0], paged=False) == "Durée"


def test_the_panel_tells_the_labels_that_it_shows() -> None:
    panel = panel_of(replace(TURN, outcome="nearby"), [source(GIVEN[0], page())])
    assert (panel.key, panel.nearby, list(panel.labels)) == ("k", True, [2])
    assert paper(page()).end == 9


def test_an_answer_without_documents_is_said_to_be_one() -> None:
    assert replace(TURN, outcome="").ungrounded
    assert not TURN.ungrounded
    assert not replace(TURN, outcome="", documents=True).ungrounded
    assert not replace(TURN, outcome="", problem=explain("CM-BUD-02")).ungrounded
