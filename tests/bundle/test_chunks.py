import errno
import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.bundle import chunks
from appliance.bundle.chunks import Fault, digest_of, fault, read_small, size_fault, write
from appliance.bundle.manifest import EMPTY, chunk_path
from appliance.bundle.refusal import DamagedError

DATA = b"0123456789"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


def test_chunks_in_order_are_the_file(source: Path, tmp_path: Path) -> None:
    digest, pieces = write(source, tmp_path, 4)
    assert [piece.size for piece in pieces] == [4, 4, 2]
    assert b"".join((tmp_path / chunk_path(p.sha256)).read_bytes() for p in pieces) == DATA
    assert digest == digest_of(source)


def test_an_empty_file_has_no_chunk(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert write(tmp_path / "empty", tmp_path) == (EMPTY, [])
    assert list((tmp_path / "chunks").iterdir()) == []


def test_a_file_of_exactly_one_chunk_has_the_digest_of_its_chunk(
    source: Path, tmp_path: Path
) -> None:
    digest, pieces = write(source, tmp_path, len(DATA))
    assert [piece.sha256 for piece in pieces] == [digest]


def test_equal_chunks_are_stored_once(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"same" * 5)
    _, pieces = write(tmp_path / "source", tmp_path, 4)
    assert len(pieces) == 5
    assert len([path for path in (tmp_path / "chunks").rglob("*") if path.is_file()]) == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 300), st.integers(1, 80), st.integers(0, 999))
def test_any_file_comes_back_from_its_chunks(
    tmp_path_factory: pytest.TempPathFactory, size: int, chunk: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    data = Random(seed).randbytes(size)  # noqa: S311 - to be repeatable
    (folder / "source").write_bytes(data)
    digest, pieces = write(folder / "source", folder, chunk)
    assert sum(piece.size for piece in pieces) == size
    assert all(1 <= piece.size <= chunk for piece in pieces)
    found = b"".join((folder / chunk_path(piece.sha256)).read_bytes() for piece in pieces)
    assert found == data
    assert digest == digest_of(folder / "source")


def test_reading_tells_how_far_it_is(source: Path) -> None:
    told: list[int] = []
    digest_of(source, told.append)
    assert sum(told) == len(DATA)


def test_a_good_file_has_no_fault(source: Path) -> None:
    assert fault(source, digest_of(source)) is None
    assert size_fault(source, len(DATA)) is None


def test_a_changed_file_is_read_twice_and_blamed(source: Path) -> None:
    told: list[int] = []
    assert fault(source, "0" * 64, told.append) is Fault.CONTENT


def test_a_reading_that_differs_from_the_next_blames_the_reader(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([b"once", DATA])
    monkeypatch.setattr(chunks, "blocks", lambda *_, **__: iter([next(answers)]))
    assert fault(source, digest_of_bytes(b"wanted")) is Fault.UNSTABLE


def digest_of_bytes(data: bytes) -> str:
    import hashlib  # noqa: PLC0415 - one use

    return hashlib.sha256(data).hexdigest()


def test_a_medium_that_fails_while_it_is_read_is_unstable(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> bytes:
        raise OSError(errno.EIO, "stick")

    monkeypatch.setattr(chunks, "blocks", broken)
    assert fault(source, "0" * 64) is Fault.UNSTABLE


def test_what_is_absent_short_or_no_file_is_told_apart(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    assert fault(tmp_path / "absent", "0" * 64) is Fault.MISSING
    assert size_fault(tmp_path / "absent", 1) is Fault.MISSING
    assert size_fault(source, 3) is Fault.SIZE
    assert size_fault(tmp_path / "link", len(DATA)) is Fault.MISSING
    assert size_fault(tmp_path, 4096) is Fault.MISSING


def test_neither_a_link_nor_a_pipe_nor_a_folder_is_read(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "."):
        with pytest.raises(DamagedError):
            read_small(tmp_path / name, 100)


def test_a_small_file_is_read_up_to_its_limit(source: Path, tmp_path: Path) -> None:
    assert read_small(source, len(DATA)) == DATA
    with pytest.raises(DamagedError):
        read_small(source, len(DATA) - 1)
    with pytest.raises(DamagedError):
        read_small(tmp_path / "absent", 10)
