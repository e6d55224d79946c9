from pathlib import Path

import pytest

from appliance.bundle.chunks import Fault
from appliance.bundle.manifest import chunk_path
from appliance.bundle.medium import Media, open_media
from appliance.bundle.memory import Memory
from appliance.bundle.reading import (
    Finding,
    FindingsError,
    bytes_to_read,
    check_bytes,
    check_nothing_more,
    check_sizes,
    needed_by,
)
from appliance.bundle.refusal import BundleError
from appliance.bundle.verify import Release, Site, prove
from tests.bundle.bundles import CREATED, build, chunk_files, flip, make_root
from tests.bundle.damages import spread


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    build(tmp_path / "bundle")
    return tmp_path / "bundle"


def opened(*folders: Path) -> tuple[Media, Release]:
    media = open_media(list(folders))
    return media, prove(media, Site(CREATED, make_root()))


class Counter:
    """Counts the bytes that are read."""

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, count: int) -> None:
        self.bytes += count


def test_all_bytes_are_read_once(bundle: Path) -> None:
    media, release = opened(bundle)
    counter = Counter()
    assert check_bytes(media, release, Memory(), counter) == 0
    assert counter.bytes == bytes_to_read(media, release) > sum(release.carried().values())


def test_good_chunks_are_not_read_again_after_an_interruption(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = chunk_files(bundle)[2]
    data = bad.read_bytes()
    flip(bad)
    media, release = opened(bundle)
    with pytest.raises(FindingsError):
        check_bytes(media, release, Memory(tmp_path / "memory"), Counter())
    bad.write_bytes(data)
    read: list[Path] = []
    original = "appliance.bundle.reading.fault"
    monkeypatch.setattr(original, lambda path, *_: read.append(path))
    known = check_bytes(media, release, Memory(tmp_path / "memory"), Counter())
    assert read == [bad]
    assert known == len(release.carried()) + len(release.small()) - 1


def test_each_finding_has_path_medium_fault_and_use(bundle: Path) -> None:
    one, two = spread(bundle)
    first, second = chunk_files(one)[0], chunk_files(two)[0]
    flip(first)
    flip(second)
    media, release = opened(one, two)
    with pytest.raises(FindingsError) as refused:
        check_bytes(media, release, Memory(), Counter())
    users = needed_by(release.manifest)
    assert set(refused.value.findings) == {
        Finding(chunk_path(first.name), "1/2", Fault.CONTENT, users[first.name]),
        Finding(chunk_path(second.name), "2/2", Fault.CONTENT, users[second.name]),
    }
    assert f"Support 2/2 : {chunk_path(second.name)} modifié" in refused.value.french
    assert f"Medium 2/2: {chunk_path(second.name)} modified" in refused.value.english


def test_a_medium_that_is_not_there_is_named_with_its_chunks(bundle: Path) -> None:
    one, _ = spread(bundle)
    media, release = opened(one)
    with pytest.raises(FindingsError) as refused:
        check_sizes(media, release, release.carried())
    assert refused.value.absent == [2]
    assert {(f.medium, f.fault) for f in refused.value.findings} == {("2/2", Fault.MISSING)}
    assert "Support non présenté : 2" in refused.value.french


def test_a_medium_pulled_out_while_it_is_read_is_named(bundle: Path) -> None:
    media, release = opened(bundle)
    for path in chunk_files(bundle):
        path.unlink()
    with pytest.raises(FindingsError) as refused:
        check_bytes(media, release, Memory(), Counter())
    assert {f.fault for f in refused.value.findings} == {Fault.MISSING}
    assert len(refused.value.findings) == len(release.carried())


def test_a_long_list_is_cut_for_people_and_whole_for_programs() -> None:
    many = [Finding(f"chunks/{n}", "1/1", Fault.SIZE) for n in range(50)]
    refused = FindingsError(many)
    assert len(refused.findings) == 50
    assert len(refused.french.splitlines()) == 21
    assert refused.french.endswith("… et 30 de plus")


def test_an_unlisted_file_is_refused(bundle: Path) -> None:
    media, release = opened(bundle)
    check_nothing_more(media, release)
    (bundle / "bootstrap" / "extra.whl").write_text("x")
    with pytest.raises(BundleError, match=r"extra\.whl") as refused:
        check_nothing_more(media, release)
    assert refused.value.code == "CM-INS-12"
