from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from appliance.audit.event import Kind, fact
from appliance.console.language import Language
from appliance.console.records import Record, facts, names_in, read, thread
from appliance.errors import FormatError
from tests.audit import logs

FRENCH = Language("fr", ZoneInfo("Europe/Paris"))
ENGLISH = Language("en", ZoneInfo("Europe/Paris"))


def record(index: int, event: object, language: Language = FRENCH) -> Record:
    return read(logs.leaf(index, event), language)  # type: ignore[arg-type]


def test_a_leaf_is_told_in_words_with_its_digest() -> None:
    one = record(7, logs.completion(1))
    assert (one.index, one.title, one.result, one.kind) == (
        7,
        "Réponse achevée",
        "achevée",
        "ok",
    )
    assert (one.actor, one.label, one.ends) == ("sub-of-agent", 1, True)
    assert one.at == datetime.fromtimestamp((logs.START + 7 * 20_000) / 1e6, UTC)
    assert len(one.leaf) == 44
    assert one.about == "300\u00a0jetons"
    assert one.text.startswith('{"at":')


def test_what_it_is_about_depends_on_its_type() -> None:
    assert record(0, logs.intent(1)).about == "extraits, 900\u00a0jetons réservés"
    assert record(0, logs.intent(1), ENGLISH).about == "extraits, 900 tokens reserved"
    assert record(0, logs.budget(5)).about == "site, 5\u00a0jetons"
    gone = fact(Kind.SERVICE_DEGRADED, "gateway-0", "e" * 20, part="engine x", secret="no")
    assert record(0, gone).about == "engine x"


@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_each_type_has_a_title_and_an_icon(kind: Kind) -> None:
    one = record(0, fact(kind, "a", "e" * 20))
    assert one.title
    assert one.icon.startswith("icon:")


def test_the_sheet_names_what_the_record_holds_and_no_text() -> None:
    rows = dict(facts(record(3, logs.completion(1)), FRENCH))
    assert rows["Marquage"].label == 1
    assert rows["Issue"].text == "réponse étayée"
    assert rows["Contenu"].text == "chiffré, hors du journal"
    assert rows["Demande"].mono
    assert logs.ANSWER not in str(rows)


def test_a_thread_holds_the_events_of_one_request_in_order() -> None:
    records = [record(n, e) for n, e in enumerate(
        [logs.budget(), logs.intent(1), logs.intent(2), logs.completion(1)])]  # fmt: skip
    assert [one.index for one in thread(list(reversed(records)), records[3])] == [1, 3]
    assert thread(records, records[0]) == [records[0]]


def test_people_are_named_by_their_sign_ins() -> None:
    login = fact(Kind.AUTH_LOGIN, "sub-1", "e" * 20, name="c.vasseur")
    other = fact(Kind.KEY_ISSUE, "sub-2", "f" * 20, name="gmao")
    assert names_in([record(0, login), record(1, other)]) == {"sub-1": "c.vasseur"}


def test_bytes_that_are_no_leaf_are_refused() -> None:
    with pytest.raises(FormatError):
        read(b'{"at":1}', FRENCH)


def test_a_key_of_the_reader_is_not_told_as_one_of_an_application() -> None:
    issued = fact(Kind.KEY_ISSUE, "reader", "event-0000000002", use="content", month="2026-11")
    own = fact(Kind.KEY_ISSUE, "ana", "event-0000000003", name="gmao")
    titles = [record(index, event).title for index, event in enumerate((issued, own))]
    assert titles == ["Clé de lecture du mois créée", "Clé d’application créée"]
