"""French typography, for what people read: interface strings and answers, never data.

No-break spaces before double signs and units, curly apostrophes, angle quotes. U+202F is almost
invisible in the console's typeface at 13 px, so one no-break space serves everywhere.
"""

import re

SPACE = "\u00a0"
_UNITS = (
    r"(?:%|€|ms|s|h|min|j|o|ko|Mo|Go|To|kW|kWh|W|jetons|passages|kg|M|°C|bar|N·m"
    r"|ans|mois|jours)"
)
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=\w)'(?=\w)", "’"),
        (r"\.\.\.", "…"),
        (r"(?<=\d) (?=\d{3}(?!\d))", SPACE),
        (r" (?=[;!?:»])", SPACE),
        (r"(?<=«) ", SPACE),
        (rf"(?<=\d) (?={_UNITS}(?:\W|$))", SPACE),
        (rf"(%(?:\(\w+\))?s) (?={_UNITS}(?:\W|$))", r"\1" + SPACE),
        (rf"(?<=\d){SPACE}(h|min) (?=\d)", SPACE + r"\1" + SPACE),
        (r"\b(nº|p\.|M\.|Mme|art\.|§) (?=\w)", r"\1" + SPACE),
    )
)
# A plain space where French has none that breaks: what the test of the pages looks for.
FAULT = re.compile(r"\S [;!?»]|\S : |« \S|(?<=\w)'(?=\w)|\.\.\.")


def french(text: str) -> str:
    """Return the text with French spacing and quotes. Applying it again changes nothing."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def plain(text: str) -> str:
    """Return the text as it is copied: with ordinary spaces."""
    return text.replace(SPACE, " ").replace("\u202f", " ")
