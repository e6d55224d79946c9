"""How far erasures were carried out: a number in a file, once in the log, once in the store.

The number is the index of the last `content.erase` whose keys are destroyed, -1 before the
first. The copy inside the store of keys travels with its backups: when it is behind the log's,
the store was restored, and the erasures since have to be carried out again.
"""

from pathlib import Path

from appliance.audit.publisher import write_files

FILE = "erased"
NONE = -1


def read(folder: Path) -> int | None:
    """Return the number in a folder; None when there is none, or none that can be read."""
    try:
        return int((folder / FILE).read_text("ascii"))
    except (OSError, ValueError):
        return None


def write(folder: Path, index: int) -> None:
    """Replace the number, durably.

    Raises:
        OSError: It is as it was.
    """
    write_files(folder, {FILE: b"%d\n" % index})
