"""Prunes the log: what is older than the site keeps goes, what proves it stays.

`audit.prune` is recorded first, with the records that go, on which ground and by whom; then
entry bundles and journal segments wholly below the new beginning are deleted, and the keys of
sealed contents destroyed. Hash tiles are never touched. A command that was cut short is run
again: what a recorded pruning left is deleted then.

No record goes before the floor, by the clock of its own leaf; the records are taken in order,
up to the first one that is too young. The recorder is stopped meanwhile; the state of the
budgets at the new beginning is replayed before that, while it still runs.
"""

import base64
import contextlib
import hashlib
import itertools
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from appliance.audit import pruned, publisher, volume
from appliance.audit.event import Kind
from appliance.audit.lifecycle import replay
from appliance.audit.lineage import current_origin
from appliance.audit.maintenance import Held, held
from appliance.audit.publisher import Publisher, write_files
from appliance.audit.retention import before
from appliance.audit.segments import Segments
from appliance.audit.tile import WIDTH, Tile
from appliance.audit.volume import JOURNAL
from appliance.errors import ApplianceError, FormatError
from appliance.ledger.admission import IDS_KEPT, Admission
from appliance.ledger.period import Calendar
from appliance.settings import RecorderSettings

_AT = re.compile(rb'\{"at":(\d+),')
_READ = 4_096  # leaves at once


class PruneError(ApplianceError):
    """The log is not pruned so; the message says why."""

    code = "CM-JRN-41"


@dataclass(frozen=True, slots=True)
class Age:
    """How old the log is, against what the site keeps."""

    first: int  # oldest record that is there
    oldest: int  # its clock, microseconds since 1970; 0: there is none
    floor: int  # records from this time on stay
    ceiling: int  # records before this time should be gone
    is_over: bool  # whether a bundle is kept, all of which should be gone


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be pruned."""

    first: int  # where the log begins now
    end: int  # where it will begin
    cutoff: int  # microseconds since 1970
    state: bytes  # of the admission before record `end`


def age_of(settings: RecorderSettings, now: int) -> Age:
    """Look at the oldest record.

    Raises:
        RollbackError: What is published is not of this log.
    """
    published = _published(settings)
    first = pruned.minimum(settings.directory)
    oldest = _at(published.entry(first)) if first < published.head.size else 0
    floor, ceiling = (
        before(now, months)
        for months in (settings.log_floor_months, settings.log_ceiling_months)
    )
    return Age(first, oldest, floor, ceiling, _is_over(published, first, ceiling))


def plan(settings: RecorderSettings, cutoff: int, now: int) -> Plan:
    """Find what is older than `cutoff`, and the state there. The recorder may run.

    Raises:
        PruneError: That is younger than the floor, or nothing is that old.
        RollbackError: What is published is not of this log.
        FormatError, VerificationError: The log is not whole.
    """
    if cutoff > before(now, settings.log_floor_months):
        raise PruneError(
            f"records of the last {settings.log_floor_months} months are kept, whoever asks"
        )
    published = _published(settings)
    first = pruned.minimum(settings.directory)
    end = _end(published, first, cutoff)
    if end <= first:
        raise PruneError("nothing is that old")
    state = _state(settings, first)
    for start in range(first, end, _READ):
        replay(state, published.entries(start, min(_READ, end - start)))
    return Plan(first, end, cutoff, state.to_bytes())


def carry_out(settings: RecorderSettings, wanted: Plan, person: str, basis: str) -> int:
    """Record a pruning, then delete; return how many keys of contents were destroyed.

    Raises:
        PruneError: The log was pruned meanwhile.
        VolumeError: The recorder runs.
        OSError: A write failed; run the command again.
    """
    with held(settings) as log:
        if pruned.minimum(settings.directory) != wanted.first:
            raise PruneError("the log was pruned meanwhile: plan again")
        digest = base64.b64encode(hashlib.sha256(wanted.state).digest()).decode()
        log.writer.record(
            Kind.AUDIT_PRUNE, first=wanted.first, end=wanted.end, state=digest, by=person,
            basis=basis[:200], cutoff=wanted.cutoff, floor_months=settings.log_floor_months,
        )  # fmt: skip
        log.publish()
        write_files(settings.directory, {pruned.name_of(wanted.end): wanted.state})
        return _delete(log)


def finish(settings: RecorderSettings) -> int:
    """Delete what a recorded pruning left, and nothing else.

    Raises:
        VolumeError: The recorder runs.
    """
    with held(settings) as log:
        return _delete(log)


def _published(settings: RecorderSettings) -> Publisher:
    origin = current_origin(settings.directory, settings.origin)
    signer = volume.read_signer(settings.directory, origin)
    published = Publisher(settings.directory, settings.last_signed, signer)
    published.load()
    return published


def _at(leaf: bytes) -> int:
    found = _AT.match(leaf)
    if found is None:
        raise FormatError("a leaf without its clock")
    return int(found[1])


def _is_over(published: Publisher, first: int, ceiling: int) -> bool:
    """Tell whether the first bundle could go, and should be gone."""
    if first + 2 * WIDTH > published.head.size:
        return False
    return all(_at(leaf) < ceiling for leaf in published.entries(first, WIDTH))


def _end(published: Publisher, first: int, cutoff: int) -> int:
    """Return the first record that is too young, at the beginning of its bundle."""
    last = published.head.size - published.head.size % WIDTH - WIDTH  # the edge is needed
    for start in range(first, last, WIDTH):
        if any(_at(leaf) >= cutoff for leaf in published.entries(start, WIDTH)):
            return start
    return max(first, last)


def _state(settings: RecorderSettings, first: int) -> Admission:
    calendar = Calendar(settings.time_zone)
    if not first:
        return Admission(calendar)
    return Admission.from_bytes(pruned.read_state(settings.directory, first), calendar)


def _delete(log: Held) -> int:
    directory = log.volume.directory
    end = pruned.minimum(directory)
    keys = log.volume.sealed.destroy(0, end) if end else 0
    for index in range(_oldest_bundle(directory, end), end // WIDTH):
        _drop(directory / Tile(0, index).bundle)
    _drop_segments(directory / JOURNAL, min(end, log.volume.size - IDS_KEPT))
    return keys


def _oldest_bundle(directory: Path, end: int) -> int:
    """Return the first bundle that may be there: those below went one after the other."""
    low, high = 0, end // WIDTH
    while low < high:
        middle = (low + high) // 2
        if (directory / Tile(0, middle).bundle).exists():
            high = middle
        else:
            low = middle + 1
    return low


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)
    shutil.rmtree(path.with_name(f"{path.name}.p"), ignore_errors=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()  # of a thousand bundles that are gone


def _drop_segments(folder: Path, end: int) -> None:
    files = Segments(folder, 0)
    try:
        firsts = files.firsts()
    finally:
        files.close()
    for first, following in itertools.pairwise(firsts):
        if following <= end:
            (folder / f"{first:016}").unlink()
    publisher.sync(folder)
