from zoneinfo import ZoneInfo

from appliance.audit.anchored import KINDS as ADMITTED
from appliance.audit.event import FACTS, NO_TEXT, Kind, fact
from appliance.console.language import Language
from appliance.console.records import Record, read
from appliance.console.trail.anchors import KINDS, anchors_in, latest
from tests.audit.logs import event_id, leaf

FRENCH = Language("fr", ZoneInfo("Europe/Paris"))


def record(index: int, kind: str, size: int, at: int = 1_795_420_800) -> Record:
    data: dict[str, str | int] = {
        "kind": kind, "size": size, "at": at, "digest": NO_TEXT, "name": "rssi.example/w1",
    }  # fmt: skip
    anchor = FACTS[Kind.AUDIT_ANCHOR](actor="feeder", id=event_id(index, "a"), data=data)
    return read(leaf(index, anchor), FRENCH)


def test_each_kind_that_the_recorder_admits_has_a_name_and_an_icon() -> None:
    assert KINDS.keys() == set(ADMITTED)


def test_of_each_kind_the_anchor_that_reaches_furthest_is_shown() -> None:
    told = anchors_in([record(9, "paper", 5), record(8, "witness", 7), record(7, "witness", 6)])
    assert [(one.record, one.kind, one.size) for one in told] == [
        (9, "paper", 5), (8, "witness", 7), (7, "witness", 6),
    ]  # fmt: skip
    reach = latest(told)
    assert reach["witness"] is told[1]
    assert reach["paper"] is told[0]
    assert reach["usb"] is reach["syslog"] is reach["file"] is None
    assert told[0].title == "Feuille imprimée"
    assert told[0].name == "rssi.example/w1"


def test_what_is_no_anchor_is_passed_over() -> None:
    other = read(leaf(1, fact(Kind.AUDIT_SEARCH, "a", event_id(1, "s"), page="x")), FRENCH)
    assert anchors_in([other]) == []
