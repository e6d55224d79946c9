import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.audit import journal, volume
from appliance.audit.key import Signer, keys_text
from appliance.audit.volume import Volume, VolumeError
from appliance.errors import FormatError

SEED, P256 = bytes(range(32)), bytes(range(64, 96))
SIZE = 20_000
LEAVES = [b'{"leaf":%d}' % number for number in range(10)]
FIRST_SEGMENT = "journal/0000000000000000"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (directory := tmp_path / "log").mkdir()
    volume.create(directory, SEED, SIZE)
    return directory


@pytest.fixture
def locked(directory: Path) -> Iterator[Volume]:
    with volume.locked(directory, SIZE) as locked:
        yield locked


def written(directory: Path, *groups: list[bytes]) -> None:
    with volume.locked(directory, SIZE) as locked:
        for group in groups:
            locked.append(group)


def test_a_new_log_is_empty_and_keeps_its_key_to_itself(directory: Path) -> None:
    assert volume.read(directory) == []
    assert volume.read_key(directory) == SEED
    assert (directory / volume.KEY).stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize(
    "name", ["signing.key", "signing-p256.key", "journal", "sealed", "snapshot"]
)
def test_nothing_that_exists_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(VolumeError, match="not overwritten"):
        volume.create(tmp_path, SEED, SIZE)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_both_keys_are_kept_and_read_back(tmp_path: Path) -> None:
    (directory := tmp_path / "log").mkdir()
    volume.create(directory, SEED, SIZE, P256)
    assert (directory / volume.KEY_P256).stat().st_mode & 0o777 == 0o400
    signer = volume.read_signer(directory, "audit.example/demo")
    assert signer.verifiers == Signer("audit.example/demo", SEED, P256).verifiers


def test_a_log_made_with_one_key_goes_on_with_one(directory: Path) -> None:
    signer = volume.read_signer(directory, "audit.example/demo")
    assert signer.verifiers == (signer.verifier,)
    (directory / volume.VERIFIER_KEY).write_text(signer.verifier.text() + "\n")
    assert volume.read_signer(directory, "audit.example/demo").verifiers == signer.verifiers


def test_a_log_whose_second_key_was_lost_is_not_signed(tmp_path: Path) -> None:
    (directory := tmp_path / "log").mkdir()
    volume.create(directory, SEED, SIZE, P256)
    keys = Signer("audit.example/demo", SEED, P256).verifiers
    (directory / volume.VERIFIER_KEY).write_text(keys_text(keys) + "\n")
    assert volume.read_signer(directory, "audit.example/demo").verifiers == keys
    (directory / volume.KEY_P256).unlink()
    with pytest.raises(VolumeError, match="verifier-key"):
        volume.read_signer(directory, "audit.example/demo")


def test_a_second_key_that_cannot_be_read_is_not_left_out(directory: Path) -> None:
    (directory / volume.KEY_P256).symlink_to(directory / "nowhere")
    with pytest.raises(VolumeError):
        volume.read_signer(directory, "audit.example/demo")


def test_a_log_is_not_made_where_no_directory_is(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="No such file"):
        volume.create(tmp_path / "absent", SEED, SIZE)


def test_leaves_are_there_after_a_restart(directory: Path) -> None:
    written(directory, LEAVES[:3], LEAVES[3:4])
    written(directory, LEAVES[4:])
    with volume.locked(directory, SIZE) as locked:
        assert locked.size == 10
        assert locked.truncated == 0
        assert locked.take_leaves(4) == LEAVES[4:]
    assert volume.read(directory) == LEAVES
    assert volume.tail(directory, 7) == LEAVES[7:]


def test_leaves_can_be_read_while_the_recorder_writes(directory: Path, locked: Volume) -> None:
    locked.append(LEAVES[:2])
    assert volume.read(directory) == LEAVES[:2]


def test_segments_follow_each_other(directory: Path) -> None:
    groups = [[b"%03d" % number * 1000] for number in range(30)]
    with volume.locked(directory, SIZE) as locked:
        for group in groups:
            locked.append(group)
            if locked.wants_next:
                locked.prepare()
    leaves = [group[0] for group in groups]
    assert len([p for p in (directory / "journal").iterdir() if p.name.isdigit()]) == 5
    assert volume.read(directory) == leaves
    for start in (0, 5, 6, 7, 29, 30):
        with volume.locked(directory, SIZE) as locked:
            assert locked.take_leaves(start) == leaves[start:]


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        pytest.param("first", "begins with record", id="the first"),
        pytest.param("middle", "does not lead to", id="one in the middle"),
    ],
)
def test_a_missing_segment_is_noticed(directory: Path, gone: str, message: str) -> None:
    written(directory, *([b"%03d" % number * 1000] for number in range(30)))
    names = sorted(p for p in (directory / "journal").iterdir() if p.name.isdigit())
    names[0 if gone == "first" else 2].unlink()
    with pytest.raises(FormatError, match=message):
        volume.read(directory)


