"""Answers as HTML: escaped blocks that grow, with citations that were checked.

Whatever a model writes is text. Emphasis, lists, tables and code are drawn from it; HTML, links
and images stay inert text. `[n]` becomes a link only when passage n was given to the model.
"""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

from appliance.console.typography import french

_CITED = re.compile(r"(\S{0,24})\s*((?:\[\d{1,2}\]\s?)*\[\d{1,2}\])")
_NUMBER = re.compile(r"\[(\d{1,2})\]")
_REFERENCE = re.compile(r"\b(?:[A-Z]{1,5}-)+\d+(?:-[A-Z]+)?\b")
_FENCE = re.compile(r"^\s{0,3}(```|~~~)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Links:
    """Where citations of one answer lead."""

    turn: str  # prefix of the anchors: one page shows several answers
    hrefs: Mapping[int, str]  # of the passages given to the model
    label: str = "Source %s"  # spoken name

    def html(self, number: int) -> Markup:
        """Return the link of one citation, or its plain text when nothing stands behind it."""
        if number not in self.hrefs:
            return Markup("[{}]").format(number)
        link = Markup('<a class="cite" href="{}" data-source="{}" aria-label="{}">{}</a>')
        anchor = f"source-{self.turn}-{number}"
        return link.format(self.hrefs[number], anchor, self.label % number, number)


class _Renderer(RendererHTML):
    """HTML in which nothing but our own elements appears."""

    links: Links

    def text(
        self,
        tokens: Sequence[Token],
        idx: int,
        options: OptionsDict,  # noqa: ARG002 - the renderer's call
        env: EnvType,  # noqa: ARG002
    ) -> str:
        return _inline(tokens[idx].content, self.links)

    def heading_open(self, *_: Any) -> str:
        return '<p class="strong">'  # the page has its own levels

    def heading_close(self, *_: Any) -> str:
        return "</p>\n"

    def table_open(self, *_: Any) -> str:
        return '<div class="table-wrap" tabindex="0"><table class="table">\n'

    def table_close(self, *_: Any) -> str:
        return "</table></div>\n"

    def th_open(self, *_: Any) -> str:
        return '<th scope="col">'

    def td_open(self, *_: Any) -> str:
        return "<td>"

    def fence(
        self,
        tokens: Sequence[Token],
        idx: int,
        options: OptionsDict,  # noqa: ARG002
        env: EnvType,  # noqa: ARG002
    ) -> str:
        return str(
            Markup('<pre tabindex="0"><code>{}</code></pre>\n').format(tokens[idx].content)
        )

    def code_block(
        self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType
    ) -> str:
        return self.fence(tokens, idx, options, env)


def _parser(links: Links) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")
    parser.disable(
        [
            "link",
            "image",
            "autolink",
            "html_inline",
            "html_block",
            "reference",
            "lheading",
            "hr",
        ]
    )
    assert isinstance(parser.renderer, _Renderer)
    parser.renderer.links = links
    return parser


def _inline(text: str, links: Links) -> str:
    """Return escaped text with its citations, each glued to the word before it."""
    shown = french(text)
    out, at = [], 0
    for match in _CITED.finditer(shown):
        numbers = [int(n) for n in _NUMBER.findall(match[2])]
        cites = Markup(" ").join(links.html(n) for n in numbers)
        glued = Markup('<span class="nowrap">{}\u00a0{}</span>').format(match[1], cites)
        out += [unbroken(shown[at : match.start()]), glued if match[1] else cites]
        at = match.end()
    return str(Markup().join([*out, unbroken(shown[at:])]))


def unbroken(text: str) -> Markup:
    """Return escaped text in which a reference such as PO-217 never breaks at its hyphen."""
    return Markup(_REFERENCE.sub(r'<span class="nowrap">\g<0></span>', str(escape(text))))  # noqa: S704


def blocks(text: str, links: Links) -> Markup:
    """Return whole blocks as HTML."""
    return Markup(_parser(links).render(text))  # noqa: S704 - the renderer escapes all text


def cited(text: str, numbers: Container[int]) -> list[int]:
    """Return the passages that the text cites, in order of first citation."""
    found = [int(n) for n in _NUMBER.findall(text)]
    return list(dict.fromkeys(n for n in found if n in numbers))


class Growing:
    """An answer while it streams: whole blocks are drawn once, the open one is plain text."""

    def __init__(self, links: Links) -> None:
        self.links = links
        self.text = ""
        self._drawn = 0  # characters of `text` that are in drawn blocks

    def feed(self, more: str) -> tuple[Markup, str]:
        """Return the blocks that closed, and the text of the open one."""
        self.text += more
        end = self._closed()
        html = (
            blocks(self.text[self._drawn : end], self.links) if end > self._drawn else Markup()
        )
        self._drawn = end
        return html, self.text[end:]

    def _closed(self) -> int:
        """Return where the open block begins: after the last empty line outside a fence."""
        end = self.text.rfind("\n\n", self._drawn)
        while end >= 0:
            if len(_FENCE.findall(self.text[self._drawn : end])) % 2 == 0:
                return end + 2
            end = self.text.rfind("\n\n", self._drawn, end)
        return self._drawn
