import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.audit import sealed
from appliance.audit.sealed import SLOT_BYTES, SealedKeys
from appliance.errors import FormatError, VerificationError

SIZE = 10 * SLOT_BYTES  # nine keys in a segment
INDEXES = [3, 4, 9, 20, 21, 22, 40, 41, 50, 51, 80, 300, 301]


def key(index: int) -> bytes:
    return f"key of {index}".encode() * (1 + index % 7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sealed.create(tmp_path / "sealed", SIZE)
    return tmp_path / "sealed"


@pytest.fixture
def keys(folder: Path) -> Iterator[SealedKeys]:
    keys = SealedKeys(folder, SIZE)
    keys.recover(0)
    for index in INDEXES:
        keys.add(index, key(index))
        if index % 2:
            keys.write()
    keys.write()
    yield keys
    keys.files.close()


def test_each_key_is_found_by_its_record(keys: SealedKeys) -> None:
    assert [keys.read(index) for index in INDEXES] == [key(index) for index in INDEXES]
    assert keys.files.firsts() == [0, 51]


@pytest.mark.parametrize("index", [0, 5, 42, 52, 302, 10_000])
def test_a_record_without_a_key_has_none(keys: SealedKeys, index: int) -> None:
    with pytest.raises(VerificationError, match="no content key"):
        keys.read(index)


def test_a_key_is_on_the_disk_after_write_only(folder: Path) -> None:
    keys = SealedKeys(folder, SIZE)
    keys.recover(0)
    keys.add(1, b"secret")
    assert b"secret" not in keys.files.read(0)
    keys.write()
    assert b"secret" in keys.files.read(0)
    keys.files.close()


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("size", [51, 52, 80, 81, 300, 302])
def test_keys_of_leaves_that_did_not_become_durable_are_freed(folder: Path, size: int) -> None:
    again = SealedKeys(folder, SIZE)
    again.recover(size)
    kept = [index for index in INDEXES if index < size]
    lost = [index for index in INDEXES if index >= size]
    assert [again.read(index) for index in kept] == [key(index) for index in kept]
    for index in lost:
        with pytest.raises(VerificationError):
            again.read(index)
    again.add(1000, b"next")
    again.write()
    assert again.read(1000) == b"next"
    again.files.close()


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("holes", [{0}, {1}, {0, 2}, {1, 2}, {3}, {0, 1, 2, 3}])
def test_holes_that_a_power_cut_left_are_closed(folder: Path, holes: set[int]) -> None:
    path, last = folder / "0000000000000051", [51, 80, 300, 301]
    data = bytearray(path.read_bytes())
    for hole in holes:
        data[(hole + 1) * SLOT_BYTES : (hole + 2) * SLOT_BYTES] = bytes(SLOT_BYTES)
    path.write_bytes(data)
    again = SealedKeys(folder, SIZE)
    again.recover(302)
    again.add(1000, b"next")
    again.write()
    for n, index in enumerate(last):
        if n in holes:
            with pytest.raises(VerificationError, match="no content key"):
                again.read(index)
        else:
            assert again.read(index) == key(index)
    assert again.read(50) == key(50)
    assert again.read(1000) == b"next"
    again.files.close()


def test_what_was_written_is_synced_once(
    keys: SealedKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    keys.sync()
    assert len(synced) == 1
    keys.sync()
    assert len(synced) == 1
    keys.add(400, b"next")
    keys.write()
    keys.sync()
    assert len(synced) == 2


def test_a_segment_is_durable_before_the_next_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = SealedKeys(folder, SIZE)
    keys.recover(0)
    calls: list[str] = []
    real_sync, real_roll = keys.files.sync, keys.files.roll

    def sync() -> None:
        calls.append("sync")
        real_sync()

    def roll(first: int, head: bytes) -> None:
        calls.append("roll")
        real_roll(first, head)

    monkeypatch.setattr(keys.files, "sync", sync)
    monkeypatch.setattr(keys.files, "roll", roll)
    for index in range(10):
        keys.add(index, key(index))
        keys.write()
    assert calls == ["sync", "roll"]
    keys.files.close()


def test_a_damaged_slot_is_no_key(keys: SealedKeys, folder: Path) -> None:
    path = folder / "0000000000000000"
    data = bytearray(path.read_bytes())
    data[2 * SLOT_BYTES + 20] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match="damaged"):
        keys.read(4)
    assert keys.read(3) == key(3)


def test_a_key_that_was_destroyed_is_said_to_be(keys: SealedKeys, folder: Path) -> None:
    path = folder / "0000000000000000"
    data = bytearray(path.read_bytes())
    data[SLOT_BYTES + 8 : 2 * SLOT_BYTES] = bytes(SLOT_BYTES - 8)
    path.write_bytes(data)
    with pytest.raises(VerificationError, match="destroyed"):
        keys.read(3)
    assert keys.read(4) == key(4)


@pytest.mark.parametrize(
    ("first", "end"),
    [(0, 302), (3, 4), (4, 4), (4, 22), (22, 52), (51, 80), (5, 9), (301, 10_000), (60, 70)],
)
def test_the_keys_of_a_range_are_destroyed_and_the_others_stay(
    keys: SealedKeys, first: int, end: int
) -> None:
    inside = [index for index in INDEXES if first <= index < end]
    assert keys.destroy(first, end) == len(inside)
    assert keys.destroy(first, end) == 0
    for index in INDEXES:
        if index in inside:
            with pytest.raises(VerificationError, match="destroyed"):
                keys.read(index)
        else:
            assert keys.read(index) == key(index)


def test_a_key_that_waits_to_be_written_is_destroyed_too(
    keys: SealedKeys, folder: Path
) -> None:
    keys.add(400, b"the last secret")
    assert keys.destroy(302, 401) == 1
    keys.add(401, b"next")
    keys.write()
    keys.sync()
    with pytest.raises(VerificationError, match="destroyed"):
        keys.read(400)
    assert keys.read(401) == b"next"
    assert all(b"the last secret" not in path.read_bytes() for path in folder.iterdir())


def test_what_was_destroyed_stays_so_after_a_start(keys: SealedKeys, folder: Path) -> None:
    keys.destroy(0, 81)
    again = SealedKeys(folder, SIZE)
    again.recover(302)
    for index in INDEXES[:-2]:
        with pytest.raises(VerificationError, match="destroyed"):
            again.read(index)
    assert again.read(300) == key(300)
    again.files.close()


def test_a_destruction_is_durable(keys: SealedKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    keys.destroy(4, 22)
    assert len(synced) == 1
    keys.destroy(50, 52)  # in two segments
    assert len(synced) == 3


@pytest.mark.parametrize("text", [b"k", b"k" * 256])
def test_a_slot_has_one_size(text: bytes) -> None:
    slot = sealed.encode(2**40, text)
    assert len(slot) == SLOT_BYTES
    assert sealed.decode(slot) == text


@pytest.mark.parametrize("slot", [b"", b"x" * (SLOT_BYTES - 1), b"x" * SLOT_BYTES])
def test_what_is_no_slot_is_refused(slot: bytes) -> None:
    with pytest.raises(FormatError):
        sealed.decode(slot)


def test_a_store_without_a_segment_is_refused(folder: Path) -> None:
    (folder / "0000000000000000").unlink()
    keys = SealedKeys(folder, SIZE)
    with pytest.raises(FormatError, match="no segment"):
        keys.recover(0)
    keys.files.close()
