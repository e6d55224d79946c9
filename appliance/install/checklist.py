"""The checklist of an installation, as a sheet for paper. Pure.

Made from the answers, and from the bundle when it is at hand; Markdown and PDF show the same
sheet.
"""

from collections.abc import Mapping
from datetime import date

from appliance.install.answers import Answers
from appliance.install.boxes import Brought, Said, sections, summary
from appliance.install.markdown import rendered
from appliance.install.screen import Language

Sheet = Mapping[str, object]


def sheet(answers: Answers, brought: Brought | None, as_of: date, language: Language) -> Sheet:
    """Return the checklist, ready for its templates.

    Args:
        answers: Checked.
        brought: What the media say, when they are at hand.
        as_of: Day that is printed.
        language: Of the sheet.
    """

    def say(text: Said | str) -> str:
        return text if isinstance(text, str) else text[language == Language.EN]

    title = say(("Liste de contrôle de l’installation", "Checklist of the installation"))
    marking = answers.marking or say(("non choisie", "none chosen"))
    return {
        "lang": language.value,
        "title": title,
        "subject": answers.site_name,
        "running": f"Casemate — {title} — {answers.site_name}",
        "foot": as_of.isoformat(),
        "marking": answers.marking,
        "moment": [as_of.year, as_of.month, as_of.day, 0, 0, 0],
        "colon": say((" :", ":")),
        "mention": say(
            (f"Mention de protection : {marking}.", f"Protective marking: {marking}.")
        ),
        "summary": [[say(name), say(value)] for name, value in summary(answers, brought)],
        "sections": [
            {
                "title": say(one.title),
                "intro": say(one.intro),
                "boxes": [
                    {"text": say(item.text), "blank": item.blank, "command": item.command}
                    for item in one.boxes
                ],
                "header": [say(name) for name in one.header],
                "widths": list(one.widths),
                "rows": [[say(cell) for cell in row] for row in one.rows],
            }
            for one in sections(answers, brought)
        ],
        "signed": [say(("Ingénieur", "Engineer")), say(("Pour le site", "For the site"))],
        "signing": say(("Nom, date et signature", "Name, date and signature")),
    }


def markdown(shown: Sheet) -> bytes:
    """Return the checklist in Markdown."""
    return rendered("checklist.md.j2", sheet=shown)
