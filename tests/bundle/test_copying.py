import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.bundle.copying import Copy, full_disk_said
from appliance.bundle.manifest import File, Manifest
from appliance.bundle.medium import open_media
from appliance.bundle.refusal import BundleError, DamagedError
from appliance.bundle.store import Store
from appliance.bundle.verify import Site, prove
from tests.bundle.bundles import CREATED, TREE, build, make_root

NAME = "models/tiny/model.safetensors"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "site")
    found.root.mkdir()
    found.prepare()
    return found


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    build(tmp_path / "bundle")
    return tmp_path / "bundle"


def copying(bundle: Path, store: Store) -> Copy:
    media = open_media([bundle])
    release = prove(media, Site(CREATED, make_root()))
    return Copy(media, store, release, {}, lambda _: None)


def model(bundle: Path) -> File:
    manifest = Manifest.parse((bundle / "manifest.json").read_bytes())
    return next(file for file in manifest.tree() if file.path == NAME)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said(code: int) -> None:
    with pytest.raises(BundleError) as refused, full_disk_said():
        raise OSError(code, "full")
    assert refused.value.code == "CM-INS-09"


def test_another_error_of_the_disk_is_not_hidden() -> None:
    with pytest.raises(OSError, match="broken"), full_disk_said():
        raise OSError(errno.EIO, "broken")


@pytest.mark.parametrize(
    ("left", "read"),
    [
        (lambda _: b"", 12_345),
        (lambda data: data[:2500], 10_345),  # two whole chunks, and a half that is not kept
        (lambda data: data[:1000] + b"\0" * 1000 + data[2000:], 1000),
        (lambda _: b"\0" * 20_000, 12_345),
        (lambda data: data + b"more", 0),
    ],
    ids=["nothing", "a beginning", "a hole", "rubbish", "too much"],
)  # fmt: skip
def test_only_what_is_not_on_the_disk_is_read_from_the_medium(
    bundle: Path, store: Store, left: Callable[[bytes], bytes], read: int
) -> None:
    file, data = model(bundle), TREE[NAME]
    store.growing(file).write_bytes(left(data))
    copied = copying(bundle, store)
    copied.all([file])
    assert copied.bytes_read == read
    assert store.blob(file).read_bytes() == data


def test_good_chunks_in_a_wrong_order_are_refused(bundle: Path, store: Store) -> None:
    file = model(bundle)
    turned = File(file.path, file.mode, file.size, file.sha256, file.chunks[::-1])
    with pytest.raises(DamagedError):
        copying(bundle, store).all([turned])
    assert not store.has(file)
