"""Checks a whole log against the keys of the installation report. Changes nothing.

In this order, so that what fails is named as closely as it can be:

1. the checkpoint is signed by each key;
2. the hash tiles lead to its root: from here on each leaf hash is known to be signed;
3. each record in the bundles, and 4. in the journal, has its hash;
5. earlier checkpoints that the auditor brings are prefixes, and receipts are of this log;
6. each record is a leaf at its place;
7. the recorder would have admitted it: the budgets are recomputed on the way.

Of a log that was pruned the hashes are all there, and the records from where it begins on; the
budgets go on from the state whose digest the record of the pruning holds.

What is wrong raises `TamperedError`. What an honest log may show too is a finding: a request
without an end, a step of the clock, records that are durable and not yet signed. That the log
was not brought back to an earlier state, nothing in the log can prove: for that the auditor
brings what was kept elsewhere, the last signed root or an older checkpoint.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.audit.archive import Archive, Fault, Record, TamperedError
from appliance.audit.checkpoint import Checkpoint, empty, open_checkpoint
from appliance.audit.completeness import Finding, Remark, Watch
from appliance.audit.event import Fact, Kind, Leaf
from appliance.audit.key import Verifier
from appliance.audit.keyring import Keyring
from appliance.audit.lifecycle import replay
from appliance.audit.tile import WIDTH, complete_root, node_from_tiles, tile_at, tiles_of
from appliance.audit.tree import HASH_BYTES, Frontier, leaf_hash
from appliance.errors import FormatError, VerificationError
from appliance.ledger.admission import Admission
from appliance.ledger.budget import Standing
from appliance.ledger.period import Calendar

__all__ = ["Finding", "Remark", "Report", "Trust", "verify"]

CLOCK_STEP = 1_000_000  # microseconds
UNSIGNED_MAX = 120_000_000  # microseconds: a recorder signs every 10 s, every 60 s at most
EXIT_WHOLE, EXIT_TAMPERED, EXIT_UNSIGNED, EXIT_FINDINGS = 0, 1, 3, 4


@dataclass(frozen=True, slots=True)
class Trust:
    """What the auditor brings. Nothing of it comes from the log."""

    verifiers: Sequence[Verifier]  # of one log; each has to have signed
    earlier: Sequence[Checkpoint] = ()  # signed before, and kept elsewhere
    records: Mapping[int, bytes] = field(default_factory=dict[int, bytes])  # of good receipts
    time_zone: str = "Europe/Paris"  # in which the periods of budgets begin
    keyring: Keyring | None = None  # of a log whose keys were changed

    def open(self, note: bytes) -> Checkpoint:
        """Read a checkpoint that the keys of its size signed.

        Raises:
            FormatError: It is none.
            VerificationError: It is another log's, or not signed as it has to be.
        """
        if self.keyring is None:
            return open_checkpoint(note, *self.verifiers)
        return self.keyring.open(note)


@dataclass(frozen=True, slots=True)
class Report:
    """A log that holds together."""

    head: Checkpoint
    records: int  # in the journal; those from `head.size` on are not signed yet
    root: bytes  # of all of them
    findings: Sequence[Finding]
    budgets: Mapping[str, Standing]  # at the last record
    stopped_by: str
    open: int  # requests without an end
    pruned: int = 0  # records that went at their term, as the log says

    @property
    def exit_code(self) -> int:
        """0 nothing to remark, 3 not (or no longer) signed, or unproven, 4 other findings."""
        remarks = {finding.remark for finding in self.findings}
        if remarks & {Remark.UNSIGNED, Remark.UNPROVEN}:
            return EXIT_UNSIGNED
        return EXIT_FINDINGS if remarks else EXIT_WHOLE


def verify(directory: Path, trust: Trust) -> Report:
    """Check the log in a folder; also while its recorder runs.

    Raises:
        TamperedError: It is not the log that was signed; the error names the place.
    """
    archive = Archive(directory)
    head = _head(archive, trust)
    signed = _signed_hashes(archive, head, trust)
    for record in _bundles(archive, head):
        _check_hash(archive, record, signed, Fault.LEAF)
    walk = _Walk(archive, trust, signed)
    for record in archive.journal(head.size):
        if record.index < head.size:
            _check_hash(archive, record, signed, Fault.JOURNAL)
        if record.index >= archive.begins:
            walk.step(record, signed=record.index < head.size)
    return walk.report(head)


def _head(archive: Archive, trust: Trust) -> Checkpoint:
    note = archive.checkpoint()
    if note is None:
        return empty(trust.verifiers[0].name)
    try:
        return trust.open(note)
    except (FormatError, VerificationError) as exc:
        raise TamperedError(Fault.CHECKPOINT, str(exc), file="checkpoint") from exc


def _signed_hashes(archive: Archive, head: Checkpoint, trust: Trust) -> bytes:
    """Return the leaf hashes of the signed tree, one after the other."""
    levels: dict[int, bytearray] = {}
    for tile in tiles_of(head.size):
        data = archive.hashes(tile)
        level = levels.setdefault(tile.level, bytearray())
        if tile.level and data != _above(levels[tile.level - 1], len(level), len(data)):
            raise _narrowed(archive, bytes(levels[0]), head, trust)
        level += data
    node = node_from_tiles(head.size, lambda tile: _row(levels[tile.level], tile.index))
    if Frontier.from_nodes(head.size, node).root() != head.root:
        raise _narrowed(archive, bytes(levels.get(0, b"")), head, trust)
    return bytes(levels.get(0, b""))


def _row(level: bytes | bytearray, index: int) -> list[bytes]:
    start = index * WIDTH * HASH_BYTES
    end = min(len(level), start + WIDTH * HASH_BYTES)
    return [bytes(level[at : at + HASH_BYTES]) for at in range(start, end, HASH_BYTES)]


def _above(below: bytearray, start: int, length: int) -> bytes:
    """Return the bytes of a level, as the level below it makes them."""
    first, count = start // HASH_BYTES, length // HASH_BYTES
    return b"".join(complete_root(_row(below, n)) for n in range(first, first + count))


def _narrowed(archive: Archive, hashes: bytes, head: Checkpoint, trust: Trust) -> TamperedError:
    """Find the record because of which the tiles do not lead to the signed root.

    Whoever changed a record, and not all of bundle, hash and journal, left a difference between
    them; or differs from a receipt. Else all that is known is that the tree is another one.
    """
    journal = (one for one in archive.journal(head.size) if one.index >= archive.begins)
    for record in _bundles(archive, head):
        if leaf_hash(record.leaf) != _hash(hashes, record.index):
            return _fault(archive, record, Fault.TILE, "record and leaf hash differ")
        if next(journal, record).leaf != record.leaf:
            return _fault(archive, record, Fault.LEAF, "bundle and journal differ")
        if trust.records.get(record.index, record.leaf) != record.leaf:
            return _fault(archive, record, Fault.LEAF, "this is not the record of the receipt")
    detail = f"the tree has not the root that was signed for {head.size} records"
    return TamperedError(Fault.ROOT, detail, file="tile")


def _bundles(archive: Archive, head: Checkpoint) -> Iterator[Record]:
    for index in range(archive.begins // WIDTH, -(-head.size // WIDTH)):
        yield from archive.entries(tile_at(0, index, head.size))


def _hash(hashes: bytes, index: int) -> bytes:
    return hashes[index * HASH_BYTES : (index + 1) * HASH_BYTES]


def _prefix(signed: bytes, size: int) -> Frontier:
    """Return the frontier of the first records, from their leaf hashes."""

    def node(height: int, n: int) -> bytes:
        places = range(n << height, (n + 1) << height)
        return complete_root([_hash(signed, place) for place in places])

    return Frontier.from_nodes(size, node)


def _check_hash(archive: Archive, record: Record, signed: bytes, fault: Fault) -> None:
    if leaf_hash(record.leaf) != _hash(signed, record.index):
        raise _fault(archive, record, fault, "this is not the record that was signed")


def _fault(archive: Archive, record: Record, fault: Fault, detail: str) -> TamperedError:
    return TamperedError(
        fault, detail, file=record.file, record=record.index, offset=archive.offset(record)
    )


def _unfounded(begins: int, detail: str) -> TamperedError:
    return TamperedError(Fault.ADMISSION, detail, file="pruned", record=begins)


class _Walk:
    """Goes through the records in order, and keeps what the report needs."""

    def __init__(self, archive: Archive, trust: Trust, signed: bytes) -> None:
        self._archive = archive
        self._earlier = sorted(trust.earlier, key=lambda checkpoint: checkpoint.size)
        self._known = dict(trust.records)
        self._admission = Admission(Calendar(trust.time_zone))
        self._frontier = Frontier()
        self._unproven = trust.keyring.unproven() if trust.keyring else range(0)
        self._pruning = ""  # digest of the state, until its record is seen
        if archive.begins:
            self._begin(signed)
        self._findings: list[Finding] = []
        self._watch = Watch()
        self._last: Leaf | None = None
        self._times: list[int] = []  # of the records that are not signed: first and last

    def _begin(self, signed: bytes) -> None:
        """Begin where a pruned log does; what is older is compared with the hashes."""
        begins = self._archive.begins
        for index in sorted(self._known):
            if index < begins and leaf_hash(self._known.pop(index)) != _hash(signed, index):
                detail = "this is not the record of the receipt"
                raise TamperedError(Fault.ROLLBACK, detail, file="tile", record=index)
        older = [one for one in self._earlier if 0 < one.size < begins]
        self._earlier = [one for one in self._earlier if one.size >= begins]
        for one in older:
            self._frontier = _prefix(signed, one.size)
            self._check_root(one)
        self._frontier = _prefix(signed, begins)
        data = self._archive.state()
        self._pruning = base64.b64encode(hashlib.sha256(data).digest()).decode()
        try:
            self._admission = Admission.from_bytes(data, self._admission.calendar)
        except FormatError as exc:
            raise _unfounded(begins, str(exc)) from exc
        if self._admission.size != begins:
            raise _unfounded(begins, "the state is that of another record")

    def step(self, record: Record, *, signed: bool) -> None:
        """Check one record against those before it."""
        self._check_earlier()
        if self._known.pop(record.index, record.leaf) != record.leaf:
            detail = "this is not the record of the receipt"
            raise _fault(self._archive, record, Fault.ROLLBACK, detail)
        try:
            leaf = Leaf.parse(record.leaf)
        except FormatError as exc:
            raise _fault(self._archive, record, Fault.FORMAT, str(exc)) from exc
        try:
            replay(self._admission, [record.leaf])
        except (FormatError, VerificationError) as exc:
            raise _fault(self._archive, record, Fault.ADMISSION, str(exc)) from exc
        if self._stepped(leaf):
            self._findings.append(Finding(Remark.CLOCK, leaf.index))
        self._findings += self._watch.step(leaf)
        self._look_for_pruning(leaf)
        if not signed:
            self._times = [*self._times[:1], leaf.at]
        self._frontier.add(record.leaf)
        self._last = leaf

    def report(self, head: Checkpoint) -> Report:
        """Return what was found."""
        self._check_earlier()
        if self._pruning:
            detail = "no record says that those before were pruned"
            raise _unfounded(self._archive.begins, detail)
        missing = [checkpoint.size for checkpoint in self._earlier]
        missing += [index + 1 for index in self._known]
        if missing:
            raise TamperedError(
                Fault.ROLLBACK,
                f"the log ends here, {max(missing)} records were signed before",
                file="journal", record=self._frontier.size,
            )  # fmt: skip
        if self._unproven and self._unproven.start < self._frontier.size:
            self._findings.append(Finding(Remark.UNPROVEN, self._unproven.start))
        state, at = self._admission, self._last.at if self._last else 0
        if self._times and (head.size == 0 or self._times[-1] - self._times[0] > UNSIGNED_MAX):
            self._findings.append(Finding(Remark.UNSIGNED, head.size))
        places = sorted(state.requests.get(request, 0) for request in state.open)
        self._findings += [Finding(Remark.ORPHAN, index) for index in places]
        return Report(
            head, self._frontier.size, self._frontier.root(), self._findings,
            state.standings(at), state.stopped_by, len(state.open), self._archive.begins,
        )  # fmt: skip

    def _check_earlier(self) -> None:
        """Check the earlier checkpoints of just as many records as were seen."""
        while self._earlier and self._earlier[0].size == self._frontier.size:
            self._check_root(self._earlier.pop(0))

    def _check_root(self, one: Checkpoint) -> None:
        if one.root != self._frontier.root():
            raise TamperedError(
                Fault.ROLLBACK,
                f"the first {one.size} records are not those that were signed before",
                file="journal", record=one.size - 1,
            )  # fmt: skip

    def _look_for_pruning(self, leaf: Leaf) -> None:
        event = leaf.event
        if isinstance(event, Fact) and event.kind is Kind.AUDIT_PRUNE:
            said = event.data.get("end"), event.data.get("state")
            if said == (self._archive.begins, self._pruning):
                self._pruning = ""

    def _stepped(self, leaf: Leaf) -> bool:
        """Tell whether the clock was set before this leaf."""
        last = self._last
        if last is None:
            return False
        if isinstance(leaf.event, Fact) and leaf.event.kind is Kind.CLOCK_STEP:
            return True
        passed = leaf.at - last.at
        expected = leaf.mono - last.mono if leaf.boot == last.boot else max(passed, 0)
        return abs(passed - expected) > CLOCK_STEP
