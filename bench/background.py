"""Make the background list of `appliance/rag/background.py` from PIAF.

.venv/bin/python -m bench.background > appliance/rag/background.txt
"""

import random
import sys
import textwrap
from collections import Counter, defaultdict

from appliance.rag.analysis import frequencies
from bench.piaf import read

PASSAGES = 380
HEAD = """\
# In how many of 380 passages each French stem occurs: first the number, then the terms.
# Counted by this project with appliance/rag/analysis.py over passages of PIAF v1.0
# (etalab-ia/piaf-code, MIT), which are taken from the French Wikipedia (CC BY-SA 3.0). The
# list holds frequencies of words, no text of its source. Made by: python -m bench.background
"""


def render() -> str:
    """Return the list: the passages of articles in a fixed random order."""
    articles = sorted({p.article for p in read().passages})
    random.Random(1).shuffle(articles)  # noqa: S311 - always the same
    place = {article: i for i, article in enumerate(articles)}
    chosen = sorted(read().passages, key=lambda p: place[p.article])[:PASSAGES]
    df = Counter(t for p in chosen for t in frequencies(f"{p.title} {p.body}"))
    by_count: dict[int, list[str]] = defaultdict(list)
    for term, count in df.items():
        by_count[count].append(term)
    lines = [f"passages {PASSAGES}"]
    for count in sorted(by_count, reverse=True):
        rows = textwrap.wrap(" ".join(sorted(by_count[count])), 90)
        lines += [f"{count} {row}" for row in rows]
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
