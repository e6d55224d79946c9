"""Who may sign a release: `root.json`, its thresholds, its rotation.

The ideas of The Update Framework (https://theupdateframework.github.io/specification/latest/)
without its expiry dates, which a site without a network cannot honour. The first root is pinned
by a person, who compares its fingerprint with the printed sheet; each later one is signed by
enough keys of the one before and of itself. A root only ever grows in version.

A manifest revokes keys that sign releases. A key of the root role is revoked by the next root,
which no longer names it: whoever stole a release key cannot take the rotation away.
"""

import hashlib
import re
from collections.abc import Collection, Iterable
from typing import Annotated, Literal

import msgspec

from appliance.bundle.refusal import UntrustedError
from appliance.bundle.sshsig import MANIFEST_NAMESPACE, ROOT_NAMESPACE, PublicKey, verify
from appliance.errors import FormatError, VerificationError

ROOT_BYTES_MAX = 64 << 10
KEYS_MAX = 20
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which keys count, and how many of them must have signed."""

    keys: list[str]
    threshold: Annotated[int, msgspec.Meta(ge=1, le=KEYS_MAX)]


class Roles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`root` changes this file; `release` signs manifests."""

    release: Role
    root: Role


class Root(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys of a vendor: id to public key line, and what each may sign."""

    schema: Literal["casemate.root/v1"] = "casemate.root/v1"
    version: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]
    keys: dict[str, str]
    roles: Roles

    def to_bytes(self) -> bytes:
        """Return the canonical bytes.

        Raises:
            FormatError: A rule of the format is broken.
        """
        _check(self)
        return msgspec.json.encode(self, order="sorted") + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> "Root":
        """Read a root. No signature is checked here.

        Raises:
            FormatError: Not a root, or not its canonical form.
        """
        if len(data) > ROOT_BYTES_MAX:
            raise FormatError(f"root is longer than {ROOT_BYTES_MAX} bytes")
        try:
            root = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise FormatError(f"root: {exc}") from exc
        if root.to_bytes() != data:
            raise FormatError("root is not in canonical form")
        return root

    def fingerprint(self) -> str:
        """Return the SHA-256 of the bytes, which the printed sheet carries."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def compose(version: int, root: Role, release: Role, keys: dict[str, str]) -> Root:
    """Return a root with these roles.

    Args:
        version: One more than that of the root before.
        root: Ids of the keys that sign roots, and how many must.
        release: Ids of the keys that sign manifests, and how many must.
        keys: Id to the line of a `.pub` file; its comment is left out.

    Raises:
        FormatError: A key is not Ed25519, or a rule of the format is broken.
    """
    lines = {name: PublicKey.parse(line).line() for name, line in keys.items()}
    found = Root(version=version, keys=lines, roles=Roles(release=release, root=root))
    _check(found)
    return found


def spelled(fingerprint: str) -> str:
    """Return a digest in groups of four, to be read aloud."""
    return " ".join(fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4))


def signers(
    data: bytes, signatures: Iterable[bytes], namespace: str, revoked: Collection[str] = ()
) -> set[PublicKey]:
    """Return the keys whose signatures are of these bytes. A bad signature counts for nothing.

    Args:
        data: What was signed.
        signatures: Armoured.
        namespace: What they must have been made for.
        revoked: Digests of keys that no longer count.
    """
    found = set[PublicKey]()
    for signature in signatures:
        try:
            found.add(verify(signature, data, namespace))
        except (FormatError, VerificationError):
            continue
    return {key for key in found if key.digest() not in revoked}


def reached(root: Root, role: Role, keys: Collection[PublicKey]) -> list[str] | None:
    """Return the ids of the role that are among the keys, or None below the threshold."""
    ids = sorted(i for i in role.keys if PublicKey.parse(root.keys[i]) in keys)
    return ids if len(ids) >= role.threshold else None


