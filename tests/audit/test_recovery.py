import shutil
from pathlib import Path

import pytest

from appliance.audit import volume
from appliance.audit.event import BudgetChange, Kind
from appliance.audit.lifecycle import replay
from appliance.audit.publisher import RollbackError
from appliance.audit.tree import Frontier
from appliance.errors import FormatError
from appliance.ledger import admission
from appliance.ledger.admission import Admission
from appliance.settings import RecorderSettings
from tests.audit.parts import CALENDAR, NOON, Parts, opened, same
from tests.recording import completion, intent

LIMIT = BudgetChange(
    actor="rssi", budget="site", hard=True, id="change-0000000001", limit=100, period="total"
)


def work(parts: Parts) -> None:
    """Write nine leaves, three of them after the last checkpoint."""
    parts.append(LIMIT, intent(1), intent(2), completion(1))
    parts.publish()
    parts.append(intent(3), intent(4))
    parts.publish()
    parts.append(completion(3), intent(5), completion(2))


def replayed(settings: RecorderSettings) -> Admission:
    state = Admission(CALENDAR)
    replay(state, volume.read(settings.directory))
    return state


@pytest.mark.parametrize("snapshot", ["newest", "older", "none", "damaged", "of a longer log"])
def test_the_state_is_that_of_a_whole_replay_whatever_the_snapshot(
    recorder_settings: RecorderSettings, snapshot: str
) -> None:
    path = recorder_settings.directory / volume.SNAPSHOT
    with opened(recorder_settings) as parts:
        work(parts)
        older = Admission(CALENDAR)
        replay(older, volume.read(recorder_settings.directory)[:4])
        older_state = older.to_bytes()
        longer = parts.writer.admission.to_bytes().replace(b'"size":9', b'"size":99')
    match snapshot:
        case "older":
            path.write_bytes(older_state)
        case "none":
            path.unlink()
        case "damaged":
            path.write_bytes(path.read_bytes()[:-9])
        case "of a longer log":
            path.write_bytes(longer)
    with opened(recorder_settings) as parts:
        assert same(parts.found.admission, replayed(recorder_settings))
        assert parts.found.admission.size == 9
        assert len(parts.found.leaves) == len(parts.found.hashes) == 3
        frontier = Frontier()
        for leaf in volume.read(recorder_settings.directory):
            frontier.add(leaf)
        assert parts.found.frontier.to_bytes() == frontier.to_bytes()
        assert parts.append(completion(4)) == [9]
        assert parts.append(intent(1)) == [1]  # known from before


def test_ids_from_before_the_snapshot_are_remembered_as_far_as_they_go(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "IDS_KEPT", 4)
    with opened(recorder_settings) as parts:
        work(parts)
        kept = list(parts.writer.admission.places)
    with opened(recorder_settings) as parts:
        assert list(parts.found.admission.places) == kept
        assert len(kept) == 4


def test_a_budget_stands_after_a_restart_as_before(recorder_settings: RecorderSettings) -> None:
    with opened(recorder_settings) as parts:
        work(parts)
        before = parts.writer.admission.standing("site", NOON)
    with opened(recorder_settings) as parts:
        assert parts.writer.admission.standing("site", NOON) == before
        assert (before.used, before.reserved, before.limit) == (21, 20, 100)


def test_how_the_last_process_ended_is_known(recorder_settings: RecorderSettings) -> None:
    with opened(recorder_settings) as parts:
        assert parts.found.shutdown == "first"
        work(parts)
    with opened(recorder_settings) as parts:
        assert parts.found.shutdown == "crash"
        parts.writer.record(Kind.AUDIT_STOP)
        parts.publish()
    with opened(recorder_settings) as parts:
        assert parts.found.shutdown == "clean"


def rollback(settings: RecorderSettings, copy: Path) -> None:
    shutil.rmtree(settings.directory)
    shutil.copytree(copy, settings.directory)


def test_a_log_restored_from_a_backup_is_refused(
    recorder_settings: RecorderSettings, tmp_path: Path
) -> None:
    with opened(recorder_settings) as parts:
        parts.append(LIMIT, intent(1))
        parts.publish()
        shutil.copytree(recorder_settings.directory, tmp_path / "backup")
        work_after = parts.append(intent(2), intent(3))
        parts.publish()
    assert work_after == [2, 3]
    rollback(recorder_settings, tmp_path / "backup")
    with pytest.raises(RollbackError), opened(recorder_settings):
        pass


def test_a_restored_log_that_went_on_differently_is_refused(
    recorder_settings: RecorderSettings, tmp_path: Path
) -> None:
    signed = recorder_settings.last_signed
    with opened(recorder_settings) as parts:
        parts.append(LIMIT, intent(1))
        parts.publish()
        shutil.copytree(recorder_settings.directory, tmp_path / "backup")
        shutil.copytree(signed, tmp_path / "signed")
        parts.append(intent(2))
        parts.publish()
        shutil.copytree(signed, tmp_path / "signed-after")
    rollback(recorder_settings, tmp_path / "backup")
    rollback_signed = recorder_settings.model_copy(update={"last_signed": tmp_path / "signed"})
    # Who restores both folders deceives this machine; the witness is for that.
    with opened(rollback_signed) as parts:
        parts.append(intent(3), intent(4))
    after = recorder_settings.model_copy(update={"last_signed": tmp_path / "signed-after"})
    with pytest.raises(RollbackError), opened(after):
        pass


def test_a_journal_that_lost_signed_records_is_refused(
    recorder_settings: RecorderSettings,
) -> None:
    with opened(recorder_settings) as parts:
        work(parts)
        parts.publish()
    path = recorder_settings.directory / "journal" / "0000000000000000"
    data = path.read_bytes()
    path.write_bytes(data[: len(data.rstrip(b"\0")) - 100])
    with pytest.raises(RollbackError), opened(recorder_settings):
        pass


def test_a_crash_between_the_last_signed_root_and_the_checkpoint_is_recovered(
    recorder_settings: RecorderSettings, tmp_path: Path
) -> None:
    with opened(recorder_settings) as parts:
        work(parts)
        shutil.copytree(recorder_settings.directory, tmp_path / "before")
        parts.publish()
    rollback(recorder_settings, tmp_path / "before")  # as if nothing was renamed yet
    with opened(recorder_settings) as parts:
        assert parts.found.admission.size == 9
        parts.publish()
        assert parts.publisher.head.size == 9


def test_an_unreadable_leaf_is_refused(recorder_settings: RecorderSettings) -> None:
    with opened(recorder_settings) as parts:
        parts.volume.append([b"not a leaf"])
    with pytest.raises(FormatError, match="not a leaf"), opened(recorder_settings):
        pass
