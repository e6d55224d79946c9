"""A bundle for the rehearsal: a root of trust made for it, then `casemate bundle build`."""

import hashlib
import subprocess
from pathlib import Path

from appliance.bundle.pack import sign_root
from appliance.bundle.sshsig import load_private
from appliance.bundle.trust import Role, Roles, Root

ROOT = Path(__file__).parents[2]
CASEMATE = ROOT / ".venv" / "bin" / "casemate"
CACHE = ROOT / "build" / "bundle-cache"
ASSETS = "appliance/console/static/vendor"  # of the console: built, not committed
MODEL = "tiny-mistral"  # noise in Mistral's format: what is shown is the way, not the words


def make_trust(folder: Path) -> tuple[Path, Path]:
    """Make a release key and `root.json` with its signature; return both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    key, root_file = folder / "release", folder / "root.json"
    if not root_file.exists():
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rehearsal", "-f"]
        subprocess.run([*argv, str(key)], check=True)
        role = Role(keys=["rehearsal"], threshold=1)
        public = " ".join((folder / "release.pub").read_text().split()[:2])
        root = Root(version=1, keys={"rehearsal": public}, roles=Roles(release=role, root=role))
        (signature,) = sign_root(root, [load_private(key.read_bytes())])
        (folder / "root.json.sig.rehearsal").write_bytes(signature)
        root_file.write_bytes(root.to_bytes())
    return key, root_file


def fingerprint(trust: Path) -> str:
    """Return the fingerprint of the root of trust, which travels by another way."""
    return hashlib.sha256((trust / "root.json").read_bytes()).hexdigest()


def build(out: Path, trust: Path, sources: Path) -> str:
    """Build the bundle of the commit; return the fingerprint of its root of trust.

    The sources are a copy of the repository at its commit, with one lock more: that of the tiny
    model, made from its files as an engineer does with a model of the site.
    """
    folder = sources.parent / MODEL
    builder = ROOT / "tests" / "stack" / "tiny_mistral.py"
    _run(ROOT / ".venv-vllm/bin/python", builder, folder)
    _run("git", "clone", "--quiet", "--shared", ROOT, sources)
    (sources / ASSETS).parent.mkdir(parents=True, exist_ok=True)
    (sources / ASSETS).symlink_to(ROOT / ASSETS)
    declared = ("--revision", "seed-217", "--licence", "none", "--repository", sources)
    _run(CASEMATE, "model", "lock", folder, *declared)
    key, root = make_trust(trust)
    payload = ("--repository", sources, "--cache", CACHE, "--model", folder)
    _run(CASEMATE, "bundle", "build", "--out", out, "--root", root, "--key", key, *payload)
    return fingerprint(trust)


def _run(*argv: str | Path) -> None:
    subprocess.run([str(word) for word in argv], check=True, cwd=ROOT)
