"""The draw: what the seed shows is what anyone finds again."""

from tests.console.pages.test_journal import record_of
from tests.console.stand import Person, Stand, found_in, text_of, values_of

NUMBERS = "//tbody//th/a/@href"


def test_a_draw_is_made_again_from_its_address(
    stand: Stand, clara: Person, auditor: Person
) -> None:
    records = {f"/journal/{record_of(clara)}" for _ in range(4)}
    stand.indexed()
    asked = auditor.get("/journal/tirage?n=3&graine=nouvelle")
    assert asked.status_code == 303
    href = asked.headers["location"]
    one, two = auditor.get(href), auditor.get(href)
    drawn = values_of(one, NUMBERS)
    assert len(drawn) == 3
    assert drawn == values_of(two, NUMBERS)
    assert href in values_of(one, "//dl//a/@href")
    leaf = stand.leaves()[-1]
    assert b'"page":"tirage"' in leaf
    assert b"casemate.audit.search.v1" in leaf

    every = auditor.get(href.replace("n=3", "n=100"))
    assert records <= set(values_of(every, NUMBERS))
    assert "Moins de réponses que demandé" in text_of(every, "//main")
    for number in values_of(every, NUMBERS):
        assert b"llm.completion" in stand.leaves()[int(number.rsplit("/", 1)[1])]


def test_the_page_asks_how_many_and_draws_nothing_by_itself(
    stand: Stand, auditor: Person
) -> None:
    before = len(stand.leaves())
    page = auditor.get("/journal/tirage")
    assert page.status_code == 200
    assert not found_in(page, "//tbody")
    assert b"audit.search" not in b"".join(stand.leaves()[before:])


def test_a_draw_out_of_bounds_is_refused_or_empty(auditor: Person) -> None:
    for address in ("n=0", "n=101", "n=x", "graine=zz", "graine=" + "A" * 32, "de=-1"):
        assert auditor.get(f"/journal/tirage?{address}").status_code == 400, address
    page = auditor.get(f"/journal/tirage?graine={'a' * 32}&de=5&a=5")
    assert not found_in(page, "//tbody")


def test_who_sees_only_their_own_draws_nothing(clara: Person, operator: Person) -> None:
    assert clara.get("/journal/tirage").status_code == 403
    assert operator.get("/journal/tirage").status_code == 403
