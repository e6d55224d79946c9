import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.errors import FormatError
from appliance.install.chain import BrokenChainError, read
from appliance.install.phases import opened
from appliance.install.record import HeldError, Record, held, replace_file
from tests.install.stage import RELEASE

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_state_is_found_again_as_it_was_saved(tmp_path: Path) -> None:
    record = Record(tmp_path)
    assert record.state() is None
    record.save(opened(None, RELEASE))
    assert Record(tmp_path).state() == opened(None, RELEASE)


def test_a_damaged_state_is_an_error_and_not_a_fresh_start(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(FormatError):
        Record(tmp_path).state()


def test_the_journal_goes_on_after_a_new_start(tmp_path: Path) -> None:
    Record(tmp_path, lambda: NOON).note("phase.start", {"phase": "media"})
    record = Record(tmp_path, lambda: NOON)
    record.note("phase.done", {"phase": "media"})
    entries = list(read(record.journal))
    assert [entry["event"] for entry in entries] == ["phase.start", "phase.done"]
    assert entries[0]["at"] == "2026-11-23T12:00:00.000+00:00"
    assert record.head.lines == 2


def test_a_line_torn_by_a_power_cut_is_cut_off(tmp_path: Path) -> None:
    Record(tmp_path).note("phase.start")
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"at":"2026')
    assert Record(tmp_path).journal == whole


def test_an_edited_journal_stops_the_next_start(tmp_path: Path) -> None:
    record = Record(tmp_path)
    for name in ("phase.start", "phase.done"):
        record.note(name)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"phase.start", b"phase.stort"))
    with pytest.raises(BrokenChainError):
        Record(tmp_path)


def test_each_line_is_synced_before_anything_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, synced = Record(tmp_path), list[bytes]()
    path = tmp_path / "journal.jsonl"
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(path.read_bytes()))
    record.note("phase.start")
    assert synced == [record.journal]


def test_a_file_is_replaced_whole_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    before = os.umask(0o077)
    try:
        replace_file(path, b"one", 0o444)
        replace_file(path, b"two", 0o444)
    finally:
        os.umask(before)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_installation_waits_then_is_refused(tmp_path: Path) -> None:
    with (
        held(tmp_path) as lock,
        pytest.raises(HeldError, match="autre installation"),
        held(tmp_path, patience=0),
    ):
        os.fstat(lock)
    with held(tmp_path, patience=0):
        assert (tmp_path / "lock").exists()
