from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from appliance.console.language import Language
from appliance.console.records import read
from appliance.console.trail.story import lasting, story
from tests.audit.index.copies import stored

FRENCH = Language("fr", ZoneInfo("Europe/Paris"))
RECORDS = [read(one, FRENCH) for one in stored()]


def test_a_request_goes_from_the_sign_in_to_its_one_end() -> None:
    told = story([RECORDS[4], RECORDS[0], RECORDS[3], RECORDS[2]], FRENCH)
    assert [step.record.index for step in told.steps] == [0, 2, 3, 4]
    assert [step.pause for step in told.steps] == ["40\xa0ms", "20\xa0ms", "20\xa0ms", ""]
    assert told.begun is RECORDS[2]
    assert told.ended is RECORDS[4]
    assert told.took == timedelta(milliseconds=40)


def test_an_event_of_no_request_stands_alone() -> None:
    told = story([RECORDS[5]], FRENCH)
    assert len(told.steps) == 1
    assert told.begun is None
    assert told.ended is None
    assert told.took is None


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (timedelta(microseconds=10), "aussitôt"),
        (timedelta(milliseconds=17), "17 ms"),
        (timedelta(seconds=6.12), "6,1 s"),
        (timedelta(seconds=61), "1 min 1 s"),
        (timedelta(hours=5, minutes=31, seconds=4), "5 h 31 min"),
        (timedelta(days=2, minutes=3), "2 j"),
    ],
    ids=str,
)
def test_a_length_of_time_has_two_units_at_most(time: timedelta, words: str) -> None:
    assert lasting(time, FRENCH).replace("\xa0", " ") == words


def test_a_clock_that_went_back_is_said() -> None:
    later = story([RECORDS[0], RECORDS[1]], FRENCH).steps[0]
    assert later.pause == "20\xa0ms"
    backwards = [RECORDS[1], RECORDS[0]]
    swapped = story(
        [read(stored()[0].replace(b'"index":0', b'"index":7'), FRENCH), backwards[0]], FRENCH
    )
    assert swapped.steps[0].pause == "l’horloge a reculé"
