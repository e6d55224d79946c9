"""What the parser program says of a document, and the check of it. Pure.

The parser handles bytes of unknown origin: its output is decoded by type and bounds, and
refused as a whole when it is not in this form. Texts are NFC without control characters;
offsets count characters of a page's text.
"""

import unicodedata
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from appliance.errors import FormatError

CHARS_MAX = 20_000_000  # of a document
PAGES_MAX = 10_000
SECTION_CHARS_MAX = 300
TITLE_CHARS_MAX = 300

_KEPT = {"\n", "\t"}


class Reason(StrEnum):
    """Why a document cannot be used. People read `REASONS`."""

    EMPTY = "empty"
    NO_TEXT_LAYER = "no_text_layer"
    ENCRYPTED = "encrypted"
    UNKNOWN_FORMAT = "unknown_format"
    DAMAGED = "damaged"
    TOO_COMPLEX = "too_complex"
    TOO_LONG = "too_long"
    KILLED = "killed"
    ORIGINAL = "original"


REASONS = {  # French msgids
    Reason.EMPTY: "Le document ne contient aucun texte.",
    Reason.NO_TEXT_LAYER: "Ce PDF ne contient que des images : il n’a pas de couche de texte.",
    Reason.ENCRYPTED: "Le document est protégé par un mot de passe.",
    Reason.UNKNOWN_FORMAT: "Le contenu n’est ni PDF, ni DOCX, ni HTML, ni Markdown, ni texte.",
    Reason.DAMAGED: "Le fichier est abîmé ou incomplet.",
    Reason.TOO_COMPLEX: "Le document est trop grand ou trop imbriqué pour être lu sans risque.",
    Reason.TOO_LONG: "L’analyse a dépassé le temps permis.",
    Reason.KILLED: "L’analyse a été interrompue plusieurs fois.",
    Reason.ORIGINAL: "L’original chiffré manque ou ne correspond pas à son empreinte.",
}

Kind = Literal["pdf", "docx", "html", "markdown", "text"]
Fact = Literal["reference", "version", "date"]
Meta = dict[Fact, str]


class UnreadableError(Exception):
    """A document that cannot be used, and why. Ends the parser program with an answer."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Section(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A heading, and where the text under it begins."""

    at: Annotated[int, msgspec.Meta(ge=0)]
    title: Annotated[str, msgspec.Meta(max_length=SECTION_CHARS_MAX)]


class Page(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The text of a page or sheet, and the headings that begin on it."""

    text: str
    sections: list[Section] = []


class Parsed(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A document that was read."""

    kind: Kind
    pages: Annotated[list[Page], msgspec.Meta(min_length=1, max_length=PAGES_MAX)]
    title: Annotated[str, msgspec.Meta(max_length=TITLE_CHARS_MAX)] = ""  # of its own
    meta: Meta = {}


class Answer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One line of JSON, all that the parser writes."""

    isolation: list[str]  # what holds the parser in
    parsed: Parsed | None = None
    reason: Reason | None = None  # when there is nothing


def encode(answer: Answer) -> bytes:
    """Return the line that the parser writes."""
    return msgspec.json.encode(answer)


def decode(line: bytes) -> Answer:
    """Read the line of a parser.

    Raises:
        FormatError: It is not in this form.
    """
    try:
        answer = msgspec.json.decode(line, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FormatError(f"the parser's answer: {exc}") from exc
    if (answer.parsed is None) == (answer.reason is None):
        raise FormatError("the parser's answer: neither a document nor a reason")
    if answer.parsed is not None:
        _check(answer.parsed)
    return answer


def _check(parsed: Parsed) -> None:
    if sum(len(page.text) for page in parsed.pages) > CHARS_MAX:
        raise FormatError("the parser's answer: too long")
    for page in parsed.pages:
        if clean(page.text) != page.text:
            raise FormatError("the parser's answer: text that is not clean")
        places = [section.at for section in page.sections]
        if places != sorted(places) or (places and places[-1] > len(page.text)):
            raise FormatError("the parser's answer: sections out of place")


def clean(text: str) -> str:
    """Return NFC text without control, private and unpaired characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    elif text.replace("\n", "").isprintable():
        return text
    return "".join(c for c in text if c in _KEPT or unicodedata.category(c)[0] != "C")
