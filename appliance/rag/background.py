"""How common a term is in French, from a fixed list that everyone may read.

The list is part of the program, not of the site: the weight of a term is the same whatever the
asker may read, so a threshold means the same in a small scope, and no hidden row moves a score.
`background.txt` says where it comes from. Pure.
"""

import math
from importlib.resources import files

_K1, _B, _AVERAGE_LENGTH = 1.2, 0.75, 88.8  # as `lex_param`


def _read() -> tuple[int, dict[str, int]]:
    """Return the number of passages, and in how many each term occurs."""
    text = files("appliance.rag").joinpath("background.txt").read_text("utf-8")
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    (_, size), counts = lines[0], lines[1:]
    return int(size), {term: int(row[0]) for row in counts for term in row[1:]}


PASSAGES, _COUNTS = _read()


def weight(term: str) -> float:
    """Return the inverse frequency of a term."""
    df = _COUNTS.get(term, 0)
    return math.log(1 + (PASSAGES - df + 0.5) / (df + 0.5))


def saturation(tf: int, length: int) -> float:
    """Return how much `tf` occurrences count in a passage of `length` terms: below K1 + 1."""
    return tf * (_K1 + 1) / (tf + _K1 * (1 - _B + _B * length / _AVERAGE_LENGTH))


MOST = _K1 + 1  # of `saturation`
