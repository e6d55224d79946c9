"""Letters that the fonts of the typesetter have. Pure.

An archived document may hold no letter without a shape. One that has none is printed as a
square: a paper that is complete but for one name is better than none at the end of an
installation. The facts beside it keep the name as it was given.
"""

import re
from collections.abc import Mapping

SQUARE = "□"
# Latin, Greek, Cyrillic; punctuation, currencies, numbers, arrows, operators, boxes.
_SHAPED = re.compile(
    "[^\x20-\x7e\xa0-\xac\xae-\u04ff\u1e00-\u1eff\u2010-\u2015\u2018-\u2027\u202f-\u203a"
    "\u2044\u2070-\u2071\u2074-\u208e\u20a0-\u20bf\u2190-\u21ff\u2200-\u22ff\u2500-\u25ff"
    "\u2610-\u2612\u2713]"
)


def shaped(value: object) -> object:
    """Return JSON data of which every letter has a shape; ends of lines become spaces."""
    if isinstance(value, str):
        return _SHAPED.sub(SQUARE, " ".join(value.splitlines()))
    if isinstance(value, Mapping):
        return {key: shaped(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [shaped(one) for one in value]
    return value
