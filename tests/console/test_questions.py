"""Document mode: without an engine the console searches and quotes, and comes back."""

import signal
from collections.abc import Iterator

import pytest

from tests.console.stand import Person, Stand, text_of, values_of

LEAVE = "Quel est le délai de réponse à une demande de congé ?"


@pytest.fixture
def without_engine(stand: Stand) -> Iterator[None]:
    stand.loop.run(stand.engine.stop())
    try:
        yield
    finally:
        stand.loop.run(stand.engine.start())


def asked(who: Person, *collections: str) -> tuple[int, str, str]:
    page = who.ask(LEAVE, *collections)
    return page.status_code, text_of(page, "//article"), page.text


@pytest.mark.usefixtures("without_engine")
def test_sentences_are_quoted_with_their_source_and_the_search_is_on_record(
    stand: Stand, clara: Person
) -> None:
    page = clara.ask(LEAVE)
    assert page.status_code == 200
    assert "Mode documents : phrases citées mot pour mot" in text_of(page, "//article")
    assert "dans un délai de quinze jours" in text_of(page, "//*[@class='answer']")
    assert text_of(page, "//mark").startswith("Article 4.")
    searches = [leaf for leaf in stand.leaves()[-4:] if b"casemate.rag.retrieve.v1" in leaf]
    assert b'"mode":"documents"' in searches[-1]


@pytest.mark.usefixtures("without_engine")
def test_what_is_hidden_stays_hidden_in_document_mode(clara: Person) -> None:
    for slug in ("direction", "absente"):
        status, article, text = asked(clara, slug)
        assert status == 404
        assert "CM-DOC-01" in article
        assert "Secret de la direction" not in text


@pytest.mark.usefixtures("without_engine")
def test_document_mode_does_not_invent_either(clara: Person) -> None:
    page = clara.ask("Quel est le calibre du véhicule Vulcain 4312 ?")
    assert "Je ne trouve pas de réponse" in text_of(page, "//*[@class='answer']")


def test_the_model_answers_again_by_itself(stand: Stand, clara: Person) -> None:
    stand.loop.run(stand.engine.stop())
    assert "Mode documents" in asked(clara)[1]
    stand.loop.run(stand.engine.start())
    article = ""
    for _ in range(100):
        if "Mode documents" not in (article := asked(clara)[1]):
            break
    assert "Le chef de service répond dans" in article


def test_an_answer_that_breaks_off_keeps_what_was_written(stand: Stand, clara: Person) -> None:
    stand.engine.cut_after = 2
    try:
        page = clara.ask(LEAVE)
    finally:
        stand.engine.cut_after = None
    assert "Le chef de service répond" in text_of(page, "//*[@class='answer']")
    assert "interrompue" in text_of(page, "//*[@class='turn-foot']")


def test_without_the_log_nothing_is_searched(stand: Stand, clara: Person) -> None:
    kept = values_of(clara.ask(LEAVE), "//*[@id='entete']/@data-url")[0].split("/")[2]
    stand.site.recorder.send_signal(signal.SIGSTOP)  # it is there and does not answer
    try:
        page = clara.ask(LEAVE)
        again = clara.post(
            "/question", htmx=True, q=LEAVE, collection=["notes"], conversation=kept
        )
        empty, past = clara.get("/question"), clara.get("/historique")
    finally:
        stand.site.recorder.send_signal(signal.SIGCONT)
    assert "503 CM-JRN-01" in again.text
    assert "hx-swap-oob" not in again.text, "the marking of what is displayed does not fall"
    assert empty.status_code == 200
    assert "journal signé n’accepte plus" in text_of(empty, "//*[@id='etat-service']")
    assert past.status_code == 503
    assert page.status_code == 503
    assert "503 CM-JRN-01" in text_of(page, "//article")
    assert text_of(page, "//textarea") == LEAVE
