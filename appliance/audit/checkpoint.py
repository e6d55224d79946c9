"""Checkpoint of the log: how many leaves it has, and their Merkle root.

Format: https://c2sp.org/tlog-checkpoint, without extension lines. Only this module knows the
text; signatures are in `note.py`. One checkpoint has exactly one text, and back.
"""

import base64
from dataclasses import dataclass
from typing import Self

from appliance.audit.key import Verifier, check_name
from appliance.audit.note import Note
from appliance.audit.tree import EMPTY_ROOT, HASH_BYTES, SIZE_MAX
from appliance.errors import FormatError, VerificationError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Tree head: the log named `origin` had `size` leaves and Merkle root `root`."""

    origin: str
    size: int  # leaves
    root: bytes  # SHA-256

    def __post_init__(self) -> None:
        check_name(self.origin)
        if not 0 <= self.size <= SIZE_MAX:
            raise FormatError(f"tree size {self.size} is out of range")
        if len(self.root) != HASH_BYTES:
            raise FormatError(f"root hash is {len(self.root)} bytes, expected {HASH_BYTES}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise FormatError("an empty tree has one root only")

    def text(self) -> str:
        """Return the body of the note, with its final newline."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the body of a note.

        Raises:
            FormatError: The text is not the one canonical form of a checkpoint.
        """
        match text.split("\n"):
            case [origin, size, root, ""]:
                pass
            case _:
                raise FormatError("checkpoint must be three lines")
        try:
            checkpoint = cls(origin, int(size), base64.b64decode(root))
        except ValueError as exc:
            raise FormatError("tree size or root hash is unreadable") from exc
        if checkpoint.text() != text:  # int() and b64decode() are lenient; this is not
            raise FormatError("checkpoint is not in canonical form")
        return checkpoint


def empty(origin: str) -> Checkpoint:
    """Return the checkpoint of a log without leaves."""
    return Checkpoint(origin, 0, EMPTY_ROOT)


def open_checkpoint(note: bytes, *keys: Verifier) -> Checkpoint:
    """Read a signed checkpoint of the log that the keys name.

    Args:
        note: Not trusted.
        keys: Of one log; each has to have signed.

    Raises:
        FormatError: Not a note, or its text is not a checkpoint.
        VerificationError: Another log's, or not signed by each key.
    """
    assert keys
    parsed = Note.parse(note)
    for key in keys:
        parsed.verify(key)
    checkpoint = Checkpoint.parse(parsed.text)
    if checkpoint.origin != keys[0].name:
        raise VerificationError(
            f"the checkpoint is of log {checkpoint.origin}, not of {keys[0].name}"
        )
    return checkpoint
