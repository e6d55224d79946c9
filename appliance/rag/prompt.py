"""Passages in a prompt: how they are written for an engine, and read by the extractive one.

The last `system` message ends with `<passage n="1" title="…" place="…">escaped text</passage>`,
one after the other. Escaping is XML's, so no text of a document can close its passage or open
another one.
"""

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass

_PASSAGE = re.compile(
    r'<passage n="([0-9]{1,4})" title="([^"<>]*)" place="([^"<>]*)">([^<>]*)</passage>'
)
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


@dataclass(frozen=True, slots=True)
class Given:
    """A passage as an engine is given it."""

    n: int
    title: str
    place: str  # « p. 3 », « Article 4 »; may be empty
    body: str


def write_passages(passages: Iterable[Given]) -> str:
    """Return the end of the system message."""
    return "\n".join(
        f'<passage n="{p.n}" title="{_escape(p.title)}" place="{_escape(p.place)}">'
        f"{_escape(p.body)}</passage>"
        for p in passages
    )


def read_passages(message: str) -> list[Given]:
    """Return the passages of a system message; what is not in the form is no passage."""
    return [
        Given(int(n), html.unescape(title), html.unescape(place), html.unescape(body))
        for n, title, place, body in _PASSAGE.findall(message)
    ]


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
