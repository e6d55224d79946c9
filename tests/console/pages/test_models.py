"""Models and health, and the stop switch: anyone in charge stops, two people start again."""

import time

import pytest

from appliance.console.gateway import Health
from appliance.console.pages.models import LOOKS, offered_as
from appliance.identity.policy import Model
from tests.console.stand import Person, Stand, found_in, person, text_of, values_of

DONE = "//*[contains(@class, 'notice-ok')]"
LEAVE = "Quel est le délai de réponse à une demande de congé ?"


def test_parts_and_models_are_shown_with_their_state(operator: Person) -> None:
    page = operator.get("/modeles")
    assert page.status_code == 200
    parts = text_of(page, "//*[@id='sante']")
    for name in ("Passerelle", "Journal signé", "Base de données", "Identité", "Vecteurs"):
        assert name in parts
    assert text_of(page, "//h2[@id='m1']") == "chat"
    assert "cite mot pour mot" in page.text.replace("\u00a0", " ")


def test_health_looks_again_a_bounded_number_of_times(operator: Person) -> None:
    again = values_of(operator.get("/modeles"), "//*[@id='sante']/@*[name()='hx-get']")
    assert again == ["/modeles/sante?fois=2"]
    last = operator.get(f"/modeles/sante?fois={LOOKS}")
    assert "hx-get" not in last.text


def test_who_is_not_in_charge_has_no_page(clara: Person) -> None:
    for answer in (
        clara.get("/modeles"),
        clara.get("/modeles/sante"),
        clara.post("/modeles/arret"),
        clara.post("/modeles/reprise"),
    ):
        assert answer.status_code == 403


def test_the_operator_stops_and_may_not_start_again(stand: Stand, clara: Person) -> None:
    now = int(time.time())
    elevated = {"roles": ["rssi"], "groups": [], "acr": "2", "auth_time": now}
    with (
        person(stand, "m.delorme", roles=["exploitant"], groups=[]) as operator,
        person(stand, "rssi-1", **elevated) as one,
        person(stand, "rssi-2", **elevated) as two,
    ):
        stopped = operator.post("/modeles/arret", motif="essai")
        try:
            assert "toute génération est arrêtée" in text_of(stopped, DONE)
            refused = clara.ask(LEAVE)
            assert refused.status_code == 503
            assert "503 CM-MOD-05" in text_of(refused, "//article")
            assert text_of(refused, "//textarea") == LEAVE
            banner = clara.get("/recu")
            assert "arrêté par décision" in text_of(banner, "//*[@id='etat-service']")
            assert operator.post("/modeles/reprise").status_code == 403
            first = one.post("/modeles/reprise")
            assert "Votre accord est inscrit" in text_of(first, DONE)
            one.post("/modeles/reprise")
            assert clara.ask(LEAVE).status_code == 503, "the same person does not count twice"
        finally:
            second = two.post("/modeles/reprise")
        assert "le service reprend" in text_of(second, DONE)
    assert clara.ask(LEAVE).status_code == 200
    kinds = b"".join(stand.leaves())
    assert b"casemate.service.stop.v1" in kinds
    assert b"casemate.service.approve.v1" in kinds


def test_starting_again_asks_for_a_fresh_code(stand: Stand) -> None:
    with person(stand, "rssi-3", roles=["rssi"], groups=[], acr="1") as rssi:
        asked = rssi.post("/modeles/reprise")
    assert asked.status_code == 303
    assert asked.headers["location"] == "/connexion?retour=/modeles&langue=fr&confirmer=1"


@pytest.mark.parametrize(
    ("model", "health", "state"),
    [
        (Model("chat"), Health(engines={"m": "ready"}), "en service"),
        (Model("chat"), Health(engines={"m": "away"}), "injoignable"),
        (Model("chat"), Health(), "absent"),
        (Model("embed"), Health(vectors="warming"), "en préparation"),
        (Model("embed"), None, "pas encore demandé"),
    ],
)
def test_the_state_of_a_model_is_what_health_says(
    model: Model, health: Health | None, state: str
) -> None:
    assert offered_as("m", model, health).state == state


def test_the_page_offers_what_the_person_may_do(operator: Person) -> None:
    page = operator.get("/modeles")
    assert found_in(page, "//button[@data-open='confirmer-arret']")
    assert found_in(page, "//noscript//form | //dialog//form[@action='/modeles/arret']")
