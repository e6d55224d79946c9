from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as struct

from appliance.bundle.manifest import Manifest, Revocation, chunk_path
from appliance.bundle.medium import Media, open_media
from appliance.bundle.refusal import BundleError, DamagedError, UntrustedError
from appliance.bundle.sshsig import MANIFEST_NAMESPACE, PublicKey, sign
from appliance.bundle.verify import DAY, Heeded, Machine, Site, heed, prove
from tests.bundle.bundles import (
    CREATED,
    OTHER_KEY,
    RELEASE_KEY,
    ROOT_KEYS,
    TREE,
    Recipe,
    build,
    chunk_files,
    flip,
    make_root,
)

SITE = Site(CREATED + 3 * DAY, make_root())
DEBIAN = Machine("debian", "13", "amd64")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    build(tmp_path / "bundle")
    return tmp_path / "bundle"


def media(folder: Path, recipe: Recipe) -> Media:
    build(folder, recipe)
    return open_media([folder])


def test_a_release_is_proved_without_reading_a_chunk(bundle: Path) -> None:
    for path in chunk_files(bundle):
        path.unlink()
    release = prove(open_media([bundle]), replace(SITE, machine=DEBIAN))
    assert (release.signers, release.pinned, release.age(SITE.now)) == (["release-1"], True, 3)
    assert len(release.carried()) == len({chunk_path(d) for d in release.manifest.chunks()})
    assert release.small().keys() == {
        "VERIFY.sh", "LISEZMOI.txt", "README.txt", "install.sh", "bootstrap/pip.whl"
    }  # fmt: skip


@pytest.mark.parametrize(("days", "refused"), [(-3, True), (0, False), (5 * 365, False)])
def test_a_clock_behind_is_said_first_and_one_ahead_is_no_matter(
    bundle: Path,
    days: int,
    refused: bool,  # noqa: FBT001 - a case
) -> None:
    site = Site(CREATED + days * DAY, make_root(release=OTHER_KEY))  # the root is wrong too
    with pytest.raises(BundleError) as found:
        prove(open_media([bundle]), site)
    assert found.value.code == ("CM-INS-05" if refused else "CM-INS-02")


def test_a_first_root_is_accepted_only_as_unproved_or_by_its_fingerprint(bundle: Path) -> None:
    one = open_media([bundle])
    assert not prove(one, Site(CREATED)).pinned
    spelled = " ".join([make_root().fingerprint()[:32], make_root().fingerprint()[32:].upper()])
    assert prove(one, Site(CREATED, fingerprint=spelled)).pinned
    with pytest.raises(UntrustedError):
        prove(one, Site(CREATED, fingerprint="0" * 64))


@pytest.mark.parametrize(
    "last", [(8, "0" * 64), (7, "0" * 64)], ids=["a newer one", "another of that number"]
)
def test_a_release_number_only_grows(bundle: Path, last: tuple[int, str]) -> None:
    with pytest.raises(UntrustedError) as refused:
        prove(open_media([bundle]), replace(SITE, last=last))
    assert refused.value.code == "CM-INS-06"


def test_the_same_release_again_is_accepted(bundle: Path) -> None:
    digest = prove(open_media([bundle]), SITE).digest
    assert prove(open_media([bundle]), replace(SITE, last=(7, digest))).digest == digest
    assert prove(open_media([bundle]), replace(SITE, last=(6, "0" * 64))).digest == digest


def test_what_is_revoked_is_refused_whoever_signs_it(bundle: Path) -> None:
    release = prove(open_media([bundle]), SITE)
    file = next(iter(release.manifest.tree()))
    for revocation in (
        Revocation("bundle", release.digest, "withdrawn"),
        Revocation("file", file.sha256, "backdoor"),
    ):
        with pytest.raises(UntrustedError, match=revocation.reason) as refused:
            prove(open_media([bundle]), replace(SITE, revocations=[revocation]))
        assert refused.value.code == "CM-INS-07"
    lost = Revocation("key", PublicKey.of(RELEASE_KEY).digest(), "lost")
    with pytest.raises(UntrustedError):
        prove(open_media([bundle]), replace(SITE, revocations=[lost]))
    other = Revocation("file", "0" * 64, "elsewhere")
    assert prove(open_media([bundle]), replace(SITE, revocations=[other])).revocations == [
        other
    ]


