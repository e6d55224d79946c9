from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from appliance.bundle import pack, sums
from appliance.bundle.manifest import Manifest, Revocation
from appliance.bundle.medium import open_media
from appliance.bundle.pack import allot
from appliance.bundle.paths import check_path, check_unique
from appliance.bundle.refusal import BundleError, UntrustedError
from appliance.bundle.sshsig import PublicKey
from appliance.bundle.trust import check_self_signed
from tests.bundle.bundles import ROOT_KEYS, Recipe, build, chunk_files, make_root


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = build(tmp_path / "one"), build(tmp_path / "two")
    assert one == two
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_list_holds_every_file_but_what_is_made_after_it(tmp_path: Path) -> None:
    build(tmp_path / "b")
    listed = sums.parse((tmp_path / "b" / "SHA256SUMS").read_bytes())
    unlisted = contents(tmp_path / "b").keys() - listed.keys()
    assert unlisted == {
        "manifest.json", "manifest.json.sig", "root.json", "root.json.sig", "root.json.sig.2",
        "SHA256SUMS", "medium.json",
    }  # fmt: skip


def test_every_name_on_a_medium_can_be_written_on_fat32(tmp_path: Path) -> None:
    build(tmp_path / "b")
    names = [str(name) for name in contents(tmp_path / "b")]
    assert [check_path(name) for name in names] == names
    check_unique(names)


def test_verify_sh_may_be_executed(tmp_path: Path) -> None:
    build(tmp_path / "b")
    assert (tmp_path / "b" / "VERIFY.sh").stat().st_mode & 0o111 == 0o111


def test_a_root_is_signed_for_its_first_use() -> None:
    root = make_root()
    assert check_self_signed(root.to_bytes(), pack.sign_root(root, ROOT_KEYS[:2])) == root


def test_a_bundle_that_would_revoke_a_root_key_is_not_sealed(tmp_path: Path) -> None:
    digest = PublicKey.of(ROOT_KEYS[2]).digest()
    with pytest.raises(UntrustedError, match="« root-3 »"):
        build(tmp_path / "bundle", Recipe(revocations=[Revocation("key", digest, "lost")]))
    assert not (tmp_path / "bundle" / "manifest.json").exists()


def test_a_chunk_too_many_or_absent_is_not_sealed(tmp_path: Path) -> None:
    manifest = build(tmp_path / "b")
    draft = replace(manifest, files=[], sums="0" * 64)
    seal = pack.Seal(make_root(), [])
    pack.seal(tmp_path / "b", draft, seal)
    extra = tmp_path / "b" / "chunks" / "00" / ("0" * 64)
    extra.parent.mkdir(exist_ok=True)
    extra.write_bytes(b"x")
    with pytest.raises(BundleError):
        pack.seal(tmp_path / "b", draft, seal)
    extra.unlink()
    chunk_files(tmp_path / "b")[0].unlink()
    with pytest.raises(BundleError):
        pack.seal(tmp_path / "b", draft, seal)


def test_media_together_hold_the_bundle_and_each_its_small_files(tmp_path: Path) -> None:
    manifest = build(tmp_path / "b")
    media = open_media([tmp_path / "b"])
    places = [(tmp_path / name, pack.SLACK + 30_000 + 6_000) for name in ("x", "y", "z")]
    counts = pack.spread(media, manifest.chunks(), places)
    assert sum(counts) == len(manifest.chunks())
    assert min(counts[:2]) > 0
    whole = contents(tmp_path / "b")
    together: dict[str, bytes] = {}
    for folder, _ in places:
        assert (
            not whole.keys()
            - contents(folder).keys()
            - {name for name in whole if name.startswith("chunks/")}
        )
        together |= contents(folder)
    del together["medium.json"], whole["medium.json"]
    assert together == whole


def test_media_that_are_too_small_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    manifest = build(tmp_path / "b")
    with pytest.raises(BundleError) as refused:
        pack.spread(open_media([tmp_path / "b"]), manifest.chunks(), [(tmp_path / "x", 100)])
    assert refused.value.code == "CM-INS-09"
    assert not (tmp_path / "x").exists()


@settings(deadline=None)
@given(
    st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 100), max_size=30),
    st.lists(st.integers(-10, 400), max_size=5),
)
def test_each_chunk_goes_on_one_medium_that_has_room(
    sizes: dict[str, int], free: list[int]
) -> None:
    try:
        shares = allot(sizes, free)
    except BundleError:
        assert not free or max(free) < max(sizes.values()) + sum(sizes.values())
        return
    assert sorted(d for share in shares for d in share) == sorted(sizes)
    for share, room in zip(shares, free, strict=True):
        assert not share or sum(sizes[d] for d in share) <= room


def test_a_delta_keeps_the_root_and_its_signatures(tmp_path: Path) -> None:
    full = build(tmp_path / "full")
    media = open_media([tmp_path / "full"])
    draft = replace(full, kind="delta", base="0" * 64)
    pack.repack(media, draft, [], tmp_path / "delta", [])
    for name in ("root.json", "root.json.sig", "root.json.sig.2", "install.sh"):
        assert (tmp_path / "delta" / name).read_bytes() == (
            tmp_path / "full" / name
        ).read_bytes()
    sealed = Manifest.parse((tmp_path / "delta" / "manifest.json").read_bytes())
    assert list(sealed.tree()) == list(full.tree())
    assert not (tmp_path / "delta" / "manifest.json.sig").exists()
