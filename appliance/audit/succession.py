"""Begins a new epoch of the log, when the one that is here must not go on.

    <log>/epoch-statement      what the first person stated, until the second approves
    <log>/epochs/next/         the new log, before it takes the place
    <log>/epochs/complete      the statement that was approved: that log is whole
    <last signed>/next/        its last signed root

Refused while the log is whole. The old log moves to `epochs/N`, its private keys are destroyed
(nobody signs under that origin any more), and nothing of it is written again. The new log has
new keys, and begins with `audit.epoch`, the limits of the budgets as the old log had them, and
the stop if the service was stopped. What was used of a budget begins at zero.

Each step is durable before the next, and a command that is run again goes on where the last one
was: the new log is whole before the old one moves, and its private key arrives last, without
which no recorder starts.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance.audit import epoch, journal, lineage, publisher, volume
from appliance.audit.checkpoint import Checkpoint, empty
from appliance.audit.epoch import LAST_SIGNED, EpochError, Statement, origin_of, split
from appliance.audit.event import BudgetChange, Event, Kind, fact
from appliance.audit.key import SEED_BYTES, scalar_from, verifier_key
from appliance.audit.lifecycle import replay
from appliance.audit.maintenance import alone, destroy_key, held, now
from appliance.audit.publisher import CHECKPOINT, Publisher, RollbackError, write_files
from appliance.audit.recovery import recover
from appliance.audit.segments import Segments
from appliance.audit.volume import JOURNAL, VERIFIER_KEY
from appliance.audit.writer import RECORDER
from appliance.errors import ApplianceError, FormatError, VerificationError
from appliance.ledger.admission import Admission
from appliance.ledger.period import Calendar
from appliance.settings import RecorderSettings

STATEMENT = "epoch-statement"
_NEXT, _COMPLETE, _MOVED = "next", "complete", "moved"
_STAY = {lineage.EPOCHS, "lost+found"}


@dataclass(frozen=True, slots=True)
class Begun:
    """A log that took the place of another."""

    origin: str
    keys: str  # one verifier key a line: for the installation report
    lost: tuple[int, int]
    former: Path


@dataclass(frozen=True, slots=True)
class _Known:
    """A checkpoint of the log that was found somewhere."""

    head: Checkpoint
    text: str  # with its signatures, if it has any
    place: str


def propose(
    settings: RecorderSettings, person: str, reason: str, brought: Sequence[tuple[str, bytes]]
) -> Statement:
    """State what the log has, and what is known of it elsewhere.

    Args:
        settings: Of the recorder, which does not run.
        person: Who proposes.
        reason: In their words.
        brought: Checkpoints that people kept: name of the file, and the note.

    Raises:
        EpochError: The log is whole, or nothing says which log it was.
        VolumeError: The recorder runs, or there is no log.
        FormatError, VerificationError: A note that was brought is not of this log.
    """
    _check_refused(settings, brought)
    with alone(settings.directory):
        statement = _examine(settings, brought)
        stated = msgspec.structs.replace(
            statement, at=now(), proposed_by=person, reason=reason[:200]
        )
        write_files(settings.directory, {STATEMENT: stated.to_bytes()})
    return stated


def approve(settings: RecorderSettings, person: str, code: str) -> Begun:
    """Begin the new epoch that another person proposed; or end what was cut short.

    Raises:
        EpochError: Nothing was proposed, the same person, another code, or the log changed.
        VolumeError: The recorder runs.
        OSError: A write failed; run the command again.
    """
    with alone(settings.directory):
        if not _is_ready(settings.directory):
            statement = _proposed(settings.directory)
            epoch.check_approval(statement, code, person, now())
            _check_same(settings, statement)
            _build(settings, statement, person)
        return _switch(settings)


def _check_refused(settings: RecorderSettings, brought: Sequence[tuple[str, bytes]]) -> None:
    """Check that the log must not go on: by itself, or beside what people bring."""
    try:
        with held(settings) as log:
            signer = volume.read_signer(settings.directory, log.publisher.head.origin)
            keys = lineage.keys_ever(settings.directory, signer.verifiers)
            notes = [lineage.open_known(note, keys) for _, note in brought]
            calendar = Calendar(settings.time_zone)
        with volume.locked(settings.directory, settings.segment_bytes) as locked:
            recover(locked, log.publisher, calendar, notes)
    except (RollbackError, FormatError, VerificationError):
        return
    raise EpochError("the log is whole, and nothing that is known says more: it goes on")


def _examine(settings: RecorderSettings, brought: Sequence[tuple[str, bytes]]) -> Statement:
    directory = settings.directory
    number = lineage.current_epoch(directory)
    origin = origin_of(settings.origin, number)
    signer = volume.read_signer(directory, origin)
    keys = lineage.keys_ever(directory, signer.verifiers)
    published = Publisher(directory, settings.last_signed, signer)
    local, head = _local(published, origin)
    kept = _kept(directory)
    found = [
        _Known(lineage.open_known(note, keys), note.decode(), name) for name, note in brought
    ]
    for one, path in lineage.known_elsewhere(lineage.folders_of(settings), keys):
        found.append(_Known(one, path.read_text("utf-8"), str(path)))
    signed = _last_signed(settings.last_signed, origin)
    if signed is not None:
        found.append(_Known(signed, signed.text(), LAST_SIGNED))
    if not found:
        found.append(_Known(head, local or head.text(), CHECKPOINT))
    known, agreed = _largest(found, published)
    return Statement(
        agreed=agreed, at=0, damaged=kept is None, epoch=number + 1,
        kept=head.size if kept is None else kept, known=known.text, known_from=known.place,
        local=local, previous=origin, proposed_by="", reason="",
    )  # fmt: skip


def _largest(found: Sequence[_Known], published: Publisher) -> tuple[_Known, int]:
    """Return what says most against the log that is here, and how far others confirm it.

    Without anything against it, the largest checkpoint that there is confirms it.
    """
    here = [one for one in found if _is_here(published, one.head)]
    against = [one for one in found if one not in here]
    known = max(against or found, key=lambda one: (one.head.size, one.place != LAST_SIGNED))
    if not against:
        return known, known.head.size
    confirming = (one.head.size for one in here if one.place != LAST_SIGNED)
    return known, max(confirming, default=0)


def _local(published: Publisher, origin: str) -> tuple[str, Checkpoint]:
    """Return the last checkpoint that is here, if it is the log's own."""
    try:
        head = published.load()
    except RollbackError:
        head = empty(origin)
    return published.note.decode() if head.size else "", head


