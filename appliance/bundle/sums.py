"""SHA256SUMS: every file that a bundle carries, for `sha256sum -c` and for people.

The manifest holds the SHA-256 of this file, so one signature covers the whole folder. What it
cannot list is what is made after it: the manifest, signatures, the roots, `medium.json`.
"""

import re

from appliance.bundle.paths import check_path, check_unique
from appliance.errors import FormatError

NAME = "SHA256SUMS"
SUMS_BYTES_MAX = 64 << 20
_LINE = re.compile(r"([0-9a-f]{64})  (.+)\Z")


def text(entries: dict[str, str]) -> bytes:
    """Return the file for path → digest, sorted by path."""
    return "".join(f"{entries[path]}  {path}\n" for path in sorted(entries)).encode()


def parse(data: bytes) -> dict[str, str]:
    """Return path → digest.

    Raises:
        FormatError: Not what `text` writes.
    """
    try:
        lines = data.decode().split("\n")
    except UnicodeDecodeError as exc:
        raise FormatError(f"{NAME} is not UTF-8") from exc
    entries: dict[str, str] = {}
    for line in lines[:-1]:
        if (match := _LINE.match(line)) is None:
            raise FormatError(f"{NAME}: expected a digest and a path: {line[:80]!r}")
        entries[check_path(match[2])] = match[1]
    check_unique(list(entries))
    if text(entries) != data:
        raise FormatError(f"{NAME} is not sorted, or repeats a path")
    return entries
