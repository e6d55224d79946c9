import shutil
from pathlib import Path

import pytest

from appliance.bundle.medium import Medium, files_below, is_root, is_unlisted, open_media
from appliance.bundle.refusal import BundleError, DamagedError
from appliance.errors import FormatError
from tests.bundle.bundles import build, chunk_files
from tests.bundle.damages import spread

ONE = Medium(bundle="0" * 64, number=1, media=[["a" * 64], ["b" * 64, "c" * 64]])


def test_what_a_medium_says_has_one_form() -> None:
    assert Medium.parse(ONE.to_bytes()) == ONE


@pytest.mark.parametrize(
    "data",
    [
        ONE.to_bytes() + b" ",
        ONE.to_bytes().replace(b'"number":1', b'"number":3'),
        ONE.to_bytes().replace(b'"number":1', b'"number":0'),
        ONE.to_bytes().replace(b"a" * 64, b"a" * 63),
        ONE.to_bytes().replace(b"{", b'{"added":1,', 1),
        b"",
        b"\xff",
    ],
    ids=range(7),
)
def test_a_medium_that_says_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        Medium.parse(data)


@pytest.mark.parametrize("name", ["root.json", "root.2.json"])
def test_roots_and_their_signatures_are_known_by_name(name: str) -> None:
    assert is_root(name)
    assert is_unlisted(name)
    assert is_unlisted(f"{name}.sig")
    assert is_unlisted(f"{name}.sig.2")


@pytest.mark.parametrize(
    "name", ["root.json.bak", "root.x.json", "root.²", "root..json", "a/root.json", "rootjson",
             "manifest.json.bak", "bootstrap/medium.json", "SHA256SUMS2", "x.json.sig"]
)  # fmt: skip
def test_no_other_name_is_let_in(name: str) -> None:
    assert not is_root(name)
    assert not is_unlisted(name)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    build(tmp_path / "stick" / "casemate")
    return tmp_path / "stick" / "casemate"


def test_a_mount_point_stands_for_the_bundle_in_it(bundle: Path) -> None:
    assert open_media([bundle.parent]).folders[0].path == bundle


def test_a_folder_with_no_bundle_or_two_is_refused(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(DamagedError):
        open_media([tmp_path / "nowhere"])
    shutil.copytree(bundle, bundle.parent / "second")
    with pytest.raises(DamagedError):
        open_media([bundle.parent])


def test_the_medium_of_a_chunk_is_named_even_when_it_is_absent(bundle: Path) -> None:
    one, two = spread(bundle)
    there, away = chunk_files(one)[0].name, chunk_files(two)[0].name
    media = open_media([one])
    assert (media.absent(), media.count()) == ([2], 2)
    assert (media.label(there), media.label(away), media.label("f" * 64)) == ("1/2", "2/2", "?")
    assert media.find(away) is None
    assert open_media([one, two]).find(away) == chunk_files(two)[0]


def test_media_of_two_spreadings_do_not_mix(bundle: Path, tmp_path: Path) -> None:
    one, _ = spread(bundle)
    shutil.move(one, tmp_path / "first")
    shutil.rmtree(tmp_path / "medium-0", ignore_errors=True)
    shutil.rmtree(tmp_path / "medium-1", ignore_errors=True)
    with pytest.raises(BundleError) as refused:
        open_media([tmp_path / "first", bundle])
    assert refused.value.code == "CM-INS-10"


def test_links_to_folders_are_seen(tmp_path: Path) -> None:
    (tmp_path / "way-out").symlink_to("/etc")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    names = [path.name for path in files_below(tmp_path)]
    assert sorted(names) == ["file", "way-out"]
