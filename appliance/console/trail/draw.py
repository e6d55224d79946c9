r"""A draw of answers that anyone can make again, with the log alone.

The n-th number drawn is SHA-256("casemate draw v1\n" seed "\n" n "\n"), its first 16 bytes
modulo the length of the range. An event of that number counts when it is the end of an answer;
the others are passed over. So each answer of the range is as likely as any other, and who knows
seed, range and how many finds the same ones.
"""

import hashlib
from collections.abc import Iterator
from itertools import islice

SEED_CHARS = 32  # hex
WANTED_MAX, WANTED = 100, 20
BATCH, TRIES_MAX = 512, 60_000  # numbers: past it answers are too rare to be drawn so
KIND = "llm.completion"
_HEAD = "casemate draw v1"


def numbers(seed: str, first: int, end: int) -> Iterator[int]:
    """Yield the indexes drawn in [first, end), each once; `TRIES_MAX` are tried."""
    seen: set[int] = set()
    length = end - first
    for count in range(TRIES_MAX):
        if len(seen) >= length:
            return
        digest = hashlib.sha256(f"{_HEAD}\n{seed}\n{count}\n".encode()).digest()
        index = first + int.from_bytes(digest[:16], "big") % length
        if index not in seen:
            seen.add(index)
            yield index


def batches(seed: str, first: int, end: int) -> Iterator[list[int]]:
    """Yield the indexes drawn, some at a time, in the order they were."""
    drawn = numbers(seed, first, end)
    while batch := list(islice(drawn, BATCH)):
        yield batch
