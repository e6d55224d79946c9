import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from appliance.bundle.refusal import UntrustedError
from appliance.bundle.sshsig import MANIFEST_NAMESPACE, ROOT_NAMESPACE, PublicKey, sign
from appliance.bundle.trust import (
    Role,
    Roles,
    Root,
    advance,
    check_release,
    check_revocations,
    check_self_signed,
    spelled,
)
from appliance.errors import FormatError

PRIVATE = {name: Ed25519PrivateKey.from_private_bytes(name.encode() * 32) for name in "abcdefg"}


def root(version: int, root_keys: str, release_keys: str, thresholds: tuple[int, int]) -> Root:
    names = sorted(set(root_keys + release_keys))
    return Root(
        version=version,
        keys={name: PublicKey.of(PRIVATE[name]).line() for name in names},
        roles=Roles(
            Role(sorted(release_keys), thresholds[1]), Role(sorted(root_keys), thresholds[0])
        ),
    )


def signed(one: Root, by: str) -> tuple[bytes, list[bytes]]:
    data = one.to_bytes()
    return data, [sign(PRIVATE[name], data, ROOT_NAMESPACE) for name in by]


def manifest_signatures(by: str, namespace: str = MANIFEST_NAMESPACE) -> list[bytes]:
    return [sign(PRIVATE[name], b"manifest", namespace) for name in by]


FIRST = root(1, "abc", "de", (2, 1))


def test_a_root_has_one_form() -> None:
    assert Root.parse(FIRST.to_bytes()) == FIRST
    with pytest.raises(FormatError):
        Root.parse(FIRST.to_bytes() + b" ")
    assert spelled(FIRST.fingerprint()).replace(" ", "") == FIRST.fingerprint()


@pytest.mark.parametrize(
    "wrong",
    [
        replace(FIRST, keys={}),
        replace(FIRST, keys={**FIRST.keys, "UP": FIRST.keys["a"]}),
        replace(FIRST, keys={**FIRST.keys, "z": FIRST.keys["a"]}),
        replace(FIRST, keys={**FIRST.keys, "a": FIRST.keys["a"] + " comment"}),
        replace(FIRST, roles=Roles(Role(["d"], 2), FIRST.roles.root)),
        replace(FIRST, roles=Roles(Role(["q"], 1), FIRST.roles.root)),
        replace(FIRST, roles=Roles(Role(["e", "d"], 1), FIRST.roles.root)),
        replace(FIRST, roles=Roles(Role(["d", "d"], 2), FIRST.roles.root)),
    ],
    ids=range(8),
)
def test_a_root_that_breaks_a_rule_is_refused(wrong: Root) -> None:
    with pytest.raises(FormatError):
        wrong.to_bytes()


def test_a_release_needs_its_threshold_of_different_keys() -> None:
    two = root(1, "a", "de", (1, 2))
    assert check_release(two, b"manifest", manifest_signatures("ed")) == ["d", "e"]
    for too_few in ("d", "dd", "da", ""):
        with pytest.raises(UntrustedError):
            check_release(two, b"manifest", manifest_signatures(too_few))


def test_a_root_key_does_not_sign_releases() -> None:
    with pytest.raises(UntrustedError):
        check_release(FIRST, b"manifest", manifest_signatures("abc"))


def test_a_signature_for_another_purpose_does_not_count() -> None:
    with pytest.raises(UntrustedError):
        check_release(FIRST, b"manifest", manifest_signatures("d", ROOT_NAMESPACE))


def test_a_revoked_key_does_not_count() -> None:
    revoked = {PublicKey.of(PRIVATE["d"]).digest()}
    assert check_release(FIRST, b"manifest", manifest_signatures("de"), revoked) == ["e"]
    with pytest.raises(UntrustedError):
        check_release(FIRST, b"manifest", manifest_signatures("d"), revoked)


def test_a_bad_signature_beside_good_ones_changes_nothing() -> None:
    found = [b"", manifest_signatures("f")[0], *manifest_signatures("d")]
    assert check_release(FIRST, b"manifest", found) == ["d"]


def test_a_first_root_is_signed_by_enough_of_its_own_keys() -> None:
    assert check_self_signed(*signed(FIRST, "ab")) == FIRST
    for by in ("a", "de", "aa"):
        with pytest.raises(UntrustedError):
            check_self_signed(*signed(FIRST, by))
    with pytest.raises(UntrustedError):
        check_self_signed(b"{}", [])


def test_rotation_needs_the_old_keys_and_the_new() -> None:
    second = root(2, "bcf", "de", (2, 1))
    assert advance(FIRST, [signed(second, "bc")]) == second
    for by in ("cf", "ab", "b", "f"):  # only one old key; only one new key; too few of both
        with pytest.raises(UntrustedError):
            advance(FIRST, [signed(second, by)])


def test_a_chain_of_rotations_is_followed_in_any_order() -> None:
    second, third = root(2, "bcf", "de", (2, 1)), root(3, "fg", "e", (2, 1))
    with pytest.raises(UntrustedError):
        advance(FIRST, [signed(third, "fg")])
    with pytest.raises(UntrustedError):  # f signs, but second's threshold is two
        advance(FIRST, [signed(third, "fg"), signed(second, "bc")])
    assert advance(FIRST, [signed(third, "bfg"), signed(second, "bc")]) == third


def test_a_root_never_goes_back() -> None:
    second = root(2, "abc", "de", (2, 1))
    assert advance(second, [signed(FIRST, "ab")]) == second


def test_another_root_of_the_same_version_is_refused() -> None:
    with pytest.raises(UntrustedError):
        advance(FIRST, [signed(root(1, "fg", "e", (1, 1)), "f")])


def test_a_newer_root_of_another_publisher_is_refused() -> None:
    with pytest.raises(UntrustedError):
        advance(FIRST, [signed(root(2, "fg", "e", (1, 1)), "fg")])


def test_a_root_key_that_a_newer_root_leaves_out_cannot_rotate() -> None:
    second = root(2, "bcf", "de", (2, 1))
    third = root(3, "abc", "de", (2, 1))
    with pytest.raises(UntrustedError):
        advance(second, [signed(third, "ab")])
    assert advance(second, [signed(third, "abc")]) == third


@pytest.mark.parametrize("name", "abc")
def test_no_manifest_revokes_a_root_key(name: str) -> None:
    digest = PublicKey.of(PRIVATE[name]).digest()
    with pytest.raises(UntrustedError, match=f"« {name} », une clé de la racine") as refused:
        check_revocations(FIRST, {digest, "0" * 64})
    assert refused.value.code == "CM-INS-03"


def test_a_manifest_revokes_keys_of_releases_and_of_former_roots() -> None:
    former = {PublicKey.of(PRIVATE[name]).digest() for name in "defg"}
    check_revocations(FIRST, former)
    check_revocations(root(2, "bcf", "de", (2, 1)), {PublicKey.of(PRIVATE["a"]).digest()})


def test_a_key_of_both_roles_is_one_of_the_root() -> None:
    with pytest.raises(UntrustedError):
        check_revocations(root(1, "a", "a", (1, 1)), {PublicKey.of(PRIVATE["a"]).digest()})
