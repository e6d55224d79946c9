import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.audit.checkpoint import Checkpoint
from appliance.audit.key import Signer
from appliance.audit.lineage import (
    current_epoch,
    current_origin,
    folders_of,
    former,
    known_elsewhere,
)
from appliance.audit.note import sign
from appliance.audit.publisher import CHECKPOINT, RollbackError
from appliance.audit.segments import VolumeError
from appliance.settings import RecorderSettings
from tests.audit.parts import opened
from tests.recording import SEED, intent, refused_start, running, settings_file

OTHER = Signer("audit.example/demo", bytes(32))


def test_a_log_without_the_file_is_the_first_one(tmp_path: Path) -> None:
    assert current_epoch(tmp_path) == 1
    assert current_origin(tmp_path, "audit.example/demo") == "audit.example/demo"
    (tmp_path / "epoch").write_text("3\n")
    assert current_origin(tmp_path, "audit.example/demo") == "audit.example/demo/e3"
    assert former(tmp_path, 2) == tmp_path / "epochs" / "2"


@pytest.mark.parametrize("text", ["", "2", "1\n", "02\n", "-2\n", "2\n3\n", "two\n", "é\n"])
def test_a_damaged_number_is_no_first_log(tmp_path: Path, text: str) -> None:
    (tmp_path / "epoch").write_text(text, "utf-8")
    with pytest.raises(VolumeError, match="epoch"):
        current_epoch(tmp_path)


def worked(settings: RecorderSettings, *numbers: int) -> bytes:
    """Record requests and sign; return the signed checkpoint."""
    with opened(settings) as parts:
        parts.append(*(intent(number) for number in numbers))
        parts.publish()
    return (settings.directory / CHECKPOINT).read_bytes()


def taken_back(settings: RecorderSettings, kept: Path) -> None:
    """Bring back both folders, as an image of the whole machine does."""
    for folder, copy in ((settings.directory, "log"), (settings.last_signed, "signed")):
        shutil.rmtree(folder)
        shutil.copytree(kept / copy, folder)


def restored(settings: RecorderSettings, kept: Path) -> bytes:
    """Record three requests, take the machine back to the second; return the signed three."""
    worked(settings, 1, 2)
    shutil.copytree(settings.directory, kept / "log")
    shutil.copytree(settings.last_signed, kept / "signed")
    ahead = worked(settings, 3)
    taken_back(settings, kept)
    return ahead


@pytest.mark.parametrize("place", [0, 1], ids=["anchor", "witness"])
def test_a_restored_machine_is_refused_by_what_comes_back_from_elsewhere(
    recorder_settings: RecorderSettings, tmp_path: Path, place: int
) -> None:
    ahead = restored(recorder_settings, tmp_path)
    with running(recorder_settings):
        pass  # nothing on the machine knows better
    taken_back(recorder_settings, tmp_path)
    folder = folders_of(recorder_settings)[place]
    folder.mkdir(exist_ok=True)
    (folder / "3.note").write_bytes(ahead)
    said = refused_start(recorder_settings)
    assert "the journal has 2 records, 3 are known elsewhere" in said


def test_a_refusal_to_start_says_why_and_what_to_do_in_both_languages(
    recorder_settings: RecorderSettings, tmp_path: Path
) -> None:
    ahead = restored(recorder_settings, tmp_path)
    folder = folders_of(recorder_settings)[1]
    folder.mkdir()
    (folder / "3.note").write_bytes(ahead)
    words = [sys.executable, "-m", "appliance.cli", "audit", "recorder", "--settings"]
    words.append(str(settings_file(recorder_settings)))
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1  # the unit is not started again: it waits for people
    assert "CM-JRN-03 Journal en retard sur sa dernière signature" in done.stderr
    assert "CM-JRN-03 The log is behind its last signature" in done.stderr
    assert done.stderr.count("casemate audit new-epoch propose") == 2
    assert "the journal has 2 records, 3 are known elsewhere" in done.stderr


def test_a_log_that_went_on_otherwise_is_refused_by_an_anchor_below_its_head(
    recorder_settings: RecorderSettings, tmp_path: Path
) -> None:
    ahead = restored(recorder_settings, tmp_path)
    worked(recorder_settings, 7, 8, 9)
    found = came_back(recorder_settings, tmp_path / "from", ahead)
    with opened(recorder_settings):
        pass
    with (
        pytest.raises(RollbackError, match="signed for 3"),
        opened(recorder_settings, known=found),
    ):
        pass


def test_an_anchor_of_records_that_no_checkpoint_covers_yet_is_compared_too(
    recorder_settings: RecorderSettings, tmp_path: Path
) -> None:
    ahead = restored(recorder_settings, tmp_path)
    with opened(recorder_settings) as parts:
        parts.append(intent(7), intent(8))  # durable, not signed
    found = came_back(recorder_settings, tmp_path / "from", ahead)
    with (
        pytest.raises(RollbackError, match="signed for 3"),
        opened(recorder_settings, known=found),
    ):
        pass


def came_back(settings: RecorderSettings, folder: Path, note: bytes) -> list[Checkpoint]:
    folder.mkdir()
    (folder / "3.note").write_bytes(note)
    found = known_elsewhere([folder], [Signer(settings.origin, SEED).verifier])
    return [one for one, _ in found]


def test_larger_notes_of_a_former_log_hide_none(
    recorder_settings: RecorderSettings, tmp_path: Path
) -> None:
    ours = worked(recorder_settings, 1, 2)
    (tmp_path / "2.note").write_bytes(ours)
    former = Signer("audit.example/former", bytes(32))
    for size in range(10, 30):
        text = Checkpoint(former.verifier.name, size, bytes(32)).text()
        (tmp_path / f"{size}.note").write_bytes(sign(text, former).to_bytes())
    keys = [Signer(recorder_settings.origin, SEED).verifier]
    assert [one.size for one, _ in known_elsewhere([tmp_path], keys)] == [2]


def test_only_notes_of_the_keys_of_the_log_count(
    recorder_settings: RecorderSettings, tmp_path: Path
) -> None:
    ours = worked(recorder_settings, 1, 2)
    text = ours.decode().split("\n\n")[0] + "\n"
    keys = [OTHER.verifier, Signer(recorder_settings.origin, SEED).verifier]
    for name, data in {
        "2.note": ours, "9.note": sign(text, OTHER).to_bytes(), "10.note": b"torn",
        "latest.note": ours, "2.txt": ours,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(data)
    found = known_elsewhere([tmp_path, tmp_path / "away"], keys[1:])
    assert [(one.size, path.name) for one, path in found] == [(2, "2.note")]
    assert len(known_elsewhere([tmp_path], keys)) == 2
