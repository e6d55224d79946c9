"""A new epoch of the log: what two people state, and the first leaf that repeats it.

A log that is behind what was signed is never continued: that would be a fork. A new log takes
its place, under the origin `<first origin>/e<number>`, and its leaf 0 (`audit.epoch`) says what
it follows: the last checkpoint of the log that is here, the largest checkpoint that is known
elsewhere, and so which records are lost. Signatures travel along, as they stood under both.

A person proposes, who reads the code of the statement to another; that one approves by typing
the code. Both are named in the leaf. Pure: the clock is an argument.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.event import Fact, Kind, Leaf
from appliance.audit.note import Note, Signature
from appliance.errors import ApplianceError, FormatError

VALID = 24 * 3_600_000_000  # microseconds in which a statement may be approved
SIGNATURES_MAX = 4  # of the log itself, under one checkpoint
LAST_SIGNED = "last-signed"  # where the larger checkpoint was found, if no file has it
_GROUP = 4
_SUFFIX = re.compile(r"/e([2-9]|[1-9][0-9]{1,3})\Z")


class EpochError(ApplianceError):
    """A new epoch cannot begin so; the message says why."""

    code = "CM-JRN-40"


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the first person states about the log that is here. JSON with sorted keys."""

    agreed: int  # records that a checkpoint from elsewhere confirms
    at: int  # microseconds since 1970
    damaged: bool  # whether the journal could not be read after `signed`
    epoch: int  # number of the log to come; the first log has 1
    kept: int  # records that are here
    known: str  # note or text of the largest checkpoint known elsewhere
    known_from: str  # file in which it was found, or LAST_SIGNED
    local: str  # note of the last checkpoint that is here; "" when there is none
    previous: str  # origin of the log that is here
    proposed_by: str
    reason: str

    def to_bytes(self) -> bytes:
        """Return the bytes that are stored and that the code stands for."""
        return msgspec.json.encode(self, order="sorted")

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a stored statement.

        Raises:
            FormatError: It is none.
        """
        try:
            found = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise FormatError(f"not a statement: {exc}") from exc
        if found.to_bytes() != data:
            raise FormatError("the statement is not in canonical form")
        return found

    def code(self) -> str:
        """Return what one person reads to the other: 16 hexadecimal digits in groups."""
        digits = hashlib.sha256(self.to_bytes()).hexdigest()[: 4 * _GROUP]
        return "-".join(digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP))


def origin_of(first: str, epoch: int) -> str:
    """Return the origin of an epoch's log; `first` is the origin of the first one."""
    return first if epoch == 1 else f"{first}/e{epoch}"


def epoch_of(origin: str) -> int:
    """Return the epoch that an origin names; 1 when it names none."""
    found = _SUFFIX.search(origin)
    return int(found[1]) if found else 1


def check_approval(statement: Statement, code: str, person: str, now: int) -> None:
    """Check that a second person approves this very statement, in time.

    Raises:
        EpochError: The same person, another code, or too late.
    """
    if person == statement.proposed_by:
        raise EpochError("another person has to approve")
    if code.strip().lower() != statement.code():
        raise EpochError("this is not the code of the statement")
    if not 0 <= now - statement.at <= VALID:
        raise EpochError("the statement is older than a day: propose again")


def split(text: str) -> tuple[Checkpoint, Sequence[Signature]]:
    """Read a checkpoint, signed or not; return it with the log's own signatures.

    Raises:
        FormatError: Not a checkpoint, or it carries too many signatures.
    """
    if "\n\n" not in text:
        return Checkpoint.parse(text), ()
    note = Note.parse(text.encode())
    head = Checkpoint.parse(note.text)
    own = [line for line in note.signatures if line.name == head.origin]
    if len(own) > SIGNATURES_MAX:
        raise FormatError("too many signatures of one log")
    return head, own


def lost(statement: Statement) -> tuple[int, int]:
    """Return the records that are not here: from the first to before the second."""
    known, _ = split(statement.known)
    if known.size > statement.kept:
        return statement.kept, known.size
    return min(statement.agreed, known.size), known.size  # a fork: these are others here


def leaf_data(statement: Statement, approved_by: str, at: int) -> dict[str, str | int]:
    """Return the fields of leaf 0."""
    known, known_lines = split(statement.known)
    data: dict[str, str | int] = {
        "epoch": statement.epoch, "previous": statement.previous, "kept": statement.kept,
        "agreed": statement.agreed,
        "known": known.size, "known_root": _text(known.root),
        "known_from": statement.known_from[:200], "damaged": int(statement.damaged),
        "reason": statement.reason[:200], "proposed_by": statement.proposed_by,
        "proposed_at": statement.at, "approved_by": approved_by, "approved_at": at,
        "code": statement.code(),
    }  # fmt: skip
    data["lost_first"], data["lost_end"] = lost(statement)
    if statement.local:
        local, lines = split(statement.local)
        data["signed"], data["root"] = local.size, _text(local.root)
        data.update(_lines("sig", lines))
    data.update(_lines("known_sig", known_lines))
    return data


@dataclass(frozen=True, slots=True)
class Succession:
    """What leaf 0 of a later epoch says."""

    epoch: int
    previous: str
    local: Note | None  # the last checkpoint of the former log, as it was signed
    kept: int
    known: Note  # without signatures when it was only about to be signed
    known_from: str
    lost: tuple[int, int]
    damaged: bool
    people: tuple[str, str]

    @classmethod
    def parse(cls, stored: bytes) -> Self:
        """Read leaf 0.

        Raises:
            FormatError: It is not what a new epoch begins with.
        """
        event = Leaf.parse(stored).event
        if not isinstance(event, Fact) or event.kind is not Kind.AUDIT_EPOCH:
            raise FormatError("an epoch begins with another record")
        try:
            return cls._of(event.data)
        except (KeyError, TypeError, ValueError) as exc:
            raise FormatError(f"the record of an epoch lacks something: {exc}") from exc

    @classmethod
    def _of(cls, data: Mapping[str, str | int]) -> Self:
        numbers = {
            name: int(data[name])
            for name in ("epoch", "kept", "known", "lost_first", "lost_end", "damaged")
        }
        previous = str(data["previous"])
        known = Checkpoint(previous, numbers["known"], _bytes(data["known_root"]))
        local = None
        if "root" in data:
            head = Checkpoint(previous, int(data["signed"]), _bytes(data["root"]))
            local = Note(head.text(), _signatures(data, "sig", previous))
        return cls(
            numbers["epoch"], previous, local, numbers["kept"],
            Note(known.text(), _signatures(data, "known_sig", previous)),
            str(data["known_from"]), (numbers["lost_first"], numbers["lost_end"]),
            bool(numbers["damaged"]), (str(data["proposed_by"]), str(data["approved_by"])),
        )  # fmt: skip


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str | int) -> bytes:
    return base64.b64decode(str(text), validate=True)


def _lines(name: str, lines: Sequence[Signature]) -> dict[str, str]:
    return {
        f"{name}_{place}": _text(line.key_id + line.data) for place, line in enumerate(lines)
    }


def _signatures(data: Mapping[str, str | int], name: str, origin: str) -> tuple[Signature, ...]:
    found = (data.get(f"{name}_{place}") for place in range(SIGNATURES_MAX))
    return tuple(Signature.parse(f"\u2014 {origin} {text}") for text in found if text)
