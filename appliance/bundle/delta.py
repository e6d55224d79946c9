"""A delta: the manifest of a whole release, carried with the chunks that its base lacks.

A site that has the base has the rest. The base is named by the SHA-256 of its manifest, never
by a number or a date, and the site can always say which chunks it misses.
"""

from collections.abc import Collection, Mapping

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


def outside(manifest: Manifest, base: Manifest, sums: Mapping[str, str]) -> list[str]:
    """Return the files outside `chunks/` that a delta carries.

    The wheels of the installer stay at home when the base brought the same: a site that has it
    runs them already, and its own list of them (`bootstrap.lock`) says so.

    Args:
        manifest: Of the full bundle.
        base: What the site has.
        sums: SHA-256 of each file of the full bundle, by path.
    """
    wheels = {name for name in manifest.files if _is_bootstrap_wheel(name)}
    there = {file.sha256 for file in base.tree()}
    same = _controller(manifest) == _controller(base)
    known = same and all(sums.get(name) in there for name in wheels)
    return [name for name in manifest.files if not (known and name in wheels)]


def _is_bootstrap_wheel(name: str) -> bool:
    return name.startswith("bootstrap/") and name.endswith(".whl")


def _controller(manifest: Manifest) -> set[str]:
    return {f.sha256 for f in manifest.tree() if f.path.startswith("wheels/controller/")}


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