def check_release(
    root: Root, manifest: bytes, signatures: Iterable[bytes], revoked: Collection[str] = ()
) -> list[str]:
    """Return the ids of the keys that signed the manifest, enough of them.

    Raises:
        UntrustedError: Too few.
    """
    keys = signers(manifest, signatures, MANIFEST_NAMESPACE, revoked)
    if (ids := reached(root, root.roles.release, keys)) is None:
        raise UntrustedError(
            "CM-INS-03",
            "Le manifeste n’est pas signé par assez de clés de confiance : modifié, mal copié, "
            "ou d’un autre éditeur.",
            "The manifest is not signed by enough trusted keys: modified, badly copied, or of "
            "another publisher.",
        )
    return ids


def check_revocations(root: Root, keys: Collection[str]) -> None:
    """Check that a manifest revokes no key of the root role: only a new root may.

    Args:
        root: The one by which the manifest is trusted.
        keys: Digests of the keys that it revokes.

    Raises:
        UntrustedError: It names one.
    """
    for name in root.roles.root.keys:
        if PublicKey.parse(root.keys[name]).digest() in keys:
            raise UntrustedError(
                "CM-INS-03",
                f"Le manifeste révoque « {name} », une clé de la racine : seule une nouvelle "
                "racine, signée par les clés racine, le peut. Une clé de livraison est "
                "peut-être volée.",
                f"The manifest revokes “{name}”, a key of the root: only a new root, signed by "
                "the root keys, may. A release key may be stolen.",
            )


def check_self_signed(data: bytes, signatures: Iterable[bytes]) -> Root:
    """Return the root, which enough of its own root keys signed. Its fingerprint is not judged.

    Raises:
        UntrustedError: Not a root, or not signed by its own keys.
    """
    try:
        root = Root.parse(data)
    except FormatError as exc:
        raise _refused("root.json est illisible", "root.json cannot be read") from exc
    if reached(root, root.roles.root, signers(data, signatures, ROOT_NAMESPACE)) is None:
        raise _refused(
            "root.json n’est pas signé par ses propres clés",
            "root.json is not signed by its own keys",
        )
    return root


def advance(pinned: Root, offered: Iterable[tuple[bytes, list[bytes]]]) -> Root:
    """Return the newest root that a chain of signatures reaches from the pinned one.

    Args:
        pinned: What this site trusts today.
        offered: Each root in the bundle, in any order, with its signatures.

    Raises:
        UntrustedError: One is not signed by its own keys, differs from the pinned one at the
            same version, or is newer without being signed by enough keys of the one before.
    """
    roots = [(check_self_signed(data, found), data, found) for data, found in offered]
    trusted = pinned
    for root, data, found in sorted(roots, key=lambda each: each[0].version):
        if root.version == pinned.version and root != pinned:
            raise _other()
        if root.version <= trusted.version:
            continue
        keys = signers(data, found, ROOT_NAMESPACE)
        if reached(trusted, trusted.roles.root, keys) is None:
            raise _other()
        trusted = root
    return trusted


def _other() -> UntrustedError:
    return _refused(
        "Ce support suit une autre racine de confiance que celle de ce site",
        "This medium follows another root of trust than this site",
    )


def _refused(french: str, english: str) -> UntrustedError:
    return UntrustedError("CM-INS-02", f"{french}.", f"{english}.")


def _check(root: Root) -> None:
    if not 0 < len(root.keys) <= KEYS_MAX:
        raise FormatError("root: no key, or too many")
    for name, line in root.keys.items():
        if not _ID.match(name) or PublicKey.parse(line).line() != line:
            raise FormatError(f"root: key {name[:40]!r} is not ID: ssh-ed25519 BASE64")
    if len(set(root.keys.values())) != len(root.keys):
        raise FormatError("root: two ids for one key")
    for role in (root.roles.root, root.roles.release):
        if role.keys != sorted(set(role.keys)) or not set(role.keys) <= root.keys.keys():
            raise FormatError("root: the keys of a role are ids of `keys`, sorted, each once")
        if role.threshold > len(role.keys):
            raise FormatError("root: a threshold that its keys cannot reach")
