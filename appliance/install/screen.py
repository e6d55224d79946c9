"""What the engineer reads while it runs: one phase after the other, French or English. Pure.

Each phase says how long it should take and whether the machine may be switched off meanwhile.
"""

from collections.abc import Iterable
from enum import StrEnum

from appliance.install.phases import PHASES, Phase
from appliance.install.preflight import Check, Level


class Language(StrEnum):
    """Of what is shown."""

    FR, EN = "fr", "en"


_MARKS = {Level.PASS: "✓", Level.WARN: "!", Level.FAIL: "✗", Level.STRICT: "✗"}


def spoken(french: str, english: str, language: Language) -> str:
    """Return one of two texts."""
    return french if language == Language.FR else english


def duration(seconds: int) -> str:
    """Return a duration, such as `3 min 05 s`."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def begins(phase: Phase, language: Language) -> str:
    """Return the line of a phase that begins."""
    title = spoken(phase.french, phase.english, language)
    about = duration(phase.expected)
    if language == Language.FR:
        may = "oui" if phase.power_off else "NON"
        tail = f"environ {about}. Vous pouvez éteindre ici : {may}"
    else:
        may = "yes" if phase.power_off else "NO"
        tail = f"about {about}. You may switch off here: {may}"
    return f"[{phase.number:2d}/{len(PHASES)}] {title} — {tail}"


def ends(seconds: int, changed: int | None, language: Language) -> str:
    """Return the line of a phase that is done. `changed`: tasks that changed something."""
    line = f"        {spoken('fait en', 'done in', language)} {duration(seconds)}"
    if changed is None:
        return line
    return f"{line}, {changed} {spoken('modification(s)', 'change(s)', language)}"


def resumes(done: Iterable[Phase], language: Language) -> str:
    """Return the line of a start that goes on."""
    numbers = ", ".join(str(phase.number) for phase in done)
    return spoken(
        f"Reprise : phases déjà faites {numbers}.",
        f"Going on: phases already done {numbers}.",
        language,
    )


def checked(check: Check) -> str:
    """Return the line of a check, with its remedy when one is needed; its texts are French."""
    line = f"        {_MARKS[check.level]} {check.title} : {check.message}"
    if check.level == Level.PASS or not check.remedy:
        return line
    return f"{line}\n          {check.remedy}"


def total(changed: int, seconds: int, language: Language) -> str:
    """Return the last line of an installation."""
    return spoken(
        f"Installation terminée en {duration(seconds)} : {changed} modification(s).",
        f"Installation finished in {duration(seconds)}: {changed} change(s).",
        language,
    )