def test_a_release_that_revokes_its_own_file_is_refused(tmp_path: Path) -> None:
    from hashlib import sha256  # noqa: PLC0415 - one use

    digest = sha256(TREE["playbooks/site.yml"]).hexdigest()
    recipe = Recipe(revocations=[Revocation("file", digest, "weak")])
    with pytest.raises(UntrustedError):
        prove(media(tmp_path / "own", recipe), SITE)


@pytest.mark.parametrize(
    "machine",
    [Machine("debian", "12", "amd64"), Machine("ubuntu", "13", "amd64"),
     Machine("debian", "13", "arm64")],
    ids=str,
)  # fmt: skip
def test_a_release_is_for_one_machine(bundle: Path, machine: Machine) -> None:
    with pytest.raises(BundleError, match=str(machine)):
        prove(open_media([bundle]), replace(SITE, machine=machine))


def test_the_list_must_be_the_one_of_the_manifest(bundle: Path) -> None:
    flip(bundle / "SHA256SUMS")
    with pytest.raises(DamagedError):
        prove(open_media([bundle]), SITE)


def test_a_signed_manifest_of_a_newer_format_is_said_to_be_so(bundle: Path) -> None:
    newer = (bundle / "manifest.json").read_bytes().replace(b"bundle/v1", b"bundle/v2")
    (bundle / "manifest.json").write_bytes(newer)
    (bundle / "manifest.json.sig").write_bytes(sign(RELEASE_KEY, newer, MANIFEST_NAMESPACE))
    with pytest.raises(BundleError) as refused:
        prove(open_media([bundle]), SITE)
    assert (refused.value.code, refused.value.exit_code) == ("CM-INS-01", 1)


def test_revocations_are_heeded_only_when_they_are_signed(tmp_path: Path) -> None:
    revoked = [Revocation("file", "ab" * 32, "weak")]
    one = media(tmp_path / "one", Recipe(revocations=revoked))
    assert heed(one, replace(SITE, last=(99, "0" * 64))) == Heeded(SITE.root, revoked)
    assert heed(one, Site(CREATED)) == Heeded(None, [])  # nobody vouches for this root
    flip(tmp_path / "one" / "manifest.json.sig", 150)
    assert heed(open_media([tmp_path / "one"]), SITE) == Heeded(SITE.root, [])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_stolen_release_key_revokes_no_root_key(tmp_path: Path, number: int) -> None:
    root_key = PublicKey.of(ROOT_KEYS[number]).digest()
    attack = [Revocation("file", "ab" * 32, "weak"), Revocation("key", root_key, "stolen")]
    build(tmp_path / "one")
    manifest = Manifest.parse((tmp_path / "one" / "manifest.json").read_bytes())
    data = struct(manifest, revocations=attack).to_bytes()
    (tmp_path / "one" / "manifest.json").write_bytes(data)
    signature = sign(RELEASE_KEY, data, MANIFEST_NAMESPACE)
    (tmp_path / "one" / "manifest.json.sig").write_bytes(signature)
    with pytest.raises(UntrustedError, match=f"“root-{number + 1}”"):
        prove(open_media([tmp_path / "one"]), SITE)
    assert heed(open_media([tmp_path / "one"]), SITE) == Heeded(SITE.root, [])


def test_a_site_that_was_told_that_root_keys_are_revoked_follows_a_rotation(
    tmp_path: Path,
) -> None:
    told = [Revocation("key", PublicKey.of(key).digest(), "a lie") for key in ROOT_KEYS]
    second = media(tmp_path / "two", Recipe(root=make_root(2, OTHER_KEY), key=OTHER_KEY))
    site = replace(SITE, revocations=told)
    assert prove(second, site).root == make_root(2, OTHER_KEY)


def test_a_newer_root_is_heeded_whatever_is_wrong_with_the_release(tmp_path: Path) -> None:
    second = make_root(2, OTHER_KEY)
    stale = media(tmp_path / "two", Recipe(root=second, key=RELEASE_KEY))
    with pytest.raises(UntrustedError):  # signed by the key that this root leaves out
        prove(stale, SITE)
    assert heed(stale, SITE) == Heeded(second, [])


def test_a_medium_of_another_set_is_named(bundle: Path, tmp_path: Path) -> None:
    build(tmp_path / "other", Recipe(seq=8))
    (bundle / "medium.json").write_bytes((tmp_path / "other" / "medium.json").read_bytes())
    with pytest.raises(BundleError) as refused:
        prove(open_media([bundle]), SITE)
    assert refused.value.code == "CM-INS-10"
