"""What is hidden of a text as it passes: matches, and what after them belongs to them.

The state after a piece is all that the next piece needs: pieces give the same as the whole.
"""

import re
from collections.abc import Iterable

from appliance.gateway.folding import Folded
from appliance.gateway.rules import (
    BLOCK_END,
    BLOCK_END_LENGTH,
    BLOCK_REST,
    TOKEN_REST,
    Match,
)

MASKS = {
    "secret": "[secret masqué]",
    "nir": "[NIR masqué]",
    "iban": "[IBAN masqué]",
    "card": "[carte masquée]",
    "siret": "[SIRET masqué]",
    "siren": "[SIREN masqué]",
    "phone": "[téléphone masqué]",
    "email": "[courriel masqué]",
}


class Cover:
    """How far the text is hidden. Places are bytes of the folded piece at hand."""

    def __init__(self) -> None:
        self._end = -1  # of what is hidden
        self._rest: re.Pattern[bytes] | None = None  # what goes on to be hidden
        self._lines = b""  # end of a key block so far

    @property
    def active(self) -> bool:
        """Whether what comes next may have to be hidden."""
        return self._end >= 0

    def write(self, text: str, folded: Folded, limit: int, hidden: Iterable[Match]) -> str:
        """Return the text of the bytes before the limit, less what is hidden.

        `hidden` is in the order of its starts, all before the limit.
        """
        pieces: list[str] = []
        shown = 0  # characters written or hidden so far
        for match in hidden:
            self._go_on(folded.text, match.start)
            if match.start > self._end:
                shown = max(shown, folded.start(max(self._end, 0)) if self._end >= 0 else 0)
                pieces += text[shown : folded.start(match.start)], MASKS[match.pattern.rule]
            if match.end >= self._end:
                self._end, self._rest, self._lines = match.end, match.pattern.rest, b""
        self._go_on(folded.text, limit)
        if self._end >= 0:
            shown = folded.start(self._end)
        pieces.append(text[shown : folded.start(limit)])
        self._end = max(self._end - limit, -1)
        return "".join(pieces)

    def _go_on(self, data: bytes, until: int) -> None:
        """Hide what belongs to the last match, up to a place."""
        if self._rest is None or self._end >= until:
            return
        if self._rest is BLOCK_REST:
            self._go_on_in_block(data, until)
        if self._rest is TOKEN_REST and (more := TOKEN_REST.match(data, self._end, until)):
            self._end = more.end()
        if self._end < until:
            self._rest = None

    def _go_on_in_block(self, data: bytes, until: int) -> None:
        more = BLOCK_REST.match(data, self._end, until)
        lines = self._lines + (more[0] if more else b"")
        if end := BLOCK_END.search(lines):
            self._end += end.end() - len(self._lines)
            self._rest, self._lines = TOKEN_REST, b""  # of its last line, the dashes left
            return
        self._end += len(lines) - len(self._lines)
        self._lines = lines[-BLOCK_END_LENGTH:]
