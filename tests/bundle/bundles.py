"""A small bundle as a builder makes it, and ways to damage it."""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.bundle import chunks, pack
from appliance.bundle.manifest import Component, File, Manifest, Revocation
from appliance.bundle.sshsig import PublicKey
from appliance.bundle.trust import Role, Roles, Root

CREATED = 1_795_000_000
CHUNK = 1000  # bytes, so that small files have several
ROOT_KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3)]
RELEASE_KEY = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


def make_root(version: int = 1, release: Ed25519PrivateKey = RELEASE_KEY) -> Root:
    keys = {f"root-{n}": PublicKey.of(key).line() for n, key in enumerate(ROOT_KEYS, 1)}
    keys["release-1"] = PublicKey.of(release).line()
    roles = Roles(Role(["release-1"], 1), Role(["root-1", "root-2", "root-3"], 2))
    return Root(version=version, keys=keys, roles=roles)


def sample(name: str, size: int) -> bytes:
    """Return bytes that depend on the name only."""
    return Random(name).randbytes(size)  # noqa: S311 - to be repeatable


TREE = {
    "debs/one_1.0_amd64.deb": sample("one", 2500),
    "wheels/appliance/two-1.0-py3-none-any.whl": sample("two", 900),
    "models/tiny/model.safetensors": sample("three", 12_345),
    "models/tiny/config.json": b'{"heads": 4}\n',
    "playbooks/site.yml": b"---\n",
    "playbooks/empty": b"",
}


@dataclass
class Recipe:
    """What `build` makes."""

    tree: dict[str, bytes] = field(default_factory=lambda: dict(TREE))
    seq: int = 7
    created: int = CREATED
    root: Root = field(default_factory=make_root)
    key: Ed25519PrivateKey = RELEASE_KEY
    revocations: list[Revocation] = field(default_factory=list)
    chunk: int = CHUNK


def build(folder: Path, recipe: Recipe | None = None) -> Manifest:
    """Make a whole bundle in the folder."""
    wanted = recipe or Recipe()
    source = folder.parent / f".source-{folder.name}"
    files = list[File]()
    for path, data in wanted.tree.items():
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(data)
        digest, pieces = chunks.write(source, folder, wanted.chunk)
        mode = 0o755 if path.endswith("empty") else 0o644
        files.append(File(path, mode, len(data), digest, pieces))
    source.unlink()
    (folder / "bootstrap").mkdir()
    (folder / "bootstrap" / "pip.whl").write_bytes(sample("pip", 300))
    (folder / "install.sh").write_text("#!/bin/sh\n")
    draft = Manifest(
        version="1.4.0",
        release_seq=wanted.seq,
        created=wanted.created,
        profile="cpu",
        components=[Component("sample", "model", "1", "MIT", files)],
        revocations=wanted.revocations,
        files=[],
        sums="0" * 64,
    )
    signatures = pack.sign_root(wanted.root, ROOT_KEYS[:2])
    return pack.seal(folder, draft, pack.Seal(wanted.root, signatures, [wanted.key]))


def chunk_files(folder: Path) -> list[Path]:
    """Return the chunks of a folder, the largest first."""
    found = [path for path in (folder / "chunks").rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: (-path.stat().st_size, path.name))


def flip(path: Path, place: int = 5) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