def test_damage_in_an_older_segment_is_noticed(directory: Path) -> None:
    written(directory, *([b"%03d" % number * 1000] for number in range(30)))
    path = directory / FIRST_SEGMENT
    data = bytearray(path.read_bytes())
    data[len(data.rstrip(b"\0")) - 1] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match="does not lead to"):
        volume.read(directory)


def test_a_segment_under_another_name_is_noticed(directory: Path) -> None:
    path = directory / FIRST_SEGMENT
    path.rename(path.with_name("0000000000000005"))
    with pytest.raises(FormatError, match="another one"), volume.locked(directory, SIZE):
        pass


def test_the_journal_cut_at_every_byte_of_its_last_record_recovers_or_refuses(
    directory: Path, tmp_path: Path
) -> None:
    written(directory, LEAVES[:5], LEAVES[5:8], LEAVES[8:])
    data = (directory / FIRST_SEGMENT).read_bytes()
    end = len(data.rstrip(b"\0"))
    begin = end - len(journal.encode(LEAVES[8:]))
    for cut in range(begin, end + 1):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(directory, tmp_path / "copy")
        os.truncate(tmp_path / "copy" / FIRST_SEGMENT, cut)
        with volume.locked(tmp_path / "copy", SIZE) as locked:
            kept = 10 if cut == end else 8
            torn = b"" if cut == end else data[begin:cut].rstrip(b"\0")
            assert (locked.size, locked.truncated) == (kept, len(torn))
            locked.append([b"next"])
        assert volume.read(tmp_path / "copy") == [*LEAVES[:kept], b"next"]
    for cut in range(len(journal.MAGIC) + 8, begin):
        shutil.copyfile(directory / FIRST_SEGMENT, tmp_path / "copy" / FIRST_SEGMENT)
        os.truncate(tmp_path / "copy" / FIRST_SEGMENT, cut)
        with volume.locked(tmp_path / "copy", SIZE) as locked:
            assert locked.size in (0, 5, 8)


def test_a_second_recorder_is_refused(directory: Path, locked: Volume) -> None:
    with pytest.raises(VolumeError, match="another recorder"), volume.locked(directory, SIZE):
        pass
    locked.append(LEAVES)


@pytest.mark.parametrize("gone", ["journal", "sealed", ""])
def test_a_log_of_which_a_part_is_missing_is_refused(directory: Path, gone: str) -> None:
    shutil.rmtree(directory / gone)
    with pytest.raises(VolumeError), volume.locked(directory, SIZE):
        pass


def test_a_key_that_is_a_link_is_refused(directory: Path, tmp_path: Path) -> None:
    (directory / volume.KEY).rename(tmp_path / "key")
    (directory / volume.KEY).symlink_to(tmp_path / "key")
    with pytest.raises(VolumeError, match="symbolic"):
        volume.read_key(directory)


def test_a_sealed_key_is_durable_with_its_leaf(directory: Path, locked: Volume) -> None:
    locked.sealed.add(1, b"sealed")
    locked.append(LEAVES[:2])
    locked.close()
    os.close(os.open(directory, os.O_RDONLY))
    again = Volume(directory, SIZE)
    assert again.sealed.read(1) == b"sealed"
    again.close()


def test_keys_are_written_before_the_leaf_that_promises_them(
    locked: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    write, sync = os.pwrite, os.fdatasync

    def of(fd: int) -> str:
        return Path(f"/proc/self/fd/{fd}").readlink().parent.name

    def noted_write(fd: int, data: bytes, at: int) -> int:
        done.append(f"write {of(fd)}")
        return write(fd, data, at)

    def noted_sync(fd: int) -> None:
        done.append(f"sync {of(fd)}")
        sync(fd)

    monkeypatch.setattr(os, "pwrite", noted_write)
    monkeypatch.setattr(os, "fdatasync", noted_sync)
    locked.sealed.add(0, b"sealed")
    locked.append(LEAVES[:1])
    assert done == ["write sealed", "write journal", "sync journal"]  # one wait for the disk
    locked.sealed.sync()
    assert done[3:] == ["sync sealed"]


def test_a_snapshot_is_replaced_as_a_whole(locked: Volume) -> None:
    assert locked.read_snapshot() is None
    locked.write_snapshot(b"one")
    locked.write_snapshot(b"two")
    assert locked.read_snapshot() == b"two"


def test_the_disk_is_looked_at_and_the_files_too(directory: Path, locked: Volume) -> None:
    disk = locked.check()
    assert 0 < disk.free <= disk.total
    (directory / FIRST_SEGMENT).unlink()
    with pytest.raises(OSError, match="No such file"):
        locked.check()
