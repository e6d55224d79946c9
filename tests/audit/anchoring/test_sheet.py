"""The sheet as it is printed: seen, scanned, typed again."""

from collections.abc import Sequence
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pytest
import zxingcpp

from appliance.audit.anchoring.sheet import WORDS, Sheet, _thousands, facts
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.key import Signer
from appliance.audit.note import sign
from appliance.audit.verdict import Language
from appliance.errors import FormatError, VerificationError
from appliance.printing.typeset import Template, typeset
from tests.audit import exports, logs

HEAD = exports.head_of(logs.leaves(logs.exchanges(20)))
NOTE = exports.cosigned(HEAD, 1_795_431_600)
MOMENT = (2026, 11, 1, 9, 5, 7)
SHEET = Sheet(NOTE, logs.SIGNER.verifiers, MOMENT, "Diffusion restreinte")
FR, EN = Language.FR, Language.EN


def printed(language: Language = FR) -> bytes:
    return typeset(Template.of("appliance.audit", "fiche.typ"), facts(SHEET, language))


def text_of(pdf: bytes) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        assert len(document) == 1
        return str(document[0].get_textpage().get_text_bounded())


def scanned(pdf: bytes, scale: int) -> Sequence[bytes]:
    """Return what is read from the page, taken with 72 dots an inch times `scale`."""
    with pypdfium2.PdfDocument(pdf) as document:
        image = document[0].render(scale=scale).to_numpy()
    return [found.bytes for found in zxingcpp.read_barcodes(image)]


@pytest.mark.parametrize("scale", [2, 4])
def test_the_code_on_the_page_is_the_note_to_the_byte(scale: int) -> None:
    assert scanned(printed(), scale) == [NOTE]


def test_the_lines_on_the_page_are_the_note_to_the_byte() -> None:
    shown: Any = facts(SHEET, FR)
    assert "".join(f"{line}\n" for line in shown["lines"]).encode() == NOTE
    text = text_of(printed()).replace("\r", "").replace("\n", "")
    for line in shown["lines"]:
        assert line.replace(" ", "") in text.replace(" ", ""), line


def test_what_is_read_by_eye_is_what_was_signed() -> None:
    shown: Any = facts(SHEET, FR)
    root = Checkpoint.parse(HEAD.text).root.hex()
    assert shown["begins"] == " ".join(root[at : at + 4] for at in range(0, 16, 4))
    assert ["Événements signés", "41"] in shown["summary"]
    assert ["Fiche composée le", "1er novembre 2026 à 09 h 05 (UTC)"] in shown["summary"]
    assert ["Co-signé par", "rssi.example/w1"] in shown["summary"]
    assert shown["subject"] == logs.ORIGIN


def test_the_page_has_its_marking_its_places_and_the_later_check() -> None:
    text = text_of(printed())
    assert text.count("Diffusion restreinte") == 2
    for words in ("Signature du RSSI", "Date", "Nom", "Rangée à", "--since note.txt"):
        assert words in text


def test_the_same_facts_give_the_same_bytes() -> None:
    assert printed() == printed()
    assert printed() != printed(EN)


def test_the_english_sheet_says_all_that_the_french_one_does() -> None:
    assert WORDS[FR].keys() == WORDS[EN].keys()
    text = text_of(printed(EN))
    for words in ("Signature of the CISO", "Signed events", "1 November 2026, 09:05 UTC"):
        assert words in text


def test_large_numbers_are_readable() -> None:
    assert _thousands(1_284_310, FR) == "1\u202f284\u202f310"
    assert _thousands(1_284_310, EN) == "1,284,310"


def test_a_note_that_the_log_did_not_sign_is_not_printed() -> None:
    stranger = Signer(logs.ORIGIN, bytes(32)).verifiers
    with pytest.raises(VerificationError):
        facts(Sheet(NOTE, stranger, MOMENT, ""), FR)


def test_a_note_that_no_code_holds_is_refused() -> None:
    long = Signer("x" * 2_400, bytes(32))
    note = sign(HEAD.text.replace(logs.ORIGIN, "x" * 2_400), long).to_bytes()
    with pytest.raises(FormatError, match="QR code"):
        facts(Sheet(note, long.verifiers, MOMENT, ""), FR)
