"""Compare the files of an environment with the RECORD of each of its wheels.

Usage: record.py ENVIRONMENT. Exit code 1 and one line per file that is missing, was changed, or
whose record holds no digest. What pip writes itself (RECORD, INSTALLER, REQUESTED, compiled
files) has no digest by design. Standard library only: it runs with the system's Python.
"""

import base64
import csv
import hashlib
import sys
from pathlib import Path

WRITTEN_ON_SITE = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


def digest(path: Path) -> str:
    """Return the digest of a file as RECORD writes it."""
    with path.open("rb") as file:
        raw = hashlib.file_digest(file, "sha256").digest()
    return "sha256=" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def complaints(packages: Path) -> list[str]:
    """Return one line per file of `packages` that is not what its wheel held."""
    found: list[str] = []
    for record in sorted(packages.glob("*.dist-info/RECORD")):
        with record.open(newline="", encoding="utf-8") as rows:
            for name, recorded, _ in csv.reader(rows):
                path = packages / name
                if not recorded:
                    if not name.endswith((*WRITTEN_ON_SITE, ".pyc")):
                        found.append(f"no digest: {name}")
                elif not path.is_file():
                    found.append(f"missing: {name}")
                elif digest(path) != recorded:
                    found.append(f"changed: {name}")
    return found


def main() -> int:
    """Verify the environment named on the command line."""
    (packages,) = Path(sys.argv[1]).glob("lib/python3*/site-packages")
    found = complaints(packages)
    for line in found:
        print(line)  # noqa: T201 - the output of the check
    records = len(list(packages.glob("*.dist-info/RECORD")))
    if not records:
        print("no wheel is installed")  # noqa: T201
    return 1 if found or not records else 0


if __name__ == "__main__":
    sys.exit(main())
