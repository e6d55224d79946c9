import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.console.typography import FAULT, SPACE, french, plain


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("Que faire ?", f"Que faire{SPACE}?"),
        ("Marquage : deux", f"Marquage{SPACE}: deux"),
        ("« oui »", f"«{SPACE}oui{SPACE}»"),
        ("l'agent d'astreinte", "l’agent d’astreinte"),
        ("1 482 907 jetons", f"1{SPACE}482{SPACE}907{SPACE}jetons"),
        ("en 60 s", f"en 60{SPACE}s"),
        ("98 %", f"98{SPACE}%"),
        ("nº 12", f"nº{SPACE}12"),
        ("p. 3", f"p.{SPACE}3"),
        ("à 14:02", "à 14:02"),
        ("fin...", "fin…"),
        ("une 'citation'", "une 'citation'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_french_spacing_and_quotes(given_text: str, shown: str) -> None:
    assert french(given_text) == shown


@given(st.text())
def test_applying_it_again_changes_nothing(text: str) -> None:
    assert french(french(text)) == french(text)


@pytest.mark.parametrize("text", ["Quoi ?", "Ceci : cela", "« oui", "oui »", "l'eau"])
def test_what_is_wrong_in_french_is_found_and_mended(text: str) -> None:
    assert FAULT.search(text)
    assert not FAULT.search(french(text))


def test_copied_text_has_ordinary_spaces() -> None:
    assert plain(french("« oui » : 1 000 %")) == "« oui » : 1 000 %"
