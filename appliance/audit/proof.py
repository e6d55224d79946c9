"""Proof that one entry is in the log, in one file.

Format: https://c2sp.org/tlog-proof (v1): a header, an optional line of unauthenticated bytes,
the index, the inclusion path and the signed checkpoint. A proof has one form: what parsing
accepts, printing gives back.
"""

import base64
from dataclasses import dataclass, replace
from typing import Self

from appliance.audit.checkpoint import Checkpoint, open_checkpoint
from appliance.audit.key import Verifier, decode_base64
from appliance.audit.note import NOTE_BYTES_MAX
from appliance.audit.tree import HASH_BYTES, SIZE_MAX, leaf_hash, verify_inclusion
from appliance.errors import FormatError

HEADER = "c2sp.org/tlog-proof@v1"
PATH_MAX = 63  # hashes: log2 of the largest tree
PROOF_BYTES_MAX = 2 * NOTE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Proof:
    """Where an entry is, and what leads from it to a signed root."""

    index: int
    path: tuple[bytes, ...]  # leaf to root
    note: bytes  # the signed checkpoint, as it was published
    extra: bytes | None = None  # not covered by any signature

    def to_bytes(self) -> bytes:
        """Return the file."""
        lines = [HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(sibling).decode() for sibling in self.path]
        return "\n".join([*lines, "", ""]).encode() + self.note

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a file. Nothing is verified here.

        Raises:
            FormatError: Not a proof in its one form.
        """
        if len(data) > PROOF_BYTES_MAX:
            raise FormatError(f"proof is longer than {PROOF_BYTES_MAX} bytes")
        head, separator, note = data.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as exc:
            raise FormatError("proof is not text") from exc
        if not separator or lines.pop(0) != HEADER:
            raise FormatError(f"proof does not begin with {HEADER}")
        extra = decode_base64(lines.pop(0)[6:]) if lines and lines[0][:6] == "extra " else None
        index = _index(lines.pop(0) if lines else "")
        path = tuple(map(decode_base64, lines))
        if len(path) > PATH_MAX or any(len(sibling) != HASH_BYTES for sibling in path):
            raise FormatError("the path of a proof is at most 63 hashes of 32 bytes")
        return cls(index, path, note, extra)

    def with_extra(self, extra: bytes) -> Self:
        """Return the proof with other unauthenticated bytes."""
        return replace(self, extra=extra)

    def verify(self, entry: bytes, *keys: Verifier) -> Checkpoint:
        """Check that `entry` is at its place in the log that the keys name.

        Returns:
            The signed checkpoint that covers it.

        Raises:
            FormatError: The checkpoint is not one.
            VerificationError: The checkpoint is not signed by each key, or has not the entry.
        """
        head = open_checkpoint(self.note, *keys)
        verify_inclusion(
            leaf_hash(entry), self.index, self.path, size=head.size, root=head.root
        )
        return head


def _index(line: str) -> int:
    number = line.removeprefix("index ")
    if line == number or not number.isdecimal() or len(number) > len(str(SIZE_MAX)):
        raise FormatError("proof has no line `index n`")
    index = int(number)
    if str(index) != number or index > SIZE_MAX:
        raise FormatError("the index is not in canonical form")
    return index
