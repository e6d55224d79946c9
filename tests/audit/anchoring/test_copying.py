"""A copy on a medium: grown, interrupted, damaged, and held against a log that was changed."""

import shutil
from pathlib import Path

import pytest

from appliance.audit.anchoring import copying
from appliance.audit.anchoring.copying import CopyError, check, copy
from appliance.audit.archive import TamperedError
from appliance.audit.checkpoint import open_checkpoint
from appliance.audit.key import Signer
from appliance.audit.publisher import CHECKPOINT, Publisher
from appliance.audit.tile import tiles_of
from appliance.audit.tree import leaf_hash
from appliance.errors import VerificationError
from tests.audit import exports, logs

KEYS = logs.SIGNER.verifiers
LEAVES = logs.leaves(logs.exchanges(450))  # 901: three full tiles and a part
SAFE = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class Stage:
    """A log that grows, and a medium."""

    def __init__(self, folder: Path) -> None:
        self.log, self.medium = folder / "log", folder / "medium"
        self._running: Publisher | None = None
        self._folder, self.size = folder, 0
        self.medium.mkdir()

    def grow(self, size: int) -> None:
        if self._running is None:
            self._running = logs.publish(self._folder, LEAVES[:size])
        else:
            more = LEAVES[self.size : size]
            self._running.publish(more, [leaf_hash(leaf) for leaf in more])
        self.size = size

    def copy(self) -> int:
        """Copy and check; return how many files were written."""
        done = copy(self.log, self.medium, KEYS)
        assert check(self.medium, KEYS, done.begins) == self.size
        return done.files

    @property
    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.medium).as_posix(): path.read_bytes()
            for path in self.medium.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def published(log: Path, size: int = 901) -> dict[str, bytes]:
    names = [CHECKPOINT]
    for tile in tiles_of(size):
        names += [tile.path, tile.bundle] if tile.level == 0 else [tile.path]
    return {name: (log / name).read_bytes() for name in names}


def test_a_copy_is_what_is_published_to_the_byte_and_again_writes_nothing(stage: Stage) -> None:
    stage.grow(901)
    assert stage.copy() == len(stage.files)
    assert stage.files == published(stage.log)
    assert stage.copy() == 0


def test_only_what_grew_is_written_and_what_is_no_longer_needed_goes(stage: Stage) -> None:
    stage.grow(600)
    stage.copy()
    old = stage.files
    stage.grow(901)
    written = stage.copy()
    assert written == 6  # two tiles and bundles of level 0, one of level 1, the checkpoint
    now = stage.files
    assert now == published(stage.log)
    assert "tile/0/002.p/88" in old
    assert not any("002.p" in name for name in now)
    full = [name for name in old if name in now and name != CHECKPOINT]
    assert len(full) == 4
    assert all(old[name] == now[name] for name in full)


def test_an_older_copy_is_a_prefix_of_the_log(stage: Stage, tmp_path: Path) -> None:
    stage.grow(600)
    stage.copy()
    shutil.copytree(stage.medium, older := tmp_path / "older")
    stage.grow(901)
    head = open_checkpoint((older / CHECKPOINT).read_bytes(), *KEYS)
    done = copy(stage.log, older, KEYS)
    assert (head.size, done.before, done.head.size) == (600, 600, 901)
    assert check(older, KEYS) == 901


class PowerCutError(Exception):
    """Stands for the end of the machine."""


