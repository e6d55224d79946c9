import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.audit import segments
from appliance.audit.segments import Segments

SIZE = 10_000
HEAD = b"head"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    segments.create(tmp_path / "parts", SIZE, HEAD)
    return tmp_path / "parts"


@pytest.fixture
def files(folder: Path) -> Iterator[Segments]:
    files = Segments(folder, SIZE)
    files.resume(0, len(HEAD))
    yield files
    files.close()


def test_a_new_folder_has_one_segment_of_zeros(folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["0000000000000000"]
    assert (folder / "0000000000000000").read_bytes() == HEAD.ljust(SIZE, b"\0")
    assert (folder / "0000000000000000").stat().st_mode & 0o777 == 0o640


def test_a_folder_is_not_made_twice(folder: Path) -> None:
    with pytest.raises(FileExistsError):
        segments.create(folder, SIZE, HEAD)


def test_what_is_written_comes_next(files: Segments) -> None:
    files.write(b"one")
    files.write(b"two")
    files.sync()
    assert files.read(0).rstrip(b"\0") == HEAD + b"onetwo"
    assert len(files.read(0)) == SIZE
    assert files.read_at(0, 3, 4) == b"one"


def test_a_new_segment_is_named_by_its_first_leaf(files: Segments, folder: Path) -> None:
    files.prepare()
    files.roll(12_345, HEAD)
    files.write(b"more")
    assert files.firsts() == [0, 12_345]
    assert (folder / "0000000000012345").read_bytes() == (HEAD + b"more").ljust(SIZE, b"\0")


def test_without_a_prepared_segment_one_is_made_that_holds_as_much(files: Segments) -> None:
    files.roll(7, HEAD)
    for _ in range(50):
        assert files.fits(100)
        files.write(b"x" * 100)
        files.sync()
    assert files.firsts() == [0, 7]
    assert files.room == 0  # nothing of it was written ahead


def test_room_is_what_the_disk_has_given_already(files: Segments) -> None:
    assert files.room == SIZE - len(HEAD)
    assert not files.wants_next
    files.write(b"x" * 6_000)
    assert files.wants_next
    files.prepare()
    assert not files.wants_next
    assert files.room == SIZE - len(HEAD) - 6_000 + SIZE


def test_what_does_not_fit_is_said_before(files: Segments) -> None:
    assert files.fits(SIZE - len(HEAD))
    assert not files.fits(SIZE - len(HEAD) + 1)


def test_what_follows_the_end_becomes_zeros(files: Segments, folder: Path) -> None:
    files.write(b"whole" + b"torn")
    files.close()
    again = Segments(folder, SIZE)
    again.resume(0, len(HEAD) + 5)
    assert again.read(0) == (HEAD + b"whole").ljust(SIZE, b"\0")
    again.close()


def test_what_was_found_is_synced_before_anyone_is_told_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def sync(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        real(fd)

    monkeypatch.setattr(os, "fsync", sync)
    files = Segments(folder, SIZE)
    files.resume(0, len(HEAD))
    files.close()
    assert synced == ["0000000000000000", "parts"]


def test_a_segment_that_is_too_short_is_filled_again(folder: Path) -> None:
    os.truncate(folder / "0000000000000000", len(HEAD))
    files = Segments(folder, SIZE)
    files.resume(0, len(HEAD))
    assert files.room == SIZE - len(HEAD)
    assert len(files.read(0)) == SIZE
    files.close()


def test_a_segment_that_a_crash_left_half_prepared_is_made_again(folder: Path) -> None:
    (folder / "next").write_bytes(b"junk")
    files = Segments(folder, SIZE)
    files.resume(0, len(HEAD))
    assert files.firsts() == [0]
    files.prepare()
    files.roll(3, HEAD)
    assert files.read(3) == HEAD.ljust(SIZE, b"\0")
    files.close()


@pytest.mark.parametrize("name", ["0000000000000000", "next"])
def test_a_link_is_not_followed(folder: Path, tmp_path: Path, name: str) -> None:
    (victim := tmp_path / "victim").write_bytes(b"precious" + bytes(SIZE))
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(victim)
    files = Segments(folder, SIZE)
    try:
        if name == "next":
            files.prepare()
        else:
            with pytest.raises(OSError, match="symbolic"):
                files.resume(0, 0)
    finally:
        files.close()
    assert victim.read_bytes().startswith(b"precious")


def test_a_folder_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(NotADirectoryError):
        Segments(tmp_path / "link", SIZE)


def test_a_file_deleted_while_in_use_fails_the_next_sync(files: Segments, folder: Path) -> None:
    (folder / "0000000000000000").unlink()
    files.write(b"lost")
    with pytest.raises(OSError, match="deleted"):
        files.sync()
    with pytest.raises(RuntimeError, match="failed"):
        files.write(b"more")


@pytest.mark.parametrize("how", ["deleted", "replaced", "folder replaced"])
def test_a_file_that_is_no_longer_the_named_one_is_noticed(
    files: Segments, folder: Path, how: str
) -> None:
    files.check()
    name = folder / "0000000000000000"
    if how == "folder replaced":
        folder.rename(folder.with_name("gone"))
        segments.create(folder, SIZE, HEAD)
    else:
        name.rename(folder / "elsewhere")
        if how == "replaced":
            name.write_bytes(HEAD.ljust(SIZE, b"\0"))
    with pytest.raises(OSError, match=r"replaced|No such file"):
        files.check()


def test_after_a_failed_sync_nothing_is_written(
    files: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError("disk error")

    files.write(b"one")
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="disk error"):
        files.sync()
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="failed"):
        files.write(b"two")
    assert files.read(0).rstrip(b"\0") == HEAD + b"one"


def test_a_write_cut_short_by_the_kernel_is_completed(
    files: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: whole(fd, bytes(data)[:2], at))
    files.write(b"abcdefg")
    monkeypatch.undo()
    assert files.read(0).rstrip(b"\0") == HEAD + b"abcdefg"


def test_no_room_for_the_next_segment_leaves_the_current_one_usable(
    files: Segments, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    files.write(b"x" * 6_000)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        files.prepare()
    monkeypatch.undo()
    assert not (folder / "next").exists()
    assert files.wants_next
    files.write(b"y")
    files.sync()


def test_what_was_written_is_replaced_in_place(files: Segments, folder: Path) -> None:
    files.write(b"one two")
    files.overwrite(0, b"TWO", len(HEAD) + 4)
    assert (folder / "0000000000000000").read_bytes().startswith(HEAD + b"one TWO\0")
    files.write(b" three")
    assert files.read(0).startswith(HEAD + b"one TWO three\0")


def test_what_is_replaced_is_no_link(files: Segments, folder: Path) -> None:
    (folder / "0000000000000007").symlink_to(folder / "0000000000000000")
    with pytest.raises(OSError, match="symbolic links"):
        files.overwrite(7, b"x", 0)
