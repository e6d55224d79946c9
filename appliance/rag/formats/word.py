"""DOCX: paragraphs, headings and tables of the body, tracked insertions included."""

import io
import zipfile
from collections.abc import Iterator

from docx import Document
from docx.document import Document as Opened
from docx.oxml.ns import qn
from lxml import etree

from appliance.rag.formats.flow import Flow
from appliance.rag.parsed import TITLE_CHARS_MAX, Parsed, Reason, UnreadableError, clean

_EXPANDED_MAX = 256 * 1024 * 1024  # bytes of all parts together
_PARTS_MAX = 5_000
_TEXT, _DELETED = qn("w:t"), qn("w:del")
_BREAKS = {qn("w:tab"): " ", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"


def is_docx(data: bytes) -> bool:
    """Tell whether a ZIP archive is a DOCX document."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "word/document.xml" in archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False


def read(data: bytes) -> Parsed:
    """Read a DOCX document.

    Raises:
        UnreadableError: Damaged, a bomb, or without text.
    """
    _check_size(data)
    try:
        document = Document(io.BytesIO(data))
        flow = Flow()
        levels = _heading_styles(document)
        for text, style in _blocks(document.element[0]):
            (flow.heading if style in levels else flow.block)(text)
        title = clean(document.core_properties.title or "").strip()[:TITLE_CHARS_MAX]
    except (KeyError, ValueError, AttributeError, etree.LxmlError, zipfile.BadZipFile) as exc:
        raise UnreadableError(Reason.DAMAGED) from exc
    except (RecursionError, MemoryError) as exc:
        raise UnreadableError(Reason.TOO_COMPLEX) from exc
    return Parsed("docx", flow.finish(), title)


def _check_size(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, ValueError) as exc:
        raise UnreadableError(Reason.DAMAGED) from exc
    if any(part.flag_bits & 1 for part in parts):
        raise UnreadableError(Reason.ENCRYPTED)
    if len(parts) > _PARTS_MAX or sum(part.file_size for part in parts) > _EXPANDED_MAX:
        raise UnreadableError(Reason.TOO_COMPLEX)


def _heading_styles(document: Opened) -> frozenset[str]:
    """Return ids of the styles that have an outline level or are named as headings."""
    found = set()
    for style in document.styles.element.iter(qn("w:style")):
        name = style.find(qn("w:name"))
        value = "" if name is None else (name.get(qn("w:val")) or "").lower()
        outline = style.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
        if outline is not None or value.startswith(("heading ", "titre ")) or value == "title":
            found.add(style.get(qn("w:styleId")) or "")
    return frozenset(found)


def _blocks(parent: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield text and style of paragraphs; a row of a table is one block."""
    for child in parent:
        if child.tag == qn("w:p"):
            style = child.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
            yield _text(child), "" if style is None else style.get(qn("w:val")) or ""
        elif child.tag == qn("w:tbl"):
            for row in child.iter(qn("w:tr")):
                cells = (" ".join(_text(cell).split()) for cell in row.iter(qn("w:tc")))
                yield " | ".join(cells), ""
        elif child.tag in {qn("w:sdt"), qn("w:sdtContent"), qn("w:ins"), qn("w:customXml")}:
            yield from _blocks(child)


def _text(element: etree._Element) -> str:
    parts: list[str] = []
    walk = etree.iterwalk(element, events=("start",))
    for _, node in walk:
        if node.tag in {_DELETED, _FALLBACK}:
            walk.skip_subtree()
        elif node.tag == _TEXT:
            parts.append(node.text or "")
        elif node.tag in _BREAKS:
            parts.append(_BREAKS[node.tag])
        elif node.tag == qn("w:p") and parts:
            parts.append("\n")
    return "".join(parts)
