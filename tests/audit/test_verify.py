"""The verifier against logs that somebody changed, and against honest ones."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from appliance.audit import journal
from appliance.audit.archive import Fault, TamperedError
from appliance.audit.checkpoint import Checkpoint
from appliance.audit.event import Event, Interrupted, Kind, fact
from appliance.audit.falsify import Kind as Falsification
from appliance.audit.falsify import falsify
from appliance.audit.key import Signer
from appliance.audit.note import sign
from appliance.audit.tree import Frontier
from appliance.audit.verify import (
    EXIT_FINDINGS,
    EXIT_UNSIGNED,
    EXIT_WHOLE,
    Remark,
    Trust,
    verify,
)
from tests.audit import logs

TRUST = Trust(logs.SIGNER.verifiers)
COUNT = 200  # requests: 401 records, two bundles, four segments
STORED = logs.leaves(logs.exchanges(COUNT))
SIZE = len(STORED)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return logs.write(tmp_path_factory.mktemp("template"), STORED)


@pytest.fixture
def log(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "log"))


def refused(log: Path, trust: Trust = TRUST) -> TamperedError:
    with pytest.raises(TamperedError) as caught:
        verify(log, trust)
    return caught.value


def small(folder: Path, events: Sequence[Event], signed: int | None = None) -> Path:
    return logs.write(folder, logs.leaves(events), signed)


# honest logs


def test_an_honest_log_is_whole_and_its_budgets_are_recomputed(log: Path) -> None:
    report = verify(log, TRUST)
    assert (report.exit_code, report.records, report.findings) == (EXIT_WHOLE, SIZE, [])
    assert report.head == Checkpoint(logs.ORIGIN, SIZE, report.root)
    site, user = report.budgets["site"], report.budgets["user:sub-of-agent"]
    assert (site.used, site.reserved, site.remaining) == (COUNT * 300, 0, 1_000_000 - 60_000)
    assert (user.used, user.remaining) == (COUNT * 300, None)


def test_nothing_is_changed_by_verifying(log: Path) -> None:
    def state() -> dict[str, tuple[int, bytes]]:
        files = (path for path in log.rglob("*") if path.is_file())
        return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in files}

    before = state()
    verify(log, TRUST)
    assert state() == before


def test_records_that_are_not_signed_yet_are_counted(tmp_path: Path) -> None:
    report = verify(small(tmp_path, logs.exchanges(20), 31), TRUST)
    assert (report.exit_code, report.head.size, report.records) == (EXIT_WHOLE, 31, 41)


def test_an_empty_log_is_whole(tmp_path: Path) -> None:
    report = verify(small(tmp_path, []), TRUST)
    assert (report.exit_code, report.records, report.budgets) == (EXIT_WHOLE, 0, {})


def test_a_log_that_was_never_signed_is_told_apart(tmp_path: Path) -> None:
    log = small(tmp_path, logs.exchanges(3), 0)
    assert not (log / "checkpoint").exists()
    report = verify(log, TRUST)
    assert (report.exit_code, report.head.size) == (EXIT_UNSIGNED, 0)
    assert [(f.remark, f.record) for f in report.findings] == [(Remark.UNSIGNED, 0)]


def test_a_recorder_that_stopped_signing_is_told_apart(tmp_path: Path) -> None:
    stored = logs.leaves(logs.exchanges(3))
    late = logs.leaf(7, logs.intent(3)).replace(b'"at":1795420800', b'"at":1795421800')
    end = logs.leaf(8, logs.completion(3)).replace(b'"at":1795420800', b'"at":1795421800')
    report = verify(logs.write(tmp_path, [*stored, late, end], 5), TRUST)
    assert report.exit_code == EXIT_UNSIGNED
    assert (Remark.UNSIGNED, 5) in [(f.remark, f.record) for f in report.findings]


def test_requests_without_an_end_are_named(tmp_path: Path) -> None:
    events = [*logs.exchanges(3), logs.intent(3), logs.intent(4)]
    report = verify(small(tmp_path, events), TRUST)
    assert (report.exit_code, report.open) == (EXIT_FINDINGS, 2)
    assert [(f.remark, f.record) for f in report.findings] == [
        (Remark.ORPHAN, 7), (Remark.ORPHAN, 8),
    ]  # fmt: skip
    assert report.budgets["site"].reserved == 1_800


def test_a_request_that_was_interrupted_has_an_end(tmp_path: Path) -> None:
    end = Interrupted(
        actor="sub-of-agent", answer=logs.completion(0).answer, completion_tokens=0,
        duration=0, finish="gateway_lost", flags=[], id="x" * 16, label=1, prompt_tokens=0,
        request=logs.intent(0).request, spend={"site": 900}, status=0,
    )  # fmt: skip
    report = verify(small(tmp_path, [logs.budget(), logs.intent(0), end]), TRUST)
    assert (report.exit_code, report.budgets["site"].used) == (EXIT_WHOLE, 900)


def test_a_step_of_the_clock_is_a_finding_and_not_a_fault(tmp_path: Path) -> None:
    stored = logs.leaves(logs.exchanges(3))
    stored[4] = stored[4].replace(b'"at":1795420800', b'"at":1795417200')  # an hour back
    report = verify(logs.write(tmp_path, stored), TRUST)
    assert report.exit_code == EXIT_FINDINGS
    assert [(f.remark, f.record) for f in report.findings] == [
        (Remark.CLOCK, 4), (Remark.CLOCK, 5),
    ]  # fmt: skip


def test_a_step_that_the_recorder_wrote_down_is_a_finding(tmp_path: Path) -> None:
    step = fact(Kind.CLOCK_STEP, "recorder", "c" * 16)
    report = verify(small(tmp_path, [logs.budget(), step]), TRUST)
    assert [(f.remark, f.record) for f in report.findings] == [(Remark.CLOCK, 1)]


def test_a_stopped_service_is_reported(tmp_path: Path) -> None:
    stop = fact(Kind.SERVICE_STOP, "rssi", "s" * 16)
    assert verify(small(tmp_path, [stop]), TRUST).stopped_by == "rssi"


# what somebody changed: each is refused and names the record, or says why it cannot

NAMED = {
    Falsification.RECORD: (Fault.LEAF, "tile/entries/"),
    Falsification.BUNDLE: (Fault.LEAF, "tile/entries/"),
    Falsification.JOURNAL: (Fault.JOURNAL, "journal/"),
    Falsification.BIT: (Fault.JOURNAL, "journal/"),
    Falsification.HASH: (Fault.TILE, "tile/entries/"),
    Falsification.DELETE: (Fault.LEAF, "tile/entries/"),
    Falsification.CUT: (Fault.LEAF, "tile/entries/"),
}


@pytest.mark.parametrize("index", [1, 2, 255, 256, 300, SIZE - 1])
@pytest.mark.parametrize("kind", NAMED)
def test_a_changed_record_is_named_with_its_file_and_byte(
    log: Path, kind: Falsification, index: int
) -> None:
    done = falsify(log, log.with_name("copy"), kind, index)
    error = refused(log.with_name("copy"))
    fault, folder = NAMED[kind]
    assert (error.fault, error.record) == (fault, index)
    assert error.file.startswith(folder)
    found = (log.with_name("copy") / error.file).read_bytes()[error.offset :]
    assert found.startswith(done.after[:10])
    verify(log, TRUST)  # the log itself was not changed


def test_of_two_records_that_changed_places_the_first_is_named(log: Path) -> None:
    falsify(log, log.with_name("copy"), Falsification.SWAP, 300)
    error = refused(log.with_name("copy"))
    assert (error.fault, error.record) == (Fault.LEAF, 299)


def test_a_log_rewritten_as_a_whole_does_not_fit_its_signature(log: Path) -> None:
    falsify(log, log.with_name("copy"), Falsification.REWRITTEN, 42)
    assert refused(log.with_name("copy")).fault == Fault.ROOT


def test_a_receipt_names_the_record_in_a_log_rewritten_as_a_whole(log: Path) -> None:
    falsify(log, log.with_name("copy"), Falsification.REWRITTEN, 42)
    error = refused(log.with_name("copy"), replace(TRUST, records={42: STORED[42]}))
    assert (error.fault, error.record) == (Fault.LEAF, 42)


def test_a_journal_that_was_forgotten_names_the_record_in_a_rewritten_log(log: Path) -> None:
    falsify(log, log.with_name("copy"), Falsification.REWRITTEN, 42)
    shutil.rmtree(log.with_name("copy") / "journal")
    shutil.copytree(log / "journal", log.with_name("copy") / "journal")
    error = refused(log.with_name("copy"))
    assert (error.fault, error.record) == (Fault.LEAF, 42)


def test_a_log_signed_with_a_key_of_the_falsifier_is_refused(log: Path) -> None:
    falsify(log, log.with_name("copy"), Falsification.FORGED, 42)
    error = refused(log.with_name("copy"))
    assert (error.fault, error.file) == (Fault.CHECKPOINT, "checkpoint")


def _tile_of_level_one(log: Path) -> None:
    (log / "tile/1/000.p/1").write_bytes(bytes(32))


def _tile_away(log: Path) -> None:
    (log / "tile/0/000").unlink()


def _tile_too_short(log: Path) -> None:
    path = log / "tile/0/000"
    path.write_bytes(path.read_bytes()[:-32])


def _bundle_away(log: Path) -> None:
    (log / "tile/entries/000").unlink()


def _bundle_longer(log: Path) -> None:
    path = log / "tile/entries/000"
    path.write_bytes(path.read_bytes() + b"\0")


def _journal_away(log: Path) -> None:
    shutil.rmtree(log / "journal")


def _first_segment_away(log: Path) -> None:
    min((log / "journal").glob("0*")).unlink()


def _middle_segment_away(log: Path) -> None:
    sorted((log / "journal").glob("0*"))[1].unlink()


def _segment_of_another_place(log: Path) -> None:
    first, second, *_ = sorted((log / "journal").glob("0*"))
    second.write_bytes(first.read_bytes())


def _checkpoint_damaged(log: Path) -> None:
    path = log / "checkpoint"
    path.write_bytes(path.read_bytes()[:-1])


def _checkpoint_of_another_log(log: Path) -> None:
    other = Signer("audit.example/other", logs.SEED)
    (log / "checkpoint").write_bytes(
        sign(Checkpoint("o", 1, bytes(32)).text(), other).to_bytes()
    )


def _size_lowered(log: Path) -> None:
    path = log / "checkpoint"
    path.write_bytes(path.read_bytes().replace(b"\n401\n", b"\n400\n"))


OTHER: list[tuple[Callable[[Path], None], Fault]] = [
    (_tile_of_level_one, Fault.ROOT), (_tile_away, Fault.TILE), (_tile_too_short, Fault.TILE),
    (_bundle_away, Fault.LEAF), (_bundle_longer, Fault.LEAF), (_journal_away, Fault.JOURNAL),
    (_first_segment_away, Fault.JOURNAL), (_middle_segment_away, Fault.JOURNAL),
    (_segment_of_another_place, Fault.JOURNAL), (_checkpoint_damaged, Fault.CHECKPOINT),
    (_checkpoint_of_another_log, Fault.CHECKPOINT), (_size_lowered, Fault.CHECKPOINT),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "fault"), OTHER, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_a_log_of_which_a_file_is_changed_is_refused(
    log: Path, spoil: Callable[[Path], None], fault: Fault
) -> None:
    spoil(log)
    assert refused(log).fault == fault


def _record_ranges(data: bytes) -> list[range]:
    """Return where the records of a segment are, by the letter of `journal.py`."""
    ranges: list[range] = []
    offset = journal.HEADER_BYTES
    while length := int.from_bytes(data[offset : offset + 4], "big"):
        ranges.append(range(offset, offset + 8 + length))
        offset += 8 + length
    return ranges


@pytest.mark.parametrize(
    "part", [0, 4, 8, 9, 40], ids=["length", "crc", "u16", "u16+1", "leaf"]
)
def test_each_part_of_a_journal_record_is_covered(log: Path, part: int) -> None:
    path = max((log / "journal").glob("0*"))
    data = path.read_bytes()
    for place in (_record_ranges(data)[0], _record_ranges(data)[-1]):
        at = place.start + part
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert refused(log).fault == Fault.JOURNAL


def test_no_bit_of_what_is_published_can_be_flipped(tmp_path: Path) -> None:
    log = logs.write(tmp_path, logs.leaves(logs.exchanges(2)))
    for name in ("checkpoint", "tile/0/000.p/5", "tile/entries/000.p/5"):
        data = (log / name).read_bytes()
        for at in range(len(data)):
            flipped = data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]
            (log / name).write_bytes(flipped)
            refused(log)
        (log / name).write_bytes(data)
    assert verify(log, TRUST).exit_code == EXIT_WHOLE


def test_a_folder_without_a_log_is_not_a_whole_log(tmp_path: Path) -> None:
    assert refused(tmp_path).fault == Fault.JOURNAL


# what the recorder would never have written, though the key of the log signed it

STOP = fact(Kind.SERVICE_STOP, "rssi", "s" * 16)
APPROVE = fact(Kind.SERVICE_APPROVE, "rssi", "a" * 16)
AGAIN = msgspec.structs.replace(logs.completion(0), id="again" * 4)
OVERSPENT = msgspec.structs.replace(logs.completion(0), spend={"team:/equipes/x": 1})

NEVER: dict[str, list[Event]] = {  # the last event is the one that cannot be
    "an end without a request": [logs.budget(), logs.completion(0)],
    "one event twice": [*logs.exchanges(1), logs.completion(0)],
    "two ends": [*logs.exchanges(1), AGAIN],
    "a request twice": [logs.budget(), logs.intent(0), logs.intent(0)],
    "a budget that was passed": [logs.budget(1_000), logs.intent(0), logs.intent(1)],
    "a spend that was not reserved": [logs.budget(), logs.intent(0), OVERSPENT],
    "a request while stopped": [logs.budget(), STOP, logs.intent(0)],
    "an approval of nothing": [logs.budget(), APPROVE],
}


@pytest.mark.parametrize("events", NEVER.values(), ids=NEVER.keys())
def test_what_the_recorder_would_never_admit_is_refused_though_it_is_signed(
    tmp_path: Path, events: Sequence[Event]
) -> None:
    error = refused(small(tmp_path, events))
    assert (error.fault, error.record) == (Fault.ADMISSION, len(events) - 1)


def test_a_record_at_a_place_that_is_not_its_own_is_refused(tmp_path: Path) -> None:
    stored = logs.leaves(logs.exchanges(2))
    stored[3] = stored[3].replace(b'"index":3', b'"index":4')
    error = refused(logs.write(tmp_path, stored))
    assert (error.fault, error.record) == (Fault.ADMISSION, 3)


@pytest.mark.parametrize(
    "leaf",
    [
        pytest.param(b"{}", id="no leaf"),
        pytest.param(logs.leaf(3, logs.intent(1)).replace(b",", b", ", 1), id="a space"),
        pytest.param(
            logs.leaf(3, logs.intent(1)).replace(b'"uid":0', b'"uid":0,"x":1'), id="more"
        ),
    ],
)
def test_a_record_in_another_form_is_refused(tmp_path: Path, leaf: bytes) -> None:
    stored = logs.leaves(logs.exchanges(1))
    error = refused(logs.write(tmp_path, [*stored, leaf]))
    assert (error.fault, error.record) == (Fault.FORMAT, 3)


# what was kept elsewhere


def checkpoint(size: int, stored: Sequence[bytes] = STORED) -> Checkpoint:
    frontier = Frontier()
    for leaf in stored[:size]:
        frontier.add(leaf)
    return Checkpoint(logs.ORIGIN, size, frontier.root())


def test_earlier_checkpoints_of_the_log_are_prefixes(log: Path) -> None:
    earlier = [checkpoint(size) for size in (SIZE, 0, 1, 256, 256, 300)]
    assert verify(log, replace(TRUST, earlier=earlier)).exit_code == EXIT_WHOLE


def test_a_checkpoint_of_another_history_is_refused(log: Path) -> None:
    other = checkpoint(300, STORED[::-1])
    error = refused(log, replace(TRUST, earlier=[checkpoint(256), other]))
    assert (error.fault, error.record) == (Fault.ROLLBACK, 299)


def test_a_genuine_older_log_is_refused_beside_what_was_signed_later(tmp_path: Path) -> None:
    older = logs.write(tmp_path, STORED[:301])
    assert verify(older, TRUST).exit_code == EXIT_WHOLE  # nothing in it betrays it
    error = refused(older, replace(TRUST, earlier=[checkpoint(SIZE)]))
    assert (error.fault, error.record) == (Fault.ROLLBACK, 301)


def test_a_receipt_of_a_record_that_is_gone_or_another_is_refused(tmp_path: Path) -> None:
    older = logs.write(tmp_path, STORED[:301])
    assert verify(older, replace(TRUST, records={7: STORED[7]})).exit_code == EXIT_WHOLE
    gone = refused(older, replace(TRUST, records={350: STORED[350]}))
    assert (gone.fault, gone.record) == (Fault.ROLLBACK, 301)
    other = refused(older, replace(TRUST, records={7: STORED[8]}))
    assert (other.fault, other.record) == (Fault.ROLLBACK, 7)


def test_the_key_of_another_log_is_refused(log: Path) -> None:
    for signer in (Signer(logs.ORIGIN, bytes(32)), Signer("audit.example/other", logs.SEED)):
        assert refused(log, Trust(signer.verifiers)).fault == Fault.CHECKPOINT
