"""Texts in French and in English: none is missing, none is left over, none is unmarked."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from babel.messages.pofile import read_po
from lxml import html

from appliance.console.language import CODES, Language, english, pick
from appliance.console.typography import FAULT, SPACE, french
from tests.console.messages import CATALOGUE, TEMPLATES, Message, all_messages
from tests.console.stand import values_of

ZONE = ZoneInfo("Europe/Paris")
FRENCH, ENGLISH = Language("fr", ZONE), Language("en", ZONE)
AT = datetime(2026, 11, 23, 13, 2, 17, 191_000, UTC)
# Names, signs and words that are the same in both languages, or data.
UNTRANSLATED = {
    "Casemate", "English", "Français", "EN", "FR", "Ctrl", "Ed25519", "CM-MOD-05", "CM-JRN-01",
}  # fmt: skip
PLACE = re.compile(r"%(?:\(\w+\))?s")


def key(message: Message) -> str:
    return message[0] if isinstance(message, tuple) else message


def catalogue() -> dict[str, object]:
    with CATALOGUE.open("rb") as file:
        return {str(key(m.id)): m for m in read_po(file) if m.id}  # type: ignore[arg-type]


def test_each_text_has_its_english_and_no_english_is_left_over() -> None:
    wanted, known = {key(m) for m in all_messages()}, set(catalogue())
    assert sorted(wanted - known) == [], "texts without English"
    assert sorted(known - wanted) == [], "English without a text"


def test_no_english_is_empty_and_each_names_the_same_values() -> None:
    for msgid, message in catalogue().items():
        ids, texts = message.id, message.string  # type: ignore[attr-defined]
        pairs = zip(ids, texts, strict=True) if isinstance(ids, tuple) else [(ids, texts)]
        for french_text, english_text in pairs:
            assert english_text, msgid
            assert set(PLACE.findall(english_text)) == set(PLACE.findall(french_text)), msgid


def test_no_french_text_has_a_fault_of_typography_once_shown() -> None:
    faults = {m: FAULT.search(french(key(m))) for m in all_messages()}
    assert [m for m, fault in faults.items() if fault] == []


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda t: t.name)
def test_no_template_holds_a_text_that_is_not_marked(template: object) -> None:
    text = template.read_text("utf-8")  # type: ignore[attr-defined]
    text = re.sub(r"\{% block main_class %\}.*?\{% endblock %\}", "", text)
    bare = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "\x00", text, flags=re.DOTALL)
    root = f"<main>{bare}</main>"
    words = values_of(root, "//text()[not(ancestor::kbd)]")
    words += values_of(root, "//@aria-label | //@title | //@placeholder | //@alt")
    found = {
        w for t in words for w in re.split(r"[\x00\s]+", t) if re.search(r"[A-Za-zÀ-ÿ]{2}", w)
    }
    assert found - UNTRANSLATED == set()


def test_the_language_chosen_wins_over_the_browsers() -> None:
    assert pick("en", "fr-FR") == "en"
    assert pick(None, "de, en-GB;q=0.9, fr;q=0.8") == "en"
    assert pick("xx", None) == "fr"
    assert CODES == ("fr", "en")


def test_texts_and_plurals_in_both_languages() -> None:
    assert FRENCH.text("Que faire") == "Que faire"
    assert ENGLISH.text("Que faire") == "What to do"
    one, many = "%(number)s document", "%(number)s documents"
    assert [FRENCH.texts(one, many, n) for n in (0, 1, 2)] == [one, one, many]
    assert ENGLISH.texts(one, many, 0) == many
    assert ENGLISH.text("not in the catalogue") == "not in the catalogue"
    assert english() is english()


def test_numbers_sizes_and_dates() -> None:
    assert FRENCH.number(1_482_907) == f"1{SPACE}482{SPACE}907"
    assert FRENCH.number(0.094, 2) == "0,09"
    assert ENGLISH.number(1_482_907) == "1,482,907"
    assert [FRENCH.size(n) for n in (0, 1_250, 67_108_864)] == [
        "0\u00a0o",
        "1,2\u00a0ko",
        "67\u00a0Mo",
    ]
    assert ENGLISH.size(18_000_000) == "18\u00a0MB"
    assert FRENCH.minute(AT) == "23/11/2026 à 14:02"
    assert FRENCH.second(AT) == "23/11/2026 à 14:02:17"
    assert FRENCH.exact(AT) == "23/11/2026 à 14:02:17,191"
    assert ENGLISH.exact(AT) == "23 Nov 2026, 14:02:17.191"
    assert FRENCH.clock(AT) == "14:02:17,191"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "il y a 0\u00a0s"), (40, "il y a 40\u00a0s"), (600, "il y a 10\u00a0min"),
     (7_200, "il y a 2\u00a0h"), (200_000, "21/11/2026")],
)  # fmt: skip
def test_time_is_relative_under_two_days(seconds: int, shown: str) -> None:
    at = AT - timedelta(seconds=seconds)
    assert FRENCH.ago(at, AT) == shown
    moment = html.fragment_fromstring(FRENCH.moment(at, AT))
    assert moment.get("title") == FRENCH.exact(at)
    assert moment.get("datetime", "").startswith("2026-11-2")
