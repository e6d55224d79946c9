import tempfile
import time
from pathlib import Path

import pypdfium2  # type: ignore[import-untyped]
import pytest

from appliance.printing import typeset as module
from appliance.printing.typeset import PrintingError, Template, typeset

FACTS = {
    "lang": "fr", "title": "Titre", "subject": "Objet", "running": "Titre", "foot": "",
    "marking": "", "moment": [2026, 11, 23, 12, 0, 0],
}  # fmt: skip
BODY = '#import "frame.typ": *\n#show: sheet.with(json("facts.json"))\n= A\n'


def made(body: str = "Texte : « oui » !", **more: object) -> bytes:
    return typeset(Template("main.typ", BODY + body), {**FACTS, **more})


def words(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        return "".join(page.get_textpage().get_text_bounded() for page in document)


def test_the_same_facts_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    first = made()
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert made() == first
    assert made(moment=[2026, 11, 23, 12, 0, 1]) != first


def test_each_page_has_its_marking_and_number_and_french_signs_stay_with_their_word() -> None:
    text = words(made("Texte : « oui » ! #pagebreak() 3 %", marking="DIFFUSION RESTREINTE"))
    assert text.count("DIFFUSION RESTREINTE") == 4
    assert "page 2 / 2" in text
    assert "Texte\u202f: «\u202foui\u202f»\u202f!" in text
    assert "3\u202f%" in text


def test_a_page_says_that_no_marking_was_chosen() -> None:
    assert "Mention de protection\u202f: non choisie" in words(made())


def test_a_letter_that_no_font_has_stops_nothing() -> None:
    assert made(subject="支社").startswith(b"%PDF")


def test_facts_that_do_not_fit_are_refused_with_what_the_typesetter_says() -> None:
    with pytest.raises(PrintingError, match="lang"):
        typeset(Template("main.typ", BODY), {"title": "x"})


def test_a_template_that_never_ends_is_stopped_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 1.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(PrintingError, match="1 s"):
        made("#for a in range(100000) { for b in range(100000) {} }")
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []


def test_a_template_that_asks_for_all_memory_is_stopped() -> None:
    with pytest.raises(PrintingError, match="memory"):
        made('#("ab" * 4000000000).len()')
