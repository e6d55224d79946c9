"""Asking, without JavaScript and as htmx does: the answer, what goes wrong, who may."""

import re
import uuid

import msgspec
import pytest

from appliance.console.pages.question import CHARACTERS
from appliance.identity.policy import Budget, Guards
from tests.console.stand import (
    Person,
    Stand,
    found_in,
    person,
    set_policy,
    text_of,
    values_of,
)  # fmt: skip
from tests.rag.library import Book

LEAVE = "Quel est le délai de réponse à une demande de congé ?"
BENCH = "Qui signe la fiche de consignation du banc ?"


def kinds(stand: Stand) -> list[str]:
    return [msgspec.json.decode(leaf)["event"]["type"] for leaf in stand.leaves()]


def test_a_question_is_answered_with_its_source_beside_it(clara: Person) -> None:
    page = clara.ask(LEAVE)
    assert page.status_code == 200
    assert text_of(page, "//article//h2") == LEAVE
    assert text_of(page, "//*[@class='answer']").startswith("Le chef de service répond dans")
    (link,) = found_in(page, "//*[@class='answer']//a[@class='cite']")
    (row,) = found_in(page, "//a[@class='source']")
    assert link.get("data-source") == row.get("id")
    assert row.get("href").startswith("/documents/notes/")
    assert text_of(page, "//mark").startswith("Article 4. Délai de réponse.")
    assert "Reçu signé nº" in text_of(page, "//*[@class='stub']")


def test_a_citation_leads_to_the_page_with_the_passage_marked(clara: Person) -> None:
    (href,) = values_of(clara.ask(LEAVE), "//*[@class='answer']//a[@class='cite']/@href")
    page = clara.http.get(href, follow_redirects=True)
    assert page.status_code == 200
    assert page.url.fragment == "passage"
    assert text_of(page, "//mark[@id='passage']").startswith("Article 4. Délai de réponse.")


def test_the_marking_is_the_highest_of_what_is_displayed(stand: Stand, clara: Person) -> None:
    stand.engine.words = ["Le chargé de consignation signe [1]."]
    page = clara.ask(BENCH, "procedures")
    band = "//*[@id='marquage']"
    assert "marking-2" in values_of(page, f"{band}/@class")[0]
    assert "DIFFUSION RESTREINTE" in text_of(page, band)


def test_a_conversation_is_kept_and_opens_again(clara: Person) -> None:
    address = values_of(clara.ask(LEAVE), "//*[@id='entete']/@data-url")[0]
    page = clara.get(address)
    assert text_of(page, "//article//h2") == LEAVE
    assert "quinze jours" in text_of(page, "//*[@class='answer']")
    assert text_of(page, "//*[@id='recentes']//a") == LEAVE
    assert address in values_of(clara.get("/historique"), "//nav[@class='rows']/a/@href")


def test_a_conversation_of_somebody_else_is_as_one_that_does_not_exist(
    stand: Stand, clara: Person
) -> None:
    address = values_of(clara.ask(LEAVE), "//*[@id='entete']/@data-url")[0]
    with person(stand, "b.dupont") as other:
        theirs, absent = other.get(address), other.get(f"/question/{uuid.uuid4()}")
    assert theirs.status_code == absent.status_code == 404
    assert _without_seal(theirs.text) == _without_seal(absent.text)


def test_what_the_documents_do_not_say_is_not_answered(clara: Person) -> None:
    page = clara.ask("Quel est le calibre du véhicule Vulcain 4312 ?")
    assert page.status_code == 200
    assert "Je ne trouve pas de réponse" in text_of(page, "//*[@class='answer']")
    assert "Aucun passage ne répond" in text_of(
        page, "//article//*[contains(@class, 'notice')]"
    )
    assert "Reçu signé" in text_of(page, "//*[@class='stub']")


@pytest.mark.parametrize("slug", ["direction", "absente"])
def test_a_hidden_collection_and_an_absent_one_are_refused_alike(
    clara: Person, slug: str
) -> None:
    page = clara.ask(LEAVE, slug)
    assert page.status_code == 404
    assert "404 CM-DOC-01" in text_of(page, "//article")
    assert text_of(page, "//textarea") == LEAVE, "the question is not lost"


def test_the_text_of_a_question_that_was_refused_stays_in_its_field(
    stand: Stand, clara: Person
) -> None:
    set_policy(stand.site, guards=Guards({"iban": "refuse"}, {}))
    question = "Le virement part-il de FR76 3000 6000 0112 3456 7890 189 ?"
    try:
        _until(clara, question, 403)
        page = clara.ask(question)
    finally:
        set_policy(stand.site)
        _until(clara, question, 200)
    assert "CM-FIL-" in text_of(page, "//article")
    assert text_of(page, "//textarea") == question


def test_a_budget_that_is_used_up_is_told_with_what_to_do(stand: Stand) -> None:
    name = f"pauvre-{uuid.uuid4().hex[:8]}"
    _limit(stand, f"user:{name}")
    with person(stand, name) as poor:
        page = poor.ask(LEAVE)
    assert page.status_code == 402
    assert "402 CM-BUD-02" in text_of(page, "//article")
    assert text_of(page, "//textarea") == LEAVE


