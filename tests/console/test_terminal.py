"""The end of a request in the log: found after a stop, proved, and shown to whom it belongs."""

import re

import pytest

from appliance.console.records import read
from appliance.console.terminal import may_see
from appliance.identity.principal import Principal, Scope
from tests.audit import logs
from tests.console.stand import Person, Stand, text_of, values_of

LEAVE = "Quel est le délai de réponse à une demande de congé ?"


def who(subject: str, *scopes: Scope) -> Principal:
    return Principal(subject, subject, frozenset(), frozenset(scopes), (), 0)


@pytest.mark.parametrize(
    ("caller", "seen"),
    [
        (who("sub-of-agent", Scope.RECORDS_OWN), True),
        (who("another", Scope.RECORDS_OWN), False),
        (who("sub-of-agent"), False),
        (who("another", Scope.RECORDS_ALL), True),
    ],
    ids=["own", "another's", "no right", "all"],
)
def test_a_record_is_seen_by_its_owner_and_by_who_sees_all(
    stand: Stand, caller: Principal, *, seen: bool
) -> None:
    from appliance.console.language import Language  # noqa: PLC0415

    language = Language("fr", __import__("zoneinfo").ZoneInfo("Europe/Paris"))
    assert may_see(caller, read(logs.leaf(0, logs.completion(1)), language)) == seen
    del stand


def test_a_stopped_answer_is_kept_as_it_was_with_its_receipt(
    stand: Stand, clara: Person
) -> None:
    stand.engine.words, stand.engine.pause = ["Le chef ", "de ", "service ", "répond."], 0.4
    data = {"csrf": clara.session.csrf, "q": LEAVE, "collection": ["notes"]}
    text = ""
    with clara.http.stream("POST", "/question", data=data, headers={"hx-request": "true"}) as s:
        for chunk in s.iter_text():
            text += chunk
            if "Le chef" in text:
                break
    (address,) = set(re.findall(r'hx-get="(/question/demande/[^"]+)"', text))
    key = re.findall(r'id="tour-([0-9a-f]+)"', text)[0]
    page = clara.get(address.replace("&amp;", "&"))
    article = f"//article[@id='tour-{key}']"
    assert text_of(page, f"{article}//*[@class='answer']").startswith("Le chef")
    assert "arrêtée" in text_of(page, f"{article}//*[@class='turn-foot']")
    (receipt,) = values_of(page, f"{article}//a[contains(@href, '/recu')]/@href")
    assert clara.get(receipt).status_code == 200
    assert stand.engine.aborted


def test_the_end_of_somebody_elses_request_is_not_told(
    stand: Stand, clara: Person, auditor: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.console import terminal  # noqa: PLC0415
    from tests.console.stand import person  # noqa: PLC0415

    monkeypatch.setattr(terminal, "PATIENCE", 0.3)
    (href,) = values_of(clara.ask(LEAVE), "//article//a[contains(@href, '/recu')]/@href")
    record = href.split("/")[2]
    request = re.findall(r'"request":"([^"]+)"', stand.leaves()[int(record)].decode())[0]
    with person(stand, "b.dupont") as other:
        page = other.get(f"/question/demande/{request}?depuis=0&ancre=a")
    assert page.status_code == 200
    assert "Reçu" not in page.text
    assert auditor.get(f"/question/demande/{request}?depuis=0&ancre=a").status_code == 403
