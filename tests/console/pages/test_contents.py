"""Two people open one content: each agrees with a code of a moment ago, it is shown once."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.audit.reading.frame import Given
from appliance.console.pages.contents import wish_of
from tests.console.stand import Person, Stand, found_in, person, text_of, values_of

LEAVE = "Quel est le délai de réponse à une demande de congé ?"
BENCH = "Quand le banc B-07 est-il consigné ?"


def elevated(role: str) -> dict[str, Any]:
    return {"roles": [role], "groups": [], "acr": "2", "auth_time": int(time.time())}


@pytest.fixture
def ines(stand: Stand) -> Iterator[Person]:
    with person(stand, "i.bonnard", **elevated("auditeur")) as signed_in:
        yield signed_in


@pytest.fixture
def rene(stand: Stand) -> Iterator[Person]:
    with person(stand, "r.lambert", **elevated("rssi")) as signed_in:
        yield signed_in


def record_of(who: Person, question: str = LEAVE, *collections: str) -> int:
    asked = who.ask(question, *collections)
    (href,) = values_of(asked, "//article//a[contains(@href, '/recu')]/@href")
    time.sleep(0.6)  # the content is written behind
    return int(re.findall(r"\d+", href)[0])


def agree(who: Person, record: int) -> None:
    page = who.post(f"/contenus/{record}/accord", motif="Plainte 12")
    assert page.status_code == 303
    assert "Votre accord" in text_of(who.get(page.headers["location"]), "//main")


def test_one_asks_the_other_finds_it_and_the_text_is_shown_once(
    stand: Stand, clara: Person, ines: Person, rene: Person
) -> None:
    record = record_of(clara)
    sealed = ines.get(f"/contenus/{record}")
    assert "Le contenu n’est pas affiché" in text_of(sealed, "//main")
    assert LEAVE not in sealed.text
    agree(ines, record)
    assert not found_in(ines.get(f"/contenus/{record}"), "//form[contains(@action, 'lecture')]")
    waiting = text_of(rene.get("/contenus"), f"//tr[.//a[@href='/contenus/{record}']]")
    assert "i.bonnard, auditeur" in waiting
    assert "Plainte 12" in waiting
    assert waiting.endswith("RSSI")
    agree(rene, record)
    opened = rene.post(f"/contenus/{record}/lecture")
    assert opened.status_code == 200
    assert text_of(opened, "//section[1]/pre") == LEAVE
    assert "quinze jours" in text_of(opened, "//section[2]/pre")
    assert opened.headers["cache-control"] == "no-store"
    again = rene.post(f"/contenus/{record}/lecture")
    assert again.status_code == 403
    assert "CM-JRN-51" in again.text
    assert LEAVE not in again.text
    read = [leaf for leaf in stand.leaves() if b"content.read" in leaf]
    assert f'"record":{record}'.encode() in read[-1]


def test_a_word_needs_a_code_of_a_moment_ago(stand: Stand, clara: Person) -> None:
    record = record_of(clara)
    with person(stand, "i.vieux", **(elevated("auditeur") | {"auth_time": 1})) as someone:
        sent = someone.post(f"/contenus/{record}/accord", motif="Plainte 12")
        assert sent.status_code == 303
        assert sent.headers["location"].startswith("/connexion?retour=/contenus&")
        assert sent.headers["location"].endswith("confirmer=1")


def test_a_word_without_a_reason_is_refused_on_the_page(clara: Person, ines: Person) -> None:
    record = record_of(clara)
    answer = ines.post(f"/contenus/{record}/accord", motif=" ")
    assert answer.status_code == 400
    assert "CM-NET-01" in answer.text


def test_who_is_not_cleared_agrees_and_reads_nothing(
    stand: Stand, clara: Person, ines: Person
) -> None:
    record = record_of(clara, BENCH, "procedures")
    with person(stand, "r.bas", **elevated("rssi"), clearance=[1]) as low:
        agree(ines, record)
        agree(low, record)
        assert "au-dessus de votre habilitation" in low.get(f"/contenus/{record}").text
        assert low.post(f"/contenus/{record}/lecture").status_code == 403
    assert BENCH in ines.post(f"/contenus/{record}/lecture").text


def test_users_and_operators_have_no_page(clara: Person, operator: Person) -> None:
    record = record_of(clara)
    for who in (clara, operator):
        for answer in (
            who.get("/contenus"), who.get(f"/contenus/{record}"),
            who.post(f"/contenus/{record}/accord", motif="x"),
            who.post(f"/contenus/{record}/lecture"),
        ):  # fmt: skip
            assert answer.status_code == 403


def test_a_record_without_content_has_no_page(ines: Person) -> None:
    for path in ("/contenus/0", "/contenus/999999999"):
        assert ines.get(path).status_code == 404
        assert ines.post(f"{path}/accord", motif="x").status_code == 404


def given(index: int, role: str, actor: str, record: int = 7) -> Given:
    return Given(index, record, actor, actor, role, f"motif {index}", 1_800_000_000_000_000)


def test_the_latest_word_of_each_role_counts() -> None:
    words = [given(1, "rssi", "rene"), given(2, "rssi", "rita"), given(3, "rssi", "x", 8)]
    wish = wish_of(7, words, "rita")
    assert [(word.name, word.reason) for word in wish.words] == [("rita", "motif 2")]
    assert (wish.missing, wish.mine, wish.complete) == (("auditeur",), True, False)
    assert wish.words[0].until == datetime(2027, 1, 15, 8, 15, tzinfo=UTC)
    both = wish_of(7, [*words, given(4, "auditeur", "ines")], "rene")
    assert (both.complete, both.mine) == (True, False)
