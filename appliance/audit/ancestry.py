"""Checks that a log of a later epoch follows the logs that its first record names.

What the record says is signed by the new log; what it embeds is signed by the old one, whose
keys the auditor brings. The folder of the old log is checked like any other, and has to be the
one that two people stated: same checkpoint, as many records. Nothing here undoes the break:
that records were lost stands in the report of every verification from then on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.audit.archive import Archive, Fault, TamperedError
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.epoch import Succession, epoch_of, origin_of
from appliance.audit.key import Verifier
from appliance.audit.lineage import former
from appliance.audit.note import Note
from appliance.audit.pruned import minimum
from appliance.audit.tile import tile_at
from appliance.audit.verify import Report, Trust, verify
from appliance.errors import FormatError, VerificationError

_TOLERATED = {Fault.JOURNAL, Fault.FORMAT, Fault.ADMISSION}  # in a log said to be damaged


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A former log, as the record of its successor tells it and as it was found."""

    origin: str
    told: Succession
    report: Report | None  # None: no key of it was brought, or it is damaged as was said


def ancestors(
    directory: Path, head: Checkpoint, keys: Sequence[Sequence[Verifier]], time_zone: str
) -> list[Ancestor]:
    """Check the logs that the log in `directory` follows, the latest first.

    Args:
        directory: Of the log, which is verified already.
        head: Its checkpoint.
        keys: Of former logs, as the auditor has them; where they end the check ends.
        time_zone: In which the periods of budgets begin.

    Raises:
        TamperedError: A former log is not the one that the record names.
    """
    epoch, origin, folder = epoch_of(head.origin), head.origin, directory
    found: list[Ancestor] = []
    while epoch > 1 and not minimum(folder):  # else its first record went at its term
        told = _told(folder, head, epoch)
        first = origin.removesuffix(f"/e{epoch}")
        epoch, origin = epoch - 1, origin_of(first, epoch - 1)
        if told.previous != origin:
            raise _fault(Fault.ROLLBACK, f"the log follows {told.previous}, not {origin}")
        folder = former(directory, epoch)
        own = next((of for of in keys if of[0].name == origin), None)
        report = _checked(folder, told, own, time_zone) if own else None
        found.append(Ancestor(origin, told, report))
        if report is None:
            break
        head = report.head
    return found


def _told(folder: Path, head: Checkpoint, epoch: int) -> Succession:
    """Return what the first record of a log says."""
    try:
        record = next(Archive(folder).entries(tile_at(0, 0, head.size)))
        told = Succession.parse(record.leaf)
    except (FormatError, StopIteration) as exc:
        raise _fault(Fault.FORMAT, f"the first record names no former log: {exc}") from exc
    if told.epoch != epoch:
        raise _fault(Fault.FORMAT, f"the first record is that of epoch {told.epoch}")
    return told


def _checked(
    folder: Path, told: Succession, keys: Sequence[Verifier], time_zone: str
) -> Report | None:
    for note in (told.local, told.known):
        _check_signed(note, keys)
    local = Checkpoint.parse(told.local.text) if told.local else None
    try:
        report = verify(folder, Trust(keys, time_zone=time_zone))
    except TamperedError as exc:
        if told.damaged and exc.fault in _TOLERATED:
            return None
        raise
    if local is not None and report.head != local:
        raise _fault(Fault.ROLLBACK, "the former log has another checkpoint than was stated")
    if report.records != told.kept and not told.damaged:
        detail = f"the former log has {report.records} records, {told.kept} were stated"
        raise _fault(Fault.ROLLBACK, detail)
    return report


def _check_signed(note: Note | None, keys: Sequence[Verifier]) -> None:
    """Check what was signed; what was only about to be signed has no signature."""
    if note is None or not note.signatures:
        return
    known = [key for key in keys if note.of(key)] or keys[:1]  # of none: the first one refuses
    try:
        for key in known:
            note.verify(key)
    except VerificationError as exc:
        detail = f"a checkpoint in the first record: {exc}"
        raise _fault(Fault.CHECKPOINT, detail) from exc


def _fault(fault: Fault, detail: str) -> TamperedError:
    return TamperedError(fault, detail, file="epochs", record=0)
