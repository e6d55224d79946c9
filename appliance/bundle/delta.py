"""A delta: the manifest of a whole release, carried with the chunks that its base lacks.

A site that has the base has the rest. The base is named by the SHA-256 of its manifest, never
by a number or a date, and the site can always say which chunks it misses.
"""

from collections.abc import Collection

from msgspec.structs import replace

from appliance.bundle.manifest import Manifest
from appliance.bundle.refusal import BundleError


def derive(manifest: Manifest, base: Manifest) -> tuple[Manifest, set[str]]:
    """Return the draft of a delta, and the digests of the chunks that it carries.

    `pack.seal` fills `files` and `sums` again.

    Raises:
        BundleError: The base is not older, or is for another profile.
    """
    if manifest.release_seq <= base.release_seq or manifest.profile != base.profile:
        raise BundleError(
            "CM-INS-13",
            "La base d’un delta est une livraison plus ancienne, du même profil.",
            "The base of a delta is an older release of the same profile.",
        )
    draft = replace(manifest, kind="delta", base=base.digest())
    return draft, set(manifest.chunks()) - set(base.chunks())


def check_base(manifest: Manifest, received: Collection[str]) -> None:
    """Check that this site has received the base of a delta.

    Args:
        manifest: Of any kind.
        received: Digests of the manifests that this site imported.

    Raises:
        BundleError: It has not.
    """
    if manifest.base is None or manifest.base in received:
        return
    raise BundleError(
        "CM-INS-13",
        f"Ce delta part d’une livraison que ce site n’a pas reçue : {manifest.base}. "
        "Apportez cette livraison, ou une livraison complète.",
        f"This delta starts from a release that this site has not received: {manifest.base}. "
        "Bring that release, or a full one.",
    )


def lacking(needed: dict[str, int], have: Collection[str]) -> dict[str, int]:
    """Return the chunks to bring: those needed and not there, digest to size in bytes."""
    return {digest: size for digest, size in needed.items() if digest not in have}
