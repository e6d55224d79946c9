"""The guided visit: its steps follow what was done; a changed byte is caught and named."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.console.language import Language
from appliance.console.pages.visit import verify_copy
from appliance.console.records import read
from tests.audit import logs
from tests.console.stand import Person, Stand, found_in, person, values_of

LEAVE = "Quel est le délai de réponse à une demande de congé ?"


def done(page: object) -> list[bool]:
    steps = found_in(page, "//ol[@class='visit']/li")  # type: ignore[arg-type]
    return ["is-done" in (step.get("class") or "") for step in steps]


def test_each_step_is_done_by_doing_it(stand: Stand) -> None:
    stand.engine.words = ["Dans un délai de quinze jours [1]."]
    with person(stand, "visiteuse") as someone:
        first = someone.get("/visite")
        assert done(first) == [False] * 5
        assert someone.post("/visite/copie").status_code == 404, "there is no answer yet"
        someone.ask(LEAVE)
        page = someone.get("/visite")
        assert done(page) == [True, False, False, False, False]
        source, receipt = values_of(page, "//ol[@class='visit']//a/@href")[:2]
        someone.http.get(source, follow_redirects=True)
        assert done(someone.get("/visite")) == [True, True, False, False, False]
        someone.ask("Quel est le calibre du véhicule Vulcain 4312 ?")
        assert someone.get(receipt).status_code == 200
        assert done(someone.get("/visite")) == [True, True, True, True, False]
        last = someone.post("/visite/copie")
    assert done(last) == [True] * 5
    assert found_in(last, "//li[@aria-current]") == []


def test_the_verdict_names_the_record_that_was_changed_and_no_other(clara: Person) -> None:
    (href,) = values_of(clara.ask(LEAVE), "//article//a[contains(@href, '/recu')]/@href")
    number = re.findall(r"\d+", href)[0]
    page = clara.post("/visite/copie")
    verdicts = [
        " ".join(li.text_content().split())
        for li in found_in(page, "//ul[@id='verdict-copie']/li")
    ]
    refused = [v for v in verdicts if "refusé" in v]
    assert len(refused) == 1
    assert f"Enregistrement nº {number} : refusé" in refused[0].replace("\u00a0", " ")
    assert len(verdicts) > 1
    assert clara.get(f"/journal/{number}").status_code == 200, "the log itself is untouched"


def test_who_may_not_ask_has_no_visit(auditor: Person) -> None:
    assert auditor.get("/visite").status_code == 403
    assert auditor.post("/visite/copie").status_code == 403


def test_the_questions_of_the_visit_are_sent_to_the_page_that_streams(clara: Person) -> None:
    forms = found_in(clara.get("/visite"), "//ol[@class='visit']//form[@action='/question']")
    assert [form.get("method") for form in forms] == ["get", "get"]


@pytest.mark.usefixtures("assets")
@given(st.integers(0, 10_000))
def test_whichever_byte_is_changed_it_is_caught(at: int) -> None:
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    from appliance.audit import note  # noqa: PLC0415
    from appliance.audit.checkpoint import Checkpoint  # noqa: PLC0415
    from appliance.audit.proof import Proof  # noqa: PLC0415
    from appliance.audit.tree import leaf_hash  # noqa: PLC0415

    stored = logs.leaf(0, logs.completion(1))
    head = Checkpoint(logs.ORIGIN, 1, leaf_hash(stored))
    proof = Proof(0, (), note.sign(head.text(), logs.SIGNER).to_bytes())
    record = read(stored, Language("fr", ZoneInfo("Europe/Paris")))
    verifier = logs.SIGNER.verifier
    assert verify_copy(record, proof, [verifier], None).refused == ""
    caught = verify_copy(record, proof, [verifier], at)
    assert caught.refused
    assert caught.before != caught.after
    assert base64.b64encode(leaf_hash(stored)).decode() not in caught.refused
