"""Where a pruned log begins, and the state that its budgets had there.

    pruned/N.state     state of the admission before record N; the record `audit.prune` of that
                       pruning holds its SHA-256

Bundles and journal segments below the largest N are gone; every hash of the tree stays, so that
old receipts and new proofs hold. Who verifies begins with record N and this state.
"""

from pathlib import Path

FOLDER = "pruned"
_SUFFIX = ".state"


def name_of(index: int) -> str:
    """Return the file of a state, below the directory of the log."""
    return f"{FOLDER}/{index}{_SUFFIX}"


def minimum(directory: Path) -> int:
    """Return the first record that is still there; 0 when nothing was pruned."""
    found = (directory / FOLDER).glob(f"*{_SUFFIX}")
    return max((int(path.stem) for path in found if path.stem.isdecimal()), default=0)


def read_state(directory: Path, index: int) -> bytes:
    """Return the state before a record.

    Raises:
        OSError: It is not there.
    """
    return (directory / name_of(index)).read_bytes()
