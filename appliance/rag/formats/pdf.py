"""PDF with a text layer, by pdfium. Sections come from the outline."""

import re
from collections.abc import Iterator

import pypdfium2  # type: ignore[import-untyped]

from appliance.rag.parsed import (
    CHARS_MAX,
    PAGES_MAX,
    SECTION_CHARS_MAX,
    TITLE_CHARS_MAX,
    Page,
    Parsed,
    Reason,
    Section,
    UnreadableError,
    clean,
)

_OUTLINE_DEPTH, _OUTLINE_ITEMS = 6, 5_000
_PASSWORD = 4  # FPDF_ERR_PASSWORD
_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])[-\u00ad\ufffe\u0002]\n(?=[a-zà-ÿœ])")
_COMPOUND = re.compile(r"(?<=\w-)\n(?=\w)")
_BLANKS = re.compile(r"[^\S\n]+")
_END = tuple(".:;!?…»)•")
_ITEM = re.compile(r"\s*(?:[-–•▪*]|\d{1,3}[.)]|[a-z][.)]|[IVXLC]+[.)])\s")


def read(data: bytes) -> Parsed:
    """Read a PDF.

    Raises:
        UnreadableError: Encrypted, damaged, too long, or without a text layer.
    """
    document = _open(data)
    if not 0 < len(document) <= PAGES_MAX:
        raise UnreadableError(Reason.TOO_COMPLEX if len(document) else Reason.EMPTY)
    texts = list(_texts(document))
    if not any(texts):
        raise UnreadableError(Reason.NO_TEXT_LAYER)
    sections = _sections(document, texts)
    title = clean(document.get_metadata_value("Title")).strip()[:TITLE_CHARS_MAX]
    pages = [Page(text, sections.get(n, [])) for n, text in enumerate(texts)]
    return Parsed("pdf", pages, title)


def _open(data: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as exc:
        locked = getattr(exc, "err_code", None) == _PASSWORD
        raise UnreadableError(Reason.ENCRYPTED if locked else Reason.DAMAGED) from exc


def _texts(document: pypdfium2.PdfDocument) -> Iterator[str]:
    total = 0
    for number in range(len(document)):
        try:
            page = document[number]
            text = reflow(page.get_textpage().get_text_range(errors="ignore"))
            page.close()
        except pypdfium2.PdfiumError as exc:
            raise UnreadableError(Reason.DAMAGED) from exc
        total += len(text)
        if total > CHARS_MAX:
            raise UnreadableError(Reason.TOO_COMPLEX)
        yield text


def reflow(text: str) -> str:
    """Return the lines of a page as paragraphs: broken words whole, lines of prose joined."""
    text = _BROKEN_WORD.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _COMPOUND.sub("", text)
    lines = [_BLANKS.sub(" ", line).strip() for line in clean(text).split("\n")]
    width = max((len(line) for line in lines), default=0)
    parts: list[str] = []
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        parts.append(line)
        parts.append(" " if _goes_on(line, after, width) else "\n")
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).strip()


def _goes_on(line: str, after: str, width: int) -> bool:
    """Tell whether the next line belongs to the paragraph of this one."""
    if not line or not after or line.endswith(_END) or _ITEM.match(after):
        return False
    return after[0].islower() or len(line) > 0.6 * width


def _sections(document: pypdfium2.PdfDocument, texts: list[str]) -> dict[int, list[Section]]:
    found: dict[int, list[Section]] = {}
    for count, item in enumerate(document.get_toc(max_depth=_OUTLINE_DEPTH)):
        if count >= _OUTLINE_ITEMS:
            break
        target = item.get_dest()
        number = target.get_index() if target else None
        title = " ".join(clean(item.get_title()).split())[:SECTION_CHARS_MAX]
        if number is None or not 0 <= number < len(texts) or not title:
            continue
        number, at = _place(texts, number, title, found)
        found.setdefault(number, []).append(Section(at, title))
    return {number: sorted(items, key=lambda s: s.at) for number, items in found.items()}


def _place(
    texts: list[str], number: int, title: str, found: dict[int, list[Section]]
) -> tuple[int, int]:
    """Return page and place of a heading: on its page, or the next one, whither it was moved.

    A heading whose words are not there is put where the one before it is.
    """
    before = max((section.at for section in found.get(number, [])), default=0)
    at = texts[number].find(title, before)
    if at >= 0:
        return number, at
    if number + 1 < len(texts) and title in texts[number + 1]:
        return number + 1, texts[number + 1].find(title)
    return number, before
