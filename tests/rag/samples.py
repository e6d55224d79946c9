"""One document in each format, made here, with a sentence that is looked for."""

import io
import zipfile

from docx import Document
from fpdf import FPDF, FPDF_VERSION
from fpdf.enums import EncryptionMethod

NEEDLE = "Le délai de recours est de deux mois à compter de la notification."
FILLER = [
    f"Le paragraphe {n} rappelle une règle ordinaire du service. Il compte deux phrases."
    for n in range(1, 31)
]
SECTION, TITLE = "Voies de recours", "Guide des décisions"
assert FPDF_VERSION


def pdf(*, password: str = "", pages: int = 3) -> bytes:
    document = FPDF()
    if password:
        document.set_encryption(
            owner_password="owner",
            user_password=password,
            encryption_method=EncryptionMethod.AES_256,
        )
    document.set_title(TITLE)
    document.set_font("Helvetica", size=12)
    for number in range(1, pages + 1):
        document.add_page()
        if number == 2:
            document.start_section(SECTION)
            document.multi_cell(0, 8, SECTION, new_x="LMARGIN", new_y="NEXT")
            document.multi_cell(0, 8, NEEDLE, new_x="LMARGIN", new_y="NEXT")
        document.multi_cell(0, 8, " ".join(FILLER[:6]), new_x="LMARGIN", new_y="NEXT")
    return bytes(document.output())


def pdf_of_images() -> bytes:
    document = FPDF()
    document.add_page()
    document.rect(10, 10, 50, 50, style="F")
    return bytes(document.output())


def docx() -> bytes:
    document = Document()
    document.core_properties.title = TITLE
    document.add_heading(TITLE, 1)
    for text in FILLER[:10]:
        document.add_paragraph(text)
    document.add_heading(SECTION, 2)
    document.add_paragraph(NEEDLE)
    table = document.add_table(rows=2, cols=2)
    for row, cells in zip(table.rows, (("Acte", "Délai"), ("Refus", "deux mois")), strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def html() -> bytes:
    filler = "".join(f"<p>{text}</p>" for text in FILLER[:10])
    return f"""<!DOCTYPE html><html lang="fr"><head><title>{TITLE}</title>
      <meta name="reference" content="NS-12"><style>p {{ color: red }}</style></head>
      <body><nav hidden>invisible</nav><h1>{TITLE}</h1>{filler}
      <h2>{SECTION}</h2><p>{NEEDLE.replace("deux mois", "<b>deux</b> mois")}</p>
      <script>alert("invisible")</script><p style="display:none">invisible</p>
      <table><tr><th>Acte</th><th>Délai</th></tr>
      <tr><td>Refus</td><td>deux mois</td></tr></table>
      </body></html>""".encode()


def markdown() -> bytes:
    filler = "\n\n".join(FILLER[:10])
    return f"""---
title: {TITLE}
reference: NS-12
date: 2026-03-01
---

# {TITLE}

{filler}

## {SECTION}

{NEEDLE.replace("deux mois", "**deux mois**")}

- premier point
- second [point](http://exemple.invalid)

| Acte | Délai |
|------|-------|
| Refus | deux mois |
""".encode()


def text() -> bytes:
    return "\n\n".join([TITLE, *FILLER[:10], NEEDLE, *FILLER[10:]]).encode("cp1252")


def bomb(declared: int = 1 << 30) -> bytes:
    """Return an archive that says it unfolds to a gigabyte, and does."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "<w:document/>")
        with archive.open("word/media/zeros", "w", force_zip64=True) as file:
            for _ in range(declared >> 20):
                file.write(bytes(1 << 20))
    return buffer.getvalue()


def docx_with(xml: str) -> bytes:
    """Return a DOCX whose body is this XML."""
    original = io.BytesIO(docx())
    buffer = io.BytesIO()
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(buffer, "w") as archive:
        for name in source.namelist():
            data = source.read(name)
            archive.writestr(name, xml if name == "word/document.xml" else data)
    return buffer.getvalue()


FORMATS = {"pdf": pdf, "docx": docx, "html": html, "markdown": markdown, "text": text}
