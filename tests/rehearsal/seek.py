"""Looks for secrets where none may be: run in the machine by Debian's python3.

Standard input: {needles: {name: [base64, …]}, folders: […], spared: […]}. Prints, for each
place, the names of what was found there. Its own arguments and environment hold no needle.
"""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OVERLAP = 4096  # bytes, longer than any needle
PIECE = 1 << 22


def processes() -> Iterator[tuple[str, bytes]]:
    """Yield the arguments and the environment of each process but this one."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        for part in ("cmdline", "environ"):
            try:
                yield part, (process / part).read_bytes()
            except OSError:  # it ended, or is the kernel's
                continue


def journal() -> Iterator[tuple[str, bytes]]:
    """Yield the journal, all fields, in pieces that overlap."""
    words = ["journalctl", "--no-pager", "--all", "--output=export"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as made:
        assert made.stdout is not None
        yield from (("journal", piece) for piece in pieces(made.stdout))


def pieces(stream: object) -> Iterator[bytes]:
    """Cut a stream into pieces that overlap."""
    rest = b""
    while data := stream.read(PIECE):  # type: ignore[attr-defined]
        yield rest + data
        rest = data[-OVERLAP:]


def files(folders: list[str], spared: list[str]) -> Iterator[tuple[str, bytes]]:
    """Yield what is in the files of these folders, less those below what is spared."""
    for folder in folders:
        for parent, inner, names in os.walk(folder):
            inner[:] = [one for one in inner if f"{parent}/{one}" not in spared]
            for name in names:
                path = Path(parent, name)
                if f"{path}" in spared or path.is_symlink() or not path.is_file():
                    continue
                with path.open("rb") as stream:
                    yield from ((str(path), piece) for piece in pieces(stream))


def main() -> None:
    work = json.load(sys.stdin)
    named = {
        base64.b64decode(text): name
        for name, texts in work["needles"].items()
        for text in texts
    }
    any_of = re.compile(b"|".join(re.escape(one) for one in sorted(named)))
    found: dict[str, set[str]] = {}
    counted: dict[str, int] = {}
    for source in (processes(), journal(), files(work["folders"], work["spared"])):
        for place, data in source:
            top = place if place[0] != "/" else "files"
            counted[top] = counted.get(top, 0) + len(data)
            for hit in any_of.findall(data):
                found.setdefault(place, set()).add(named[hit])
    hits = {place: sorted(names) for place, names in found.items()}
    print(json.dumps({"found": hits, "bytes": counted}))


if __name__ == "__main__":
    main()
