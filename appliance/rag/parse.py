"""The parser program: a document on standard input, one line of JSON on standard output.

It runs apart from the worker, with nothing to take: no network, no file, no environment, no
other process (`isolation.py`). What it cannot read is an answer with a reason, never a hang:
run time is bounded here, and by the worker, which kills it.
"""

import codecs
import os
import sys

from appliance.rag import isolation
from appliance.rag.formats import detect
from appliance.rag.parsed import Answer, Reason, UnreadableError, encode

INPUT_BYTES_MAX = 256 * 1024 * 1024
_CODECS = (
    "ascii",
    "cp1252",
    "cp437",
    "latin-1",
    "utf-16",
    "utf-16-be",
    "utf-16-le",
    "utf-8-sig",
)


def main() -> None:
    """Read, isolate, parse, answer, and leave without any cleaning up."""
    walls = isolation.close_network()
    for name in _CODECS:
        codecs.lookup(name)  # Python reads them from files, which end here
    data = sys.stdin.buffer.read(INPUT_BYTES_MAX + 1)
    walls += isolation.limit()
    walls += isolation.filter_calls()
    line = encode(answer(data, walls))
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    os._exit(0)


def answer(data: bytes, walls: list[str]) -> Answer:
    """Return what can be said of a document."""
    if len(data) > INPUT_BYTES_MAX:
        return Answer(walls, reason=Reason.TOO_COMPLEX)
    try:
        return Answer(walls, detect.read(data))
    except UnreadableError as exc:
        return Answer(walls, reason=exc.reason)
    except (MemoryError, RecursionError):
        return Answer(walls, reason=Reason.TOO_COMPLEX)


if __name__ == "__main__":
    main()
