"""What a log asks of a witness, and what the witness has to answer. Pure.

Format: https://c2sp.org/tlog-witness, body of `add-checkpoint`; the same bytes over HTTP and in
a file that is carried by hand:

    old <size>                of the last checkpoint that the witness cosigned; 0: none
    <base64 hash>             consistency proof from there, at most 63 lines
                              an empty line
    <the signed checkpoint>

A request has one form: what parsing accepts, printing gives back. The order of the checks is
that of the statuses below; the first that fails answers.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.key import Verifier, decode_base64
from appliance.audit.note import NOTE_BYTES_MAX, Note
from appliance.audit.proof import PATH_MAX
from appliance.audit.tree import HASH_BYTES, SIZE_MAX, verify_consistency
from appliance.errors import FormatError, VerificationError

_LINE_CHARS_MAX = 45  # of a hash, with its newline
REQUEST_BYTES_MAX = NOTE_BYTES_MAX + (PATH_MAX + 1) * _LINE_CHARS_MAX


class Status(IntEnum):
    """Of an answer, as HTTP numbers it. The body says nothing more, but for a conflict."""

    COSIGNED = 200
    MALFORMED = 400  # not a request, or the old size is larger than the new one
    NOT_SIGNED = 403  # by a key that the witness has for this log
    UNKNOWN = 404  # log
    CONFLICT = 409  # the old size is not that of the last checkpoint; the body says which
    INCONSISTENT = 422  # the log was changed, or the proof is not one


class RefusedError(VerificationError):
    """The witness does not cosign."""

    code = "CM-JRN-20"

    def __init__(self, status: Status, detail: str, known: int | None = None) -> None:
        self.status = status
        self.known = known  # of a conflict: size of the last checkpoint, leaves
        super().__init__(f"{int(status)}: {detail}")


@dataclass(frozen=True, slots=True)
class Request:
    """A new checkpoint, and the proof that it extends the one of `old` leaves."""

    old: int
    path: tuple[bytes, ...]
    note: bytes  # the signed checkpoint

    def to_bytes(self) -> bytes:
        """Return the body, or the file."""
        hashes = (base64.b64encode(one).decode() for one in self.path)
        return "\n".join([f"old {self.old}", *hashes, "", ""]).encode() + self.note

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a request. Nothing is verified here.

        Raises:
            FormatError: Not a request in its one form.
        """
        if len(data) > REQUEST_BYTES_MAX:
            raise FormatError(f"a request is at most {REQUEST_BYTES_MAX} bytes")
        head, separator, note = data.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as exc:
            raise FormatError("the request is not text") from exc
        old = first.removeprefix("old ")
        if (
            not separator
            or old == first
            or not old.isdecimal()
            or len(old) > len(str(SIZE_MAX))
        ):
            raise FormatError("a request begins with the old size")
        path = tuple(map(decode_base64, lines))
        if len(path) > PATH_MAX or any(len(one) != HASH_BYTES for one in path):
            raise FormatError("a proof is at most 63 hashes of 32 bytes")
        request = cls(int(old), path, note)
        Checkpoint.parse(Note.parse(note).text)
        if request.to_bytes() != data or request.old > SIZE_MAX:
            raise FormatError("the request is not in canonical form")
        return request

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says. Nobody has verified it."""
        return Checkpoint.parse(Note.parse(self.note).text)


def judge(request: Request, keys: Sequence[Verifier], latest: Checkpoint | None) -> Note:
    """Decide whether a witness may cosign.

    Args:
        request: Not trusted.
        keys: That the witness has for this log; none: it does not know it.
        latest: What the witness cosigned last for this log.

    Returns:
        The checkpoint with the signatures of the log's keys alone.

    Raises:
        RefusedError: It may not.
    """
    head = request.checkpoint
    if not keys or any(key.name != head.origin for key in keys):
        raise RefusedError(Status.UNKNOWN, f"the log {head.origin} is not known")
    note = _signed(request.note, keys)
    if request.old > head.size:
        raise RefusedError(
            Status.MALFORMED, f"the old size {request.old} is larger than {head.size}"
        )
    known = latest.size if latest else 0
    if request.old != known:
        raise RefusedError(
            Status.CONFLICT, f"the last checkpoint has {known} records", known=known
        )
    _check_extends(request, head, latest)
    return note


def _signed(data: bytes, keys: Sequence[Verifier]) -> Note:
    """Return the note with the lines of known keys: one at least, and none that is false."""
    note = Note.parse(data)
    own = [key for key in keys if note.of(key)]
    try:
        for key in own:
            note.verify(key)
    except VerificationError as exc:
        raise RefusedError(Status.NOT_SIGNED, str(exc)) from exc
    if not own:
        raise RefusedError(Status.NOT_SIGNED, "no key of the log signed the checkpoint")
    return Note(note.text, tuple(line for key in own for line in note.of(key)))


def _check_extends(request: Request, head: Checkpoint, latest: Checkpoint | None) -> None:
    if latest is None or latest.size == 0:
        if request.path:
            raise RefusedError(Status.INCONSISTENT, "from nothing there is nothing to prove")
        return
    try:
        verify_consistency((latest.size, latest.root), (head.size, head.root), request.path)
    except VerificationError as exc:
        raise RefusedError(Status.INCONSISTENT, str(exc)) from exc
