import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typst import TypstError

from appliance.printing.letters import _SHAPED, shaped
from appliance.printing.press import pressed

HEAD = '#set document(title: "t", date: datetime(year: 2026, month: 11, day: 23))\n= t\n'


Press = Callable[..., bytes]


@pytest.fixture
def press(tmp_path: Path) -> Press:
    """Set a text, with facts beside it."""

    def run(text: str, facts: object = None) -> bytes:
        (tmp_path / "main.typ").write_text(text, "utf-8")
        (tmp_path / "facts.json").write_text(json.dumps(facts), "utf-8")
        return pressed(tmp_path / "main.typ")

    return run


def test_a_document_is_tagged_archived_and_ends_with_a_line(press: Press) -> None:
    made = press(HEAD + '#set text(lang: "fr")\nBonjour')
    assert made.startswith(b"%PDF-1.7")
    assert made.endswith(b"%%EOF\n")
    assert b"/MarkInfo" in made
    assert b"pdfaid:part" in made
    assert b"pdfuaid:part" in made


def test_values_are_never_markup(press: Press) -> None:
    hostile = '#panic("out") *bold* $x$ #read("/etc/passwd")'
    assert press(HEAD + '#json("facts.json")', hostile).startswith(b"%PDF")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('#read("/etc/passwd")', id="a file, by its path from the root"),
        pytest.param('#read("../../etc/passwd")', id="a file above the folder"),
        pytest.param('#import "@preview/cetz:0.4.2"', id="a package, from the network"),
        pytest.param('#image(bytes("x"), alt: "x")', id="no image"),
    ],
)
def test_a_template_reaches_nothing_outside_its_folder(press: Press, text: str) -> None:
    with pytest.raises(TypstError):
        press(HEAD + text)


def test_a_font_that_is_not_there_is_a_refusal_not_a_guess(press: Press) -> None:
    with pytest.raises(ValueError, match="font"):
        press(HEAD + '#set text(font: "Nowhere Sans")\nx')


def test_a_document_without_a_date_is_refused(press: Press) -> None:
    with pytest.raises(TypstError):
        press("= x")


def test_every_letter_that_is_let_through_has_a_shape(press: Press) -> None:
    every = "".join(
        chr(c)
        for c in range(sys.maxunicode)
        if chr(c).isprintable() and not 0xD800 <= c < 0xE000
    )
    text = _SHAPED.sub("", every)
    assert len(text) > 2000
    assert shaped(text) == text
    words = " ".join(re.findall(".{1,40}", text))
    assert press(HEAD + '#json("facts.json")', words).startswith(b"%PDF")
