import time
from pathlib import Path

import pytest

from appliance.bundle.refusal import BundleError, DamagedError, UntrustedError
from appliance.bundle.trust import spelled
from appliance.bundle.verify import Machine
from appliance.install.carried import (
    InStore,
    OnMedia,
    Progress,
    created_last,
    is_pinned,
    open_bundle,
)
from appliance.install.places import Places
from tests.bundle.bundles import CREATED, TREE, Recipe, build, chunk_files, flip, make_root

FINGERPRINT = make_root().fingerprint()


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Lend a target machine on which the bundle was just made."""
    monkeypatch.setattr("appliance.install.carried._machine", debian)
    monkeypatch.setattr(time, "time", lambda: CREATED + 60.0)
    made = Places(tmp_path / "target")
    made.data.mkdir(parents=True)
    return made


def debian() -> Machine:
    return Machine("debian", "13", "amd64")


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    folder = tmp_path / "medium/casemate-1.4.0"
    folder.mkdir(parents=True)
    build(folder)
    return folder


def opened(places: Places, *media: Path, fingerprint: str = FINGERPRINT) -> OnMedia | InStore:
    return open_bundle(places, media, fingerprint, lambda _: None)


def test_a_release_comes_from_the_medium_into_the_store(places: Places, medium: Path) -> None:
    bundle = opened(places, medium)
    assert (bundle.release.version, bundle.release.release_seq) == ("1.4.0", 7)
    assert bundle.created == CREATED
    assert bundle.size == sum(map(len, TREE.values()))
    bundle.verify()
    bundle.bring()
    tree = places.release(7)
    assert {path: (tree / path).read_bytes() for path in TREE} == TREE
    assert list(bundle.media()) == ["1/1"]
    assert [mark.value for mark in bundle.marks()] == [spelled(FINGERPRINT)]
    assert created_last(places) == CREATED


def test_a_second_time_nothing_is_left_to_copy(places: Places, medium: Path) -> None:
    opened(places, medium).bring()
    again = opened(places, medium, fingerprint="")
    assert again.size == 0
    again.verify()
    again.bring()


def test_without_a_medium_the_store_has_the_release(places: Places, medium: Path) -> None:
    first = opened(places, medium)
    first.bring()
    stored = opened(places)
    assert stored.release == first.release
    assert (stored.size, list(stored.media())) == (0, [])
    stored.verify()
    tree = places.release(7)
    (tree / "playbooks/site.yml").unlink()
    stored.bring()
    assert (tree / "playbooks/site.yml").read_bytes() == TREE["playbooks/site.yml"]
    assert stored.marks() == first.marks()


def test_without_a_medium_a_damaged_store_is_named(places: Places, medium: Path) -> None:
    opened(places, medium).bring()
    blob = (places.release(7) / "playbooks/site.yml").resolve()
    blob.chmod(0o644)
    blob.write_bytes(b"+++\n")
    with pytest.raises(DamagedError, match=r"playbooks/site\.yml"):
        opened(places).verify()


def test_without_a_medium_and_without_a_release_the_medium_is_asked_for(
    places: Places,
) -> None:
    with pytest.raises(BundleError, match="--medium"):
        opened(places)


def test_a_first_root_that_nobody_compared_is_not_trusted(places: Places, medium: Path) -> None:
    assert not is_pinned(places)
    with pytest.raises(UntrustedError) as caught:
        opened(places, medium, fingerprint="").bring()
    assert caught.value.exit_code == 4
    opened(places, medium).bring()
    assert is_pinned(places)


def test_another_root_than_that_of_the_sheet_is_not_trusted(
    places: Places, medium: Path
) -> None:
    with pytest.raises(UntrustedError):
        opened(places, medium, fingerprint="0" * 64).verify()


def test_a_chunk_that_is_absent_is_named_before_anything_is_copied(
    places: Places, medium: Path
) -> None:
    lost = chunk_files(medium)[0]
    lost.unlink()
    with pytest.raises(DamagedError, match=lost.name) as caught:
        opened(places, medium).verify()
    assert caught.value.exit_code == 3


def test_a_flipped_byte_is_named_while_it_is_copied(places: Places, medium: Path) -> None:
    bad = chunk_files(medium)[0]
    flip(bad)
    bundle = opened(places, medium)
    bundle.verify()
    with pytest.raises(DamagedError, match=bad.name):
        bundle.bring()
    assert created_last(places) == 0


def test_a_file_that_nobody_listed_is_refused(places: Places, medium: Path) -> None:
    (medium / "autorun.inf").write_text("x")
    with pytest.raises(BundleError, match="autorun"):
        opened(places, medium).verify()


def test_a_clock_behind_the_bundle_is_refused(
    places: Places, medium: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: CREATED - 3 * 86_400.0)
    with pytest.raises(BundleError, match="horloge"):
        opened(places, medium).verify()


def test_another_machine_is_refused(
    places: Places, medium: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Machine("debian", "12", "amd64")
    monkeypatch.setattr("appliance.install.carried._machine", lambda: other)
    with pytest.raises(BundleError, match="debian 12"):
        opened(places, medium).verify()


def test_a_manifest_that_cannot_be_read_is_refused(places: Places, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    build(folder, Recipe())
    manifest = folder / "manifest.json"
    manifest.write_bytes(b"{}")
    with pytest.raises(BundleError):
        opened(places, folder)


def test_progress_is_said_once_per_gib() -> None:
    said: list[str] = []
    progress = Progress(3 << 30, said.append)
    for _ in range(3 * 1024):
        progress(1 << 20)
    assert [line.strip() for line in said] == [
        "1 / 3.0 Gio", "2 / 3.0 Gio", "3 / 3.0 Gio",
    ]  # fmt: skip
