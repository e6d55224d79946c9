"""Markdown: the text as it reads once rendered; headings are sections."""

import re
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from appliance.rag.formats.flow import Flow
from appliance.rag.parsed import TITLE_CHARS_MAX, Fact, Meta, Parsed, clean

_FRONT = re.compile(r"\A---[ \t]*\n(.{0,4000}?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_PAIR = re.compile(r"^(\w{1,40})[ \t]*:[ \t]*(.{1,300})$", re.MULTILINE)
_KEYS: Final[dict[str, Fact]] = {
    "reference": "reference",
    "référence": "reference",
    "version": "version",
    "date": "date",
}
_SIGN = re.compile(
    r"^#{1,6} \S|^```|\[[^\]\n]{1,200}\]\([^)\n]{1,500}\)|\*\*[^*\n]{1,200}\*\*"
    r"|^\|[^\n]{1,500}\|[ \t]*\n\|[ :|-]{1,500}\|",
    re.MULTILINE,
)

_TAG = re.compile(r"<[^>]{0,2000}>")


def is_markdown(text: str) -> bool:
    """Tell whether a text holds marks of Markdown near its beginning."""
    return bool(_FRONT.match(text) or _SIGN.search(text[:20_000]))


def read(text: str) -> Parsed:
    """Read a Markdown document.

    Raises:
        UnreadableError: There is no text.
    """
    front = _FRONT.match(text)
    pairs = (
        {key.lower(): _value(value) for key, value in _PAIR.findall(front[1])} if front else {}
    )
    parser = MarkdownIt("commonmark", {"maxNesting": 40}).enable("table")
    reader = _Reader()
    reader.read(parser.parse(text[front.end() :] if front else text))
    title = pairs.get("title") or pairs.get("titre") or reader.title
    meta: Meta = {name: pairs[key][:100] for key, name in _KEYS.items() if key in pairs}
    return Parsed("markdown", reader.flow.finish(), title[:TITLE_CHARS_MAX], meta)


def _value(text: str) -> str:
    return clean(text).strip("\"' ")


class _Reader:
    """Lays tokens out in a flow."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.title = ""  # the first heading
        self._cells: list[str] = []
        self._bullet = ""

    def read(self, tokens: list[Token]) -> None:
        """Take the tokens of a document."""
        for before, token in zip([None, *tokens], tokens, strict=False):
            if token.type == "inline":
                self._inline(_plain(token), before.type if before else "")
            elif token.type in {"fence", "code_block"}:
                self.flow.block(token.content)
            elif token.type == "html_block":
                self.flow.block(_TAG.sub("", token.content))
            elif token.type == "list_item_open":
                self._bullet = f"{token.info}{token.markup} " if token.info else "• "
            elif token.type == "tr_close":
                self.flow.block(" | ".join(self._cells))
                self._cells.clear()

    def _inline(self, text: str, inside: str) -> None:
        if inside == "heading_open":
            self.title = self.title or " ".join(text.split())
            self.flow.heading(text)
        elif inside in {"td_open", "th_open"}:
            self._cells.append(text)
        else:
            self.flow.block(self._bullet + text)
        self._bullet = ""


def _plain(token: Token) -> str:
    parts = []
    for child in token.children or []:
        if child.type in {"softbreak", "hardbreak"}:
            parts.append(" " if child.type == "softbreak" else "\n")
        elif child.type in {"text", "code_inline", "image"}:
            parts.append(child.content)
    return "".join(parts)