def _is_here(published: Publisher, one: Checkpoint) -> bool:
    """Tell whether the published log begins with this one."""
    try:
        published.check_published([one])
    except RollbackError:
        return False
    return one.size <= published.head.size


def _kept(directory: Path) -> int | None:
    """Return how many records the journal has; None when it cannot be read."""
    try:
        files = Segments(directory / JOURNAL, 0)
        try:
            return journal.scan(files.read(files.firsts()[-1])).next
        finally:
            files.close()
    except (OSError, FormatError, IndexError):
        return None


def _last_signed(folder: Path, origin: str) -> Checkpoint | None:
    try:
        found = Checkpoint.parse((folder / publisher.LAST_SIGNED).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, FormatError):
        return None
    return found if found.origin == origin else None


def _proposed(directory: Path) -> Statement:
    try:
        return Statement.parse((directory / STATEMENT).read_bytes())
    except OSError as exc:
        raise EpochError("nobody proposed a new epoch") from exc


def _check_same(settings: RecorderSettings, stated: Statement) -> None:
    """Check that the log is still the one that the statement is about."""
    found = _examine(settings, ())
    same = ("damaged", "epoch", "kept", "local", "previous")
    if any(getattr(found, name) != getattr(stated, name) for name in same):
        raise EpochError("the log is not the one of the statement any more: propose again")
    more = split(found.known)[0].size
    if found.agreed < more > split(stated.known)[0].size:
        raise EpochError("more is known elsewhere than the statement says: propose again")


# the new log


def _is_ready(directory: Path) -> bool:
    return (directory / lineage.EPOCHS / _COMPLETE).exists()


