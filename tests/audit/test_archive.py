from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.audit import journal
from appliance.audit.archive import Archive, Fault, Record, TamperedError
from appliance.audit.tile import Tile
from tests.audit import logs

STORED = logs.leaves(logs.exchanges(150))  # 301 records, several segments
PARTIAL = Tile(0, 1, 45)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return logs.write(tmp_path, STORED)


def take(records: Iterator[Record], found: list[Record]) -> None:
    for record in records:
        found.append(record)  # noqa: PERF402 - what came before the error counts


def damaged(records: Iterator[Record]) -> tuple[list[Record], TamperedError]:
    """Return what comes before the error, and the error."""
    found: list[Record] = []
    with pytest.raises(TamperedError) as caught:
        take(records, found)
    return found, caught.value


def test_the_error_says_where() -> None:
    error = TamperedError(Fault.LEAF, "why", file="tile/entries/000", record=3, offset=9)
    assert str(error) == "E_LEAF record 3, tile/entries/000, byte 9: why"
    assert str(TamperedError(Fault.CHECKPOINT, "why")) == "E_SIG : why"


def test_records_are_read_in_order_from_bundles_and_journal(log: Path) -> None:
    archive = Archive(log)
    assert len(list((log / "journal").glob("0*"))) > 1
    assert [r.leaf for r in archive.journal(len(STORED))] == STORED
    entries = [*archive.entries(Tile(0, 0)), *archive.entries(PARTIAL)]
    assert [(r.index, r.leaf) for r in entries] == list(enumerate(STORED))


def test_a_record_is_where_its_offset_says(log: Path) -> None:
    archive = Archive(log)
    for record in (*archive.journal(0), *archive.entries(PARTIAL)):
        offset = archive.offset(record)
        assert offset is not None
        assert (log / record.file).read_bytes()[offset:].startswith(record.leaf)
    assert archive.offset(Record(0, b"nowhere", "checkpoint")) is None


def test_a_partial_tile_that_was_dropped_is_read_from_the_full_one(log: Path) -> None:
    archive, narrow = Archive(log), Tile(0, 0, 100)
    assert archive.hashes(narrow) == archive.hashes(Tile(0, 0))[:3200]
    assert [r.leaf for r in archive.entries(narrow)] == STORED[:100]


def test_what_can_be_read_of_a_damaged_bundle_is_yielded_first(log: Path) -> None:
    path = log / PARTIAL.bundle
    path.write_bytes(path.read_bytes()[:-1])
    found, error = damaged(Archive(log).entries(PARTIAL))
    assert [r.leaf for r in found] == STORED[256:-1]
    assert (error.fault, error.record, error.file) == (Fault.LEAF, 300, PARTIAL.bundle)


def test_what_can_be_read_of_a_damaged_journal_is_yielded_first(log: Path) -> None:
    path = min((log / "journal").glob("0*"))
    data = path.read_bytes()
    path.write_bytes(data.replace(STORED[30], b"X" + STORED[30][1:]))
    found, error = damaged(Archive(log).journal(len(STORED)))
    assert [r.leaf for r in found[:30]] == STORED[:30]
    assert found[30].leaf[1:] == STORED[30][1:]
    assert (error.fault, error.file) == (Fault.JOURNAL, "journal/0000000000000000")


@pytest.mark.parametrize("signed", [294, 295, 301])
def test_a_torn_tail_is_a_fault_only_where_it_was_signed(log: Path, signed: int) -> None:
    path = max((log / "journal").glob("0*"))
    data = path.read_bytes().rstrip(b"\0")
    path.write_bytes(data[:-1])
    if signed == 294:  # the last group holds the records from 294 on
        assert len(list(Archive(log).journal(signed))) == 294
        return
    _, error = damaged(Archive(log).journal(signed))
    assert (error.fault, error.record) == (Fault.JOURNAL, 294)


def test_a_journal_shorter_than_what_was_signed_is_a_fault(log: Path) -> None:
    found, error = damaged(Archive(log).journal(302))
    assert (len(found), error.record) == (301, 301)


def test_a_length_that_leads_nowhere_ends_what_can_be_read(log: Path) -> None:
    path = min((log / "journal").glob("0*"))
    data = bytearray(path.read_bytes())
    data[journal.HEADER_BYTES : journal.HEADER_BYTES + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    found, error = damaged(Archive(log).journal(301))
    assert (found, error.record) == ([], 0)


def test_a_segment_has_the_place_that_its_header_says(log: Path) -> None:
    path = max((log / "journal").glob("0*"))
    data = path.read_bytes()
    path.write_bytes(journal.header(1) + data[journal.HEADER_BYTES :])
    _, error = damaged(Archive(log).journal(301))
    assert error.record == int(path.name)
    assert "begins with record 1" in error.detail
