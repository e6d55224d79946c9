"""Make the PDF and DOCX documents of the sample site from the Markdown beside this file.

    .venv/bin/python -m tests.data.sample.make

What it makes is committed: the demo needs neither fpdf2 nor this folder. A test reads each
document back and compares it with its source.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from docx import Document
from fpdf import FPDF

HERE = Path(__file__).parent
DOCUMENTS = HERE.parents[2] / "appliance/site/sample/documents"
MADE = {  # source to document
    "reglement-interieur": "procedures/reglement-interieur.pdf",
    "teletravail": "procedures/note-teletravail.docx",
    "achats": "procedures/guide-achats.pdf",
    "frais-mission": "ressources-humaines/frais-mission.pdf",
    "formation-specialisee": "ressources-humaines/compte-rendu-2026-03-12.docx",
    "pssi": "securite/pssi.pdf",
    "plan-continuite": "securite/plan-continuite.docx",
}
_FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


def read(name: str) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """Return the front matter, and the blocks with the level of their heading (0: none)."""
    text = (HERE / f"{name}.md").read_text("utf-8")
    front = _FRONT.match(text)
    assert front
    facts = dict(line.split(": ", 1) for line in front[1].splitlines())
    return facts, list(_blocks(text[front.end() :]))


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    for block in filter(None, (b.strip() for b in text.split("\n\n"))):
        level = len(block) - len(block.lstrip("#"))
        yield level, block.lstrip("# ")


class _Sheet(FPDF):
    """A page with a foot."""

    foot = ""

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font("helvetica", size=8)
        self.cell(0, 5, f"{self.foot} - page {self.page_no()}", align="C")


def make_pdf(facts: dict[str, str], blocks: list[tuple[int, str]], path: Path) -> None:
    pdf = _Sheet(format="A4")
    pdf.core_fonts_encoding = "cp1252"
    pdf.foot = facts["reference"]
    pdf.set_title(facts["title"])
    pdf.set_lang("fr-FR")
    pdf.set_creation_date(datetime.fromisoformat(facts["date"]).replace(tzinfo=UTC))
    pdf.set_margins(25, 22, 25)
    pdf.set_auto_page_break(auto=True, margin=24)
    pdf.add_page()
    for level, text in blocks:
        if level:
            pdf.start_section(text, level - 1)
            pdf.set_font("helvetica", "B", 17 - 3 * level)
        else:
            pdf.set_font("helvetica", size=11)
        with pdf.unbreakable() as whole:  # no sentence over two pages
            whole.multi_cell(0, 6 if not level else 8, text, new_x="LMARGIN", new_y="NEXT")
        pdf.ln(2)
    pdf.output(str(path))


def make_docx(facts: dict[str, str], blocks: list[tuple[int, str]], path: Path) -> None:
    document = Document()
    dated = datetime.fromisoformat(facts["date"]).replace(tzinfo=UTC)
    properties = document.core_properties
    properties.title, properties.language, properties.author = facts["title"], "fr-FR", ""
    properties.created = properties.modified = dated
    for level, text in blocks:
        if level:
            document.add_heading(text, level)
        else:
            document.add_paragraph(text)
    document.save(str(path))


def main() -> None:
    for name, target in MADE.items():
        facts, blocks = read(name)
        path = DOCUMENTS / target
        (make_pdf if path.suffix == ".pdf" else make_docx)(facts, blocks, path)


if __name__ == "__main__":
    main()
