"""How far erasures were carried out: a file in the log, and its copy in the store of keys.

    {"last": index of the last `content.erase` whose keys are destroyed, -1 before the first,
     "ranges": [[first, end], …] of records whose contents are erased, ascending, joined}

The copy inside the store travels with its backups: when it is behind the log's, the store was
restored, and the erasures since have to be carried out again.
"""

from pathlib import Path

import msgspec

from appliance.audit.publisher import write_files

FILE = "erased"
Range = tuple[int, int]  # from the first record to before the end


class Marks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is erased for good."""

    last: int = -1
    ranges: list[Range] = []


def read(folder: Path) -> Marks | None:
    """Return the marks in a folder; None when there are none, or none that can be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Marks)
    except (OSError, msgspec.DecodeError):
        return None


def write(folder: Path, marks: Marks) -> None:
    """Replace the marks, durably.

    Raises:
        OSError: They are as they were.
    """
    write_files(folder, {FILE: msgspec.json.encode(marks) + b"\n"})
