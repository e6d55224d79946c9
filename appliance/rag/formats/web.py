"""HTML: what a reader of the page sees, by libxml2 without network, entities or scripts."""

import re
from typing import Final

from lxml import etree, html

from appliance.rag.formats.flow import Flow
from appliance.rag.parsed import (
    TITLE_CHARS_MAX,
    Fact,
    Meta,
    Parsed,
    Reason,
    UnreadableError,
    clean,
)

_DEPTH_MAX = 200  # deeper pages are made to break parsers
_UNSEEN = frozenset(
    {
        "script",
        "style",
        "template",
        "noscript",
        "svg",
        "math",
        "iframe",
        "object",
        "head",
        "select",
    }
)
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = _HEADINGS | frozenset(
    {
        *(
            "address",
            "article",
            "aside",
            "blockquote",
            "body",
            "caption",
            "dd",
            "details",
            "div",
        ),
        *(
            "dl",
            "dt",
            "fieldset",
            "figcaption",
            "figure",
            "footer",
            "form",
            "header",
            "hr",
            "li",
        ),
        *("main", "nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot"),
        *("thead", "tr", "ul"),
    }
)
_CELLS = frozenset({"td", "th"})
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_SPACES = re.compile(r"\s+")
_META: Final[dict[str, Fact]] = {
    "reference": "reference",
    "version": "version",
    "date": "date",
    "dcterms.date": "date",
}


def read(text: str) -> Parsed:
    """Read an HTML page.

    Raises:
        UnreadableError: Nested too deep, or without text.
    """
    # As bytes: libxml2 must not follow a declaration inside the page.
    parser = html.HTMLParser(encoding="utf-8", no_network=True, remove_pis=True)
    try:
        root = html.document_fromstring(text.encode(), parser=parser)
    except (etree.ParserError, ValueError) as exc:
        raise UnreadableError(Reason.EMPTY) from exc
    except etree.LxmlError as exc:
        raise UnreadableError(Reason.TOO_COMPLEX) from exc
    _check_depth(root)
    reader = _Reader()
    reader.visit(root)
    reader.flush()
    title = " ".join(clean(root.findtext(".//title") or "").split())[:TITLE_CHARS_MAX]
    return Parsed("html", reader.flow.finish(), title, _meta(root))


def _check_depth(root: etree._Element) -> None:
    depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > _DEPTH_MAX:
            raise UnreadableError(Reason.TOO_COMPLEX)


def _meta(root: etree._Element) -> Meta:
    found: Meta = {}
    for tag in root.iter("meta"):
        name = _META.get((tag.get("name") or "").lower())
        if name is not None:
            found[name] = clean(tag.get("content") or "").strip()[:100]
    return found


class _Reader:
    """Walks a page of bounded depth."""

    def __init__(self) -> None:
        self.flow = Flow()
        self._text: list[str] = []
        self._verbatim = 0

    def visit(self, element: etree._Element) -> None:
        """Take an element with what is inside; the text after it is its parent's."""
        tag = str(element.tag)  # of a comment, the name of a function
        if tag in _UNSEEN or not tag.isalnum() or _is_hidden(element):
            return
        if tag in _BLOCKS:
            self.flush()
        self._verbatim += tag == "pre"
        self._open(tag)
        self._add(element.text)
        for child in element:
            self.visit(child)
            self._add(child.tail)
        if tag in _BLOCKS:
            self.flush(heading=tag in _HEADINGS)
        self._verbatim -= tag == "pre"

    def flush(self, *, heading: bool = False) -> None:
        """End a block."""
        text = "".join(self._text)
        self._text.clear()
        (self.flow.heading if heading else self.flow.block)(text)

    def _open(self, tag: str) -> None:
        if tag == "br":
            self._text.append("\n")
        elif tag in _CELLS and self._text:
            self._text.append(" | ")
        elif tag == "li":
            self._text.append("• ")

    def _add(self, text: str | None) -> None:
        if text:
            self._text.append(text if self._verbatim else _SPACES.sub(" ", text))


def _is_hidden(element: etree._Element) -> bool:
    return "hidden" in element.attrib or bool(_HIDDEN.search(element.get("style") or ""))
