import pytest

from appliance.printing.letters import SQUARE, shaped


@pytest.mark.parametrize(
    "text",
    ["Château d’Œuvre — n° 7 : « été »", "Łódź, Αθήνα, Київ", "☐ ☑ ✓ → ≤ … € 1\u202f000"],
)
def test_letters_of_the_fonts_stay(text: str) -> None:
    assert shaped(text) == text


@pytest.mark.parametrize("letter", ["日", "\u200b", "\u0007", "🔒", "\u202e", "\u00ad", "א"])
def test_a_letter_without_a_shape_becomes_a_square(letter: str) -> None:
    assert shaped(f"a{letter}b") == f"a{SQUARE}b"


def test_the_ends_of_lines_become_spaces_in_whatever_is_nested() -> None:
    given = {"rows": [("one\ntwo", 3)], "good": True}
    assert shaped(given) == {"rows": [["one two", 3]], "good": True}