def _build(settings: RecorderSettings, statement: Statement, person: str) -> None:
    """Make the new log beside the old one, whole, with its last signed root."""
    new, signed = settings.directory / lineage.EPOCHS / _NEXT, settings.last_signed / _NEXT
    for folder in (new, signed):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
    origin = origin_of(settings.origin, statement.epoch)
    seed = secrets.token_bytes(SEED_BYTES)
    scalar = scalar_from(secrets.token_bytes(SEED_BYTES + 8))
    publisher.create(signed, origin)
    volume.create(new, seed, settings.segment_bytes, scalar)
    later = settings.model_copy(
        update={"directory": new, "last_signed": signed, "origin": origin, "known": None}
    )
    with held(later) as log:
        data = epoch.leaf_data(statement, person, now())
        log.writer.record(Kind.AUDIT_EPOCH, **data)
        for event in _carried(settings):
            log.writer.append(event, os.getuid())
        log.publish()
    write_files(new, {
        lineage.EPOCH: f"{statement.epoch}\n".encode(),
        VERIFIER_KEY: f"{verifier_key(origin, seed, scalar)}\n".encode(),
    })  # fmt: skip
    write_files(settings.directory / lineage.EPOCHS, {_COMPLETE: statement.to_bytes()})


def _carried(settings: RecorderSettings) -> list[Event]:
    """Return the limits of the old log, and its stop, as far as it can be read."""
    state = _state(settings)
    limits = {name: one.own for name, one in state.budgets.items() if one.own}
    limits |= state.defaults
    events: list[Event] = [
        BudgetChange(
            actor=RECORDER, budget=name, hard=limit.hard, id=secrets.token_hex(16),
            limit=limit.amount, period=limit.period.name.lower(),  # type: ignore[arg-type]
        )
        for name, limit in sorted(limits.items())
    ]  # fmt: skip
    if state.stopped_by:
        stop = fact(Kind.SERVICE_STOP, state.stopped_by, secrets.token_hex(16))
        events.append(stop)
    return events


def _state(settings: RecorderSettings) -> Admission:
    calendar = Calendar(settings.time_zone)
    state = Admission(calendar)
    with contextlib.suppress(OSError, FormatError):
        data = (settings.directory / volume.SNAPSHOT).read_bytes()
        state = Admission.from_bytes(data, calendar)
    with contextlib.suppress(ApplianceError):  # what was read up to there counts
        replay(state, volume.tail(settings.directory, state.size))
    return state


def _switch(settings: RecorderSettings) -> Begun:
    """Put the new log into its place. Each step finds out whether it was taken before."""
    directory, epochs = settings.directory, settings.directory / lineage.EPOCHS
    statement = Statement.parse((epochs / _COMPLETE).read_bytes())
    old = lineage.former(directory, statement.epoch - 1)
    _move_old(directory, old)
    _move_signed(settings.last_signed, statement)
    _move_new(epochs / _NEXT, directory)
    for key in (volume.KEY, volume.KEY_P256):
        destroy_key(old / key)
    _forbid_writing(old)
    keys = (directory / VERIFIER_KEY).read_text("ascii").strip()
    (epochs / _COMPLETE).unlink()
    publisher.sync(epochs)
    origin = origin_of(settings.origin, statement.epoch)
    return Begun(origin, keys, epoch.lost(statement), old)


def _move_new(new: Path, directory: Path) -> None:
    if not new.exists():
        return
    names = (path.name for path in new.iterdir())
    for name in sorted(names, key=lambda name: name == volume.KEY):
        (new / name).rename(directory / name)
        publisher.sync(directory)
    new.rmdir()


def _move_old(directory: Path, old: Path) -> None:
    if (old / _MOVED).exists():
        return
    old.mkdir(mode=0o700, exist_ok=True)
    for path in sorted(directory.iterdir()):
        if path.name not in _STAY:
            path.rename(old / path.name)
    publisher.sync(old)
    publisher.sync(directory)
    write_files(old, {_MOVED: b""})


def _move_signed(folder: Path, statement: Statement) -> None:
    new = folder / _NEXT
    if not (new / publisher.LAST_SIGNED).exists():
        return
    for name in (publisher.LAST_SIGNED, lineage.KNOWN):
        if (folder / name).exists():
            (folder / name).rename(folder / f"{name}.e{statement.epoch - 1}")
    (new / publisher.LAST_SIGNED).rename(folder / publisher.LAST_SIGNED)
    new.rmdir()
    publisher.sync(folder)


def _forbid_writing(folder: Path) -> None:
    """Leave a folder that is read and no more, lowest first."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(0o500 if path.is_dir() else 0o400)
    folder.chmod(0o500)
