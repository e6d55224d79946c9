"""Passages: ranges of a page that are small enough to quote and large enough to understand.

A passage never crosses a page or a heading, ends at the end of a sentence where there is one,
and holds at most BYTES_MAX bytes; its text is exactly `page[start:end]`, so that a source opens
with the passage marked. Run time grows with the length of the text, whatever is in it. Pure.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appliance.rag.parsed import Page, Section

BYTES_MAX = 2_000
BYTES_WANTED = 1_200
BYTES_FEW = 300  # a rest that joins the passage before it

# The end of a sentence or of a line. Abbreviations are told from ends by what follows.
_END = re.compile(r"(?:[.!?…][»”\")\]]*(?=\s+[A-ZÀ-ÖØ-ÞŒ«“\"(\[•\d-])|\n)")

_SPACE = re.compile(r"\s*")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: characters `start` to `end` of a page, counted from 1, under a heading."""

    page: int
    section: str
    start: int
    end: int


def chunks_of(pages: Sequence[Page]) -> Iterator[Chunk]:
    """Cut a document into passages, in order."""
    before = ""
    for number, page in enumerate(pages, 1):
        for start, end, section in _spans(page, before):
            before = section
            for first, past in _pack(page.text, start, end):
                yield Chunk(number, section, first, past)


def _spans(page: Page, before: str) -> Iterator[tuple[int, int, str]]:
    """Yield the parts of a page between headings; a heading with nothing under it goes on."""
    marks = [Section(0, before), *page.sections]
    ends = [*(mark.at for mark in marks[1:]), len(page.text)]
    start = 0
    for mark, end in zip(marks, ends, strict=True):
        body = page.text[start:end].strip()
        alone = body in {"", mark.title} and end < len(page.text)
        if not alone:
            yield start, end, mark.title
            start = end


def _pack(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield ranges of whole sentences, of about the wanted size, without space around them."""
    held: tuple[int, int] | None = None
    for first, past in _sentences(text, start, end):
        if held is None:
            held = first, past
        elif _size(text, held[0], past) <= _room(text, held, past, end):
            held = held[0], past
        else:
            yield held
            held = first, past
    if held is not None:
        yield held


def _room(text: str, held: tuple[int, int], past: int, end: int) -> int:
    """Return how large a passage may grow: a short rest of the part is taken in."""
    if _size(text, held[0], held[1]) < BYTES_FEW or end - past < BYTES_FEW:
        return BYTES_MAX
    return BYTES_WANTED


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    first = start
    for match in _END.finditer(text, start, end):
        yield from _cut(text, first, match.end())
        first = match.end()
    yield from _cut(text, first, end)


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield a sentence without the space around it, in pieces when it is too long."""
    start = _after_space(text, start, end)
    while start < end:
        past = min(end, start + BYTES_MAX)
        while _size(text, start, past) > BYTES_MAX:
            past = start + (past - start) * 9 // 10
        if past < end:
            space = max(text.rfind(" ", start, past), text.rfind("\n", start, past))
            past = space if space > start + (past - start) // 2 else past
        yield start, start + len(text[start:past].rstrip())
        start = _after_space(text, past, end)


def _after_space(text: str, start: int, end: int) -> int:
    found = _SPACE.match(text, start, end)
    return found.end() if found else start


def _size(text: str, start: int, end: int) -> int:
    return len(text[start:end].encode())