def test_htmx_gets_the_answer_as_fragments_that_grow(stand: Stand, clara: Person) -> None:
    stand.engine.words = ["Deux mois ", "[1].\n\n", "Puis ", "rien <b>."]
    events = _events(clara.ask(LEAVE, htmx=True))
    assert 'aria-busy="true"' in events[0]
    assert "data-stop" in events[0]
    assert re.search(r'hx-get="/question/demande/[A-Za-z0-9_-]+\?depuis=\d+', events[1])
    grown = "".join(events[2:-1])
    assert 'class="cite"' in grown
    assert "<b>" not in grown
    assert "< b" in grown.replace("&lt;", "<")
    for target in ("#sources", "#entete", "#q", "#recentes", "#annonce"):
        assert f'hx-target="{target}"' in events[-1]
    assert "aria-busy" not in events[-1]


def test_the_marking_rises_with_the_content_and_not_after_it(stand: Stand) -> None:
    with person(stand, f"neuve-{uuid.uuid4().hex[:6]}") as fresh:
        stand.engine.words = ["Le chargé ", "de consignation [1]."]
        events = _events(fresh.ask(BENCH, "procedures", htmx=True))
    first = next(e for e in events if "Le chargé" in e)
    assert "marking-0" in events[0]
    assert "marking-2" in first
    assert first.index("marking-2") < first.index("Le chargé")


def test_a_problem_in_a_stream_leaves_the_field_as_it_is(clara: Person) -> None:
    events = _events(clara.ask(LEAVE, "absente", htmx=True))
    assert "CM-DOC-01" in events[-1]
    assert 'hx-target="#q"' not in events[-1]


def test_what_is_written_by_documents_and_models_is_inert(stand: Stand) -> None:
    name, slug = f"x-{uuid.uuid4().hex[:6]}", f"pieges-{uuid.uuid4().hex[:6]}"
    hostile = "</mark></div><script>alert(1)</script><img src=x onerror=alert(2)> piège"
    stand.declare(slug, 0, methodes=True)
    stand.put(Book(slug, 'Titre "><script>alert(3)</script>', (hostile,)))
    stand.engine.words = [hostile, " [1]", " [a](javascript:alert(4))"]
    with person(stand, name) as someone:
        pages = [
            someone.ask("Quel piège <script>alert(5)</script> ?", slug),
            someone.get(f"/documents/{slug}"),
            someone.get("/historique"),
            someone.get("/question"),
        ]
        href = values_of(pages[0], "//*[@class='answer']//a[@class='cite']/@href")
        pages += [someone.http.get(href[0], follow_redirects=True)] if href else []
    for page in pages:
        assert page.status_code == 200
        scripts = found_in(page, "//script")
        assert all(script.get("src", "").startswith("/static/") for script in scripts)
        assert found_in(page, "//img") == []
        assert found_in(page, "//@onerror | //@style") == []
        assert not [h for h in values_of(page, "//@href") if h.startswith("javascript:")]


def test_a_question_needs_the_right_to_ask(operator: Person) -> None:
    assert operator.get("/question").status_code == 403
    assert operator.ask(LEAVE).status_code == 403


def test_an_empty_question_and_one_too_long(clara: Person) -> None:
    assert clara.ask("   ").status_code == 303
    assert clara.ask("x" * (CHARACTERS + 1)).status_code == 400


def test_who_belongs_to_several_teams_chooses_who_pays(stand: Stand) -> None:
    groups = ["/equipes/methodes", "/equipes/rh"]
    with person(stand, "deux-equipes", groups=groups) as both:
        offered = values_of(both.get("/question"), "//select[@name='equipe']/option/@value")
        refused = both.ask(LEAVE)
        answered = both.post("/question", q=LEAVE, collection=["notes"], equipe=groups[1])
    assert offered == groups
    assert "CM-DRT-02" in text_of(refused, "//article")
    assert answered.status_code == 200


def test_suggestions_carry_no_marking(clara: Person) -> None:
    page = clara.get("/question")
    starters = [b.text_content() for b in found_in(page, "//button[@class='starter']")]
    assert "Note sur les congés" in str(starters)
    assert "PO-217" not in str(starters)


def test_a_question_of_the_visit_waits_to_be_sent(clara: Person) -> None:
    page = clara.get("/question?visite=1&q=Qui%20signe%20%3F")
    assert text_of(page, "//textarea") == "Qui signe ?"
    assert "/visite" in values_of(page, "//*[contains(@class, 'visit-bar')]//a/@href")


def _events(response: object) -> list[str]:
    text = response.text  # type: ignore[attr-defined]
    events = [event for event in text.split("\n\n") if event.startswith("data:")]
    return ["\n".join(line[6:] for line in event.split("\n")) for event in events]


def _without_seal(page: str) -> str:
    """Return a page without what changes from one moment to the next."""
    page = re.sub(r'<div id="journal-pied">.*?</div>', "", page, flags=re.DOTALL)
    page = re.sub(r'data-until="\d+"', "", page)
    return re.sub(r'name="csrf" value="[^"]+"', "", page)


def _until(who: Person, question: str, status: int) -> None:
    """Wait until the gateway has noticed the policy: it looks at the file now and then."""
    for _ in range(200):
        if who.ask(question).status_code == status:
            return
    raise AssertionError(f"no answer with {status}")


def _limit(stand: Stand, budget: str) -> None:
    """Give a budget no token."""
    from appliance.audit.client import RecorderClient, new_id  # noqa: PLC0415
    from appliance.audit.event import BudgetChange  # noqa: PLC0415

    async def work() -> None:
        recorder = RecorderClient(stand.site.log.socket, "test-site")
        await recorder.connect()
        wanted = Budget(budget, "day", 1)
        event = BudgetChange(
            actor="site", budget=wanted.key, hard=True, id=new_id(), limit=1, period="day"
        )
        await recorder.append(event)
        await recorder.close()

    stand.loop.run(work())
