"""A bundle for the rehearsal: a root of trust made for it, then `casemate bundle build`."""

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from appliance.bundle.pack import sign_root
from appliance.bundle.sshsig import load_private
from appliance.bundle.trust import Role, Roles, Root

ROOT = Path(__file__).parents[2]
CASEMATE = ROOT / ".venv" / "bin" / "casemate"
CACHE = ROOT / "build" / "bundle-cache"


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


def build(out: Path, trust: Path, models: Sequence[str] = ()) -> str:
    """Build the bundle of the commit; return the fingerprint of its root of trust."""
    key, root = make_trust(trust)
    words = [str(CASEMATE), "bundle", "build", "--out", str(out), "--root", str(root)]
    words += ["--key", str(key), "--repository", str(ROOT), "--cache", str(CACHE)]
    for model in models:
        words += ["--model", model]
    subprocess.run(words, check=True, cwd=ROOT)
    return fingerprint(trust)