@pytest.mark.parametrize("end", range(6))
def test_an_interrupted_copy_is_the_copy_before_and_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, end: int
) -> None:
    stage.grow(600)
    stage.copy()
    stage.grow(901)
    left = iter(range(end))
    true_put = copying._put

    def put(path: Path, data: bytes) -> bool:
        is_there = path.exists() and path.read_bytes() == data
        if not is_there and next(left, None) is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f"{path.name}.new").write_bytes(data[: len(data) // 2])
            raise PowerCutError
        return true_put(path, data)

    monkeypatch.setattr(copying, "_put", put)
    with pytest.raises(PowerCutError):
        stage.copy()
    assert check(stage.medium, KEYS) == 600
    monkeypatch.setattr(copying, "_put", true_put)
    assert stage.copy() == 6 - end
    assert stage.files == published(stage.log)


def test_each_byte_that_is_flipped_on_the_medium_is_named_with_its_file(stage: Stage) -> None:
    stage.grow(901)
    stage.copy()
    for name, data in stage.files.items():
        if name == CHECKPOINT:
            continue
        for at in (0, len(data) // 3, len(data) - 1):
            path = stage.medium / name
            path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
            with pytest.raises(TamperedError) as caught:
                check(stage.medium, KEYS)
            edge = ".p/" in name and "entries" not in name
            assert caught.value.file == ("tile" if edge else name), (name, at)
            path.write_bytes(data)
    assert check(stage.medium, KEYS) == 901


def test_the_record_in_which_a_byte_was_flipped_is_named(stage: Stage) -> None:
    stage.grow(901)
    stage.copy()
    path = stage.medium / "tile/entries/001"
    data = path.read_bytes()
    at = data.index(LEAVES[300]) + 40
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(TamperedError) as caught:
        check(stage.medium, KEYS)
    assert (caught.value.record, caught.value.offset) == (300, at - 40)


def test_a_file_that_is_gone_from_the_medium_is_named_and_written_again(stage: Stage) -> None:
    stage.grow(901)
    stage.copy()
    (stage.medium / "tile/entries/001").unlink()
    with pytest.raises(TamperedError, match="tile/entries/001"):
        check(stage.medium, KEYS)
    assert stage.copy() == 1


def test_a_checkpoint_of_the_medium_that_was_changed_is_refused(stage: Stage) -> None:
    stage.grow(901)
    stage.copy()
    path = stage.medium / CHECKPOINT
    path.write_bytes(path.read_bytes().replace(b"\n901\n", b"\n900\n"))
    with pytest.raises(TamperedError, match="checkpoint"):
        check(stage.medium, KEYS)
    with pytest.raises(CopyError, match="not of this log"):
        stage.copy()


def test_a_log_that_was_brought_back_is_seen_by_the_medium(
    stage: Stage, tmp_path: Path
) -> None:
    stage.grow(901)
    stage.copy()
    before = stage.files
    (tmp_path / "other").mkdir()
    logs.publish(tmp_path / "other", LEAVES[:600])
    with pytest.raises(CopyError, match=r"901 records of .*, the log has 600"):
        copy(tmp_path / "other" / "log", stage.medium, KEYS)
    (tmp_path / "redone").mkdir()
    logs.publish(tmp_path / "redone", [*LEAVES[:600], *LEAVES[601:], *LEAVES[:300]])
    with pytest.raises(CopyError, match="does not begin with the 901 records"):
        copy(tmp_path / "redone" / "log", stage.medium, KEYS)
    assert stage.files == before


def test_anchors_travel_and_a_log_that_others_signed_does_not(
    stage: Stage, tmp_path: Path
) -> None:
    log = exports.log_of(tmp_path / "site", LEAVES[:600], [300, 600])
    copy(log, stage.medium, KEYS)
    assert {"anchors/300.note", "anchors/600.note", "verifier-key"} <= stage.files.keys()
    stranger = Signer(logs.ORIGIN, bytes(32)).verifiers
    with pytest.raises(VerificationError):
        copy(log, stage.medium, stranger)


def test_a_medium_that_cannot_be_written_is_a_refusal_that_names_it(stage: Stage) -> None:
    stage.grow(300)
    (stage.medium / "tile").write_bytes(b"in the way")
    with pytest.raises(CopyError, match="medium"):
        stage.copy()


def test_each_name_is_one_that_exfat_takes_and_none_differs_by_case_alone(
    stage: Stage,
) -> None:
    stage.grow(901)
    stage.copy()
    names = list(stage.files)
    assert all(set(part) <= SAFE for name in names for part in name.split("/"))
    assert len({name.lower() for name in names}) == len(names)


def test_what_was_pruned_from_the_log_is_not_asked_of_a_new_medium(
    stage: Stage, tmp_path: Path
) -> None:
    stage.grow(901)
    stage.copy()
    (stage.log / "pruned").mkdir()
    (stage.log / "pruned" / "512.state").write_bytes(b"{}")
    for name in ("000", "001"):
        (stage.log / "tile/entries" / name).unlink()
    (fresh := tmp_path / "fresh").mkdir()
    done = copy(stage.log, fresh, KEYS)
    assert check(fresh, KEYS, done.begins) == 901 - 512
    assert (fresh / "pruned/512.state").exists()
    assert copy(stage.log, stage.medium, KEYS).files == 1
    assert check(stage.medium, KEYS, done.begins) == 901  # an older medium keeps them
