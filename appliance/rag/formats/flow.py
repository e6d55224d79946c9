"""Text that flows: blocks and headings of a document without pages, laid out on sheets."""

import re
from dataclasses import dataclass, field

from appliance.rag.parsed import (
    CHARS_MAX,
    SECTION_CHARS_MAX,
    Page,
    Reason,
    Section,
    UnreadableError,
    clean,
)

SHEET_CHARS = 6_000  # a new sheet begins at the next block
SHEET_CHARS_MAX = 12_000  # a block that is longer is cut
_BLANKS = re.compile(r"[^\S\n]+")
_AROUND_LINE_END = re.compile(r" ?\n ?")


def single_spaced(text: str) -> str:
    """Return clean text with single spaces, its line ends kept."""
    return _AROUND_LINE_END.sub("\n", _BLANKS.sub(" ", clean(text))).strip()


@dataclass
class Flow:
    """Collects blocks in reading order."""

    pages: list[Page] = field(default_factory=list)
    _parts: list[str] = field(default_factory=list)
    _sections: list[Section] = field(default_factory=list)
    _chars: int = 0  # of this sheet
    _total: int = 0

    def heading(self, text: str) -> None:
        """Add a heading: the section of what follows."""
        line = single_spaced(text).replace("\n", " ")
        if not line:
            return
        if self._chars > SHEET_CHARS // 2:
            self._turn()
        self._sections.append(Section(self._chars, line[:SECTION_CHARS_MAX].strip()))
        self._add(line)

    def block(self, text: str) -> None:
        """Add a paragraph, a row of a table, an item of a list."""
        text = single_spaced(text)
        while text:
            if self._chars > SHEET_CHARS:
                self._turn()
            part, text = text[:SHEET_CHARS_MAX], text[SHEET_CHARS_MAX:]
            if part := part.strip():
                self._add(part)

    def finish(self) -> list[Page]:
        """Return the sheets.

        Raises:
            UnreadableError: There is no text.
        """
        self._turn()
        if not self.pages:
            raise UnreadableError(Reason.EMPTY)
        return self.pages

    def _add(self, text: str) -> None:
        self._total += len(text)
        if self._total > CHARS_MAX:
            raise UnreadableError(Reason.TOO_COMPLEX)
        self._parts.append(text)
        self._chars += len(text) + 2

    def _turn(self) -> None:
        if self._parts:
            self.pages.append(Page("\n\n".join(self._parts), self._sections))
        self._parts, self._sections, self._chars = [], [], 0
