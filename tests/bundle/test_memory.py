import os
from pathlib import Path

import pytest

from appliance.bundle.memory import Memory

DIGEST = "a" * 64


@pytest.fixture
def chunk(tmp_path: Path) -> Path:
    (tmp_path / "chunk").write_bytes(b"bytes")
    return tmp_path / "chunk"


def test_what_was_read_is_known_to_the_next_run(chunk: Path, tmp_path: Path) -> None:
    first = Memory(tmp_path / "memory.json")
    assert not first.knows(chunk, DIGEST)
    first.keep(chunk, DIGEST)
    first.save()
    assert Memory(tmp_path / "memory.json").knows(chunk, DIGEST)
    assert not Memory(tmp_path / "memory.json").knows(chunk, "b" * 64)


def test_a_file_that_changed_is_not_known(chunk: Path) -> None:
    memory = Memory()
    memory.keep(chunk, DIGEST)
    chunk.write_bytes(b"other")
    os.utime(chunk, ns=(1, 1))
    assert not memory.knows(chunk, DIGEST)


def test_a_file_that_was_replaced_is_not_known(chunk: Path, tmp_path: Path) -> None:
    memory = Memory()
    memory.keep(chunk, DIGEST)
    found = chunk.stat()
    (tmp_path / "new").write_bytes(b"evil!")
    os.utime(tmp_path / "new", ns=(found.st_atime_ns, found.st_mtime_ns))
    (tmp_path / "new").replace(chunk)
    assert not memory.knows(chunk, DIGEST)


@pytest.mark.parametrize("data", [b"", b"{", b'{"a": [1]}', b"\xff"], ids=repr)
def test_a_damaged_memory_is_an_empty_one(chunk: Path, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "memory.json").write_bytes(data)
    assert not Memory(tmp_path / "memory.json").knows(chunk, DIGEST)


def test_a_folder_that_cannot_be_written_is_no_reason_to_stop(chunk: Path) -> None:
    memory = Memory(Path("/proc/casemate/memory.json"))
    memory.keep(chunk, DIGEST)
    memory.save()
    assert memory.knows(chunk, DIGEST)


def test_it_is_saved_while_a_long_reading_goes_on(
    chunk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.bundle.memory._EVERY", -1.0)
    Memory(tmp_path / "memory.json").keep(chunk, DIGEST)
    assert Memory(tmp_path / "memory.json").knows(chunk, DIGEST)
