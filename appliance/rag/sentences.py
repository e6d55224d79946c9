"""Sentences of a French text, as ranges; headings and items of lists count as such. Pure.

A full stop ends a sentence when something that can begin one follows, and nothing before it
says that it only shortens a word: « art. 3 », « M. Durand », « J.-C. », « 1. ».
"""

import re

_LONGEST = 1_200  # characters: text without a stop is cut at a space, so run time stays linear

_SHORT = frozenset(  # what a full stop shortens
    """m mm mme mmes mlle mlles mgr me dr drs pr st ste art al cf ch chap coll dép dir doc éd
    env etc ex fasc fig hab ibid id i.e e.g j jr max min n no nos num op p pp par réf rééd s
    sq suiv t tél trad v vol vs éq arr av bd boul bât cap cdt col gal gén lt sgt r.d r.n arrdt
    c.-à-d n.b p.-s mod tab annexe janv févr avr juil sept oct nov déc ca env""".split()  # noqa: SIM905 - prose
)
_END = re.compile(r"[.!?…]+(?:[\s\u00a0]?[»”\")\]]+)?(?=\s+[^\s]|\s*\Z)")
_BREAK = re.compile(r"\n[^\S\n]*(?=\n|[-–—•▪*#|]|\d{1,3}[.)]\s|[a-z]\)\s)|(?<=[:;])[^\S\n]*\n")
_HEADING = re.compile(r"(?m)^(?=.{1,60}$).*[^\s.,;:!?…]\n(?=[A-ZÀ-ÖØ-ÞŒ«])")
_BEGINS = re.compile(r"\s+[«“\"(\[–—•-]*\s*[A-ZÀ-ÖØ-Þ0-9Œ«“\"(\[–—•-]")
_AT_END = re.compile(r"\s*\Z")
_LAST_WORD = re.compile(r"[\w.’'\-]+\Z")


def split_sentences(text: str) -> list[tuple[int, int]]:
    """Return the ranges of the sentences, in order, without the white space around them."""
    cuts = {match.start() for match in _BREAK.finditer(text)}
    cuts |= {match.end() for match in _HEADING.finditer(text)}
    cuts |= {m.end() for m in _END.finditer(text) if _ends(text, m)}
    found: list[tuple[int, int]] = []
    start = 0
    for end in [*sorted(cuts), len(text)]:
        while start < end:
            stop = end if end - start <= _LONGEST else _cut(text, start)
            first, past = _trim(text, start, stop)
            if first < past:
                found.append((first, past))
            start = stop
    return found


def _ends(text: str, match: re.Match[str]) -> bool:
    """Whether the signs found end a sentence."""
    if not _BEGINS.match(text, match.end()):
        return bool(_AT_END.match(text, match.end()))
    if match[0] != ".":
        return True
    before = _LAST_WORD.search(text, max(match.start() - 24, 0), match.start())
    if before is None:
        return True
    word = before[0].rsplit("'", 1)[-1].rsplit("’", 1)[-1]
    return not _shortens(word, at_start=_is_first(text, match.start() - len(word)))


def _shortens(word: str, *, at_start: bool) -> bool:
    """Whether a full stop after this word shortens it, or follows the number of an item."""
    letters = word.lower().strip(".-")
    if letters in _SHORT or (len(letters) == 1 and letters.isalpha() and word.isupper()):
        return True
    return at_start and letters.isdigit()


def _is_first(text: str, place: int) -> bool:
    """Whether nothing stands before a place on its line."""
    return not text[
        max(text.rfind("\n", max(place - 80, 0), place), place - 80, 0) : place
    ].strip()


def _cut(text: str, start: int) -> int:
    space = text.rfind(" ", start + 1, start + _LONGEST)
    return space if space > start else start + _LONGEST


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
