"""Which reader a document needs, decided from its contents and nothing else."""

import re

from appliance.rag.formats import markdown, pdf, web, word
from appliance.rag.formats.flow import Flow
from appliance.rag.parsed import Parsed, Reason, UnreadableError, clean

_HTML = re.compile(
    r"<!doctype html|<html[\s>]"
    r"|\A\s*<(?:head|body|div|p|h[1-6]|table|ul|article|section|main)[\s>]",
    re.IGNORECASE,
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PROTECTED = "EncryptedPackage".encode("utf-16-le")
_TITLE_CHARS = 120
_CONTROLS_MAX = 0.001  # share of a text


def read(data: bytes) -> Parsed:
    """Read a document of whatever supported format.

    Raises:
        UnreadableError: It cannot be used; the reason says why.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise UnreadableError(Reason.EMPTY)
    if b"%PDF-" in data[:1024]:
        return pdf.read(data)
    if data.startswith(b"PK\x03\x04") and word.is_docx(data):
        return word.read(data)
    if data.startswith(_OLE) and _PROTECTED in data[:65_536]:
        raise UnreadableError(Reason.ENCRYPTED)
    return _read_text(_decode(data))


def _read_text(text: str) -> Parsed:
    if _HTML.search(text[:4_096]):
        return web.read(text)
    if markdown.is_markdown(text):
        return markdown.read(text)
    flow = Flow()
    for block in re.split(r"\n[ \t]*\n", text):
        flow.block(block)
    return Parsed("text", flow.finish(), _title(text))


def _title(text: str) -> str:
    """Return the first line when it reads as a title and no sentence goes on after it."""
    line, _, rest = text.strip().partition("\n")
    line, after = " ".join(line.split()), rest.split("\n", 1)[0].strip()
    goes_on = not rest or after[:1].islower()
    return "" if goes_on or len(line) > _TITLE_CHARS or line[-1:] in ".:;,?!" else line


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        controls = sum(text.count(chr(code)) for code in (*range(9), *range(14, 32)))
        if controls > _CONTROLS_MAX * len(text):
            break
        return clean(text)
    raise UnreadableError(Reason.UNKNOWN_FORMAT)
