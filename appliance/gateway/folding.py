"""The form in which rules read a text: ASCII bytes, with the way back to the characters.

Compatibility forms, accents, look-alike letters, digits of other scripts, spaces and dashes of
any width become ASCII; what cannot be seen goes. What remains unknown is `?`. The folding of a
character does not depend on its neighbours, so a text may be folded in pieces.
"""

import codecs
import unicodedata
from collections.abc import Sequence

import msgspec

# Letters of other scripts that read as Latin ones, in both cases where they look alike.
_LOOK_ALIKE = dict(
    zip(
        "АВЕКМНОРСТУХІЈЅԌабвекмнорстухіјѕԁһԛԝɡΑΒΕΖΗΙΚΜΝΟΡΤΥΧαινοτυ",
        "ABEKMHOPCTYXIJSGabbekmhopctyxijsdhqwgABEZHIKMNOPTYXaivotu",
        strict=True,
    )
)
_OTHERS = {
    "œ": "o", "Œ": "O", "æ": "a", "Æ": "A", "ß": "s", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "ð": "d", "ı": "i", "’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "«": '"',
    "»": '"', "…": ".", "·": ".", "•": ".", "∙": ".", "−": "-", "⁻": "-", "⁃": "-", "€": "$",
    "∶": ":", "⁄": "/", "∕": "/", "٬": ",", "№": "n", "\n": "\n", "\r": "\r", "\t": " ",
    "\v": " ", "\f": " ", "\x85": "\n",
}  # fmt: skip
_FIXED = _LOOK_ALIKE | _OTHERS | dict.fromkeys("\u115f\u1160\u3164\uffa0\u2800", "")
_OF_CATEGORY = {"Zs": " ", "Zl": "\n", "Zp": "\n", "Pd": "-"}
_OF_CATEGORY |= dict.fromkeys(["Cc", "Cf", "Mn", "Me"], "")  # nothing that can be seen
_DROPPED, _SEVERAL = "\0", "\1"  # neither is ever a folded character
_MOST_REMEMBERED = 20_000  # characters; hostile text may hold a million different ones


def _fold(char: str) -> str:
    """Return the ASCII form of one character: none, one or several."""
    form = _FIXED.get(char, _OF_CATEGORY.get(unicodedata.category(char)))
    if form is not None:
        return form
    if char.isascii():
        return char
    if (digit := unicodedata.digit(char, None)) is not None:
        return str(digit)
    parts = unicodedata.normalize("NFKD", char)
    return "?" if parts == char else "".join(map(_fold, parts))


class _Forms(dict[int, str]):
    """Code point to its form, worked out when first met. Serves `str.translate` too."""

    def __init__(self, *, marks: bool) -> None:
        self._marks = marks  # a form that is not one character becomes a mark

    def __missing__(self, point: int) -> str:
        form = _fold(chr(point))
        if self._marks and len(form) != 1:
            form = _SEVERAL if form else _DROPPED
        if len(self) < _MOST_REMEMBERED:
            self[point] = form
        return form


_FORMS, _ONE_TO_ONE = _Forms(marks=False), _Forms(marks=True)

# Two passes in C fold Latin-1, and Latin-1 with the signs of French typography in place of some
# controls: the texts of an office. The rest takes ten times as long.
_LATIN = "".join(map(chr, range(256)))
_SIGNS = "\u2009\u200a\u2010\u2011\u2012\u2013\u2014\u2015\u2018\u2019\u201c\u201d\u2022\u2026"
_SIGNS += "\u202f\u2032\u20ac\u2116\u2190\u2192\u2212\u2248\u2260\u2264\u2265\u0152\u0153\u0178"
_SIGNS += "\u2713\u2610\u25a0\u25cf"
_FRENCH = _LATIN[:0x80] + _SIGNS + _LATIN[0xA0:]
_TO_FRENCH = codecs.charmap_build(_FRENCH)
_FOLD_LATIN = "".join(_ONE_TO_ONE[ord(c)] for c in _LATIN).encode()
_FOLD_FRENCH = "".join(_ONE_TO_ONE[ord(c)] for c in _FRENCH).encode()
_DROP, _MORE = _DROPPED.encode(), _SEVERAL.encode()


class Folded(msgspec.Struct, frozen=True, gc=False):
    """A folded text. `places[i]` is the character that gave byte i; None: each gave one."""

    text: bytes
    length: int  # of the text as it was, in characters
    places: Sequence[int] | None = None

    def start(self, i: int) -> int:
        """Return where the character of byte i begins; past the end, the end."""
        if self.places is None:
            return i
        return self.places[i] if i < len(self.places) else self.length

    def splits(self, i: int) -> bool:
        """Whether bytes i - 1 and i come from one character."""
        places = self.places
        return places is not None and 0 < i < len(places) and places[i - 1] == places[i]


def fold(text: str) -> Folded:
    """Fold a text."""
    try:
        one_to_one = text.encode("latin-1").translate(_FOLD_LATIN)
    except UnicodeEncodeError:
        one_to_one = _fold_beyond_latin(text)
    if _DROP not in one_to_one and _MORE not in one_to_one:
        return Folded(one_to_one, len(text))
    forms = [_FORMS[ord(char)] for char in text]
    places = [place for place, form in enumerate(forms) for _ in form]
    return Folded("".join(forms).encode(), len(text), places)


def _fold_beyond_latin(text: str) -> bytes:
    try:
        return codecs.charmap_encode(text, "strict", _TO_FRENCH)[0].translate(_FOLD_FRENCH)
    except UnicodeEncodeError:
        return text.translate(_ONE_TO_ONE).encode()
