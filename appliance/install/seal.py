"""Signs and verifies reports with the stock ssh-keygen: checking them needs nothing of ours.

The key of the site is made on the machine at its first installation, 0400, and never leaves it.
It signs in one namespace only.
"""

import subprocess
import tempfile
from pathlib import Path

from appliance.errors import VerificationError

NAMESPACE = "report@casemate"
IDENTITY = "site"
_TOOL = "/usr/bin/ssh-keygen"
_PATIENCE = 60  # seconds


class ReportError(VerificationError):
    """A report is not what the site's key signed."""

    code = "CM-INS-68"


def site_key(path: Path) -> Path:
    """Return the signing key; made when there is none. Its public half lies beside it."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        for stale in (fresh, fresh.with_name(f"{fresh.name}.pub")):
            stale.unlink(missing_ok=True)
        _run("-q", "-t", "ed25519", "-N", "", "-C", IDENTITY, "-f", str(fresh))
        fresh.chmod(0o400)
        fresh.with_name(f"{fresh.name}.pub").rename(public(path))
        public(path).chmod(0o444)
        fresh.rename(path)
    return path


def public(key: Path) -> Path:
    """Return the path of the public half."""
    return key.with_name(f"{key.name}.pub")


def public_line(key: Path) -> str:
    """Return the public key as OpenSSH writes it: type and base64."""
    return " ".join(public(key).read_text("ascii").split()[:2])


def fingerprint(public_key: Path) -> str:
    """Return `SHA256:…`, as every ssh tool prints it."""
    return _run("-l", "-E", "sha256", "-f", str(public_key)).split()[1]


def sign(key: Path, file: Path) -> Path:
    """Sign a file; return its signature, beside it."""
    signature = file.with_name(f"{file.name}.sig")
    signature.unlink(missing_ok=True)
    _run("-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(file))
    signature.chmod(0o444)
    return signature


def verify(file: Path, signature: Path, public_key: str) -> None:
    """Check that the holder of a key signed these bytes.

    Args:
        file: The report.
        signature: SSHSIG, armoured.
        public_key: Type and base64; trusted because it came by another way.

    Raises:
        ReportError: It did not, or one of the files is no such thing.
    """
    with tempfile.TemporaryDirectory() as folder:
        allowed = Path(folder) / "allowed_signers"
        allowed.write_text(f"{IDENTITY} {public_key}\n", "ascii")
        try:
            _run(
                "-Y", "verify", "-f", str(allowed), "-I", IDENTITY, "-n", NAMESPACE,
                "-s", str(signature), text=file.read_bytes(),
            )  # fmt: skip
        except (subprocess.CalledProcessError, OSError) as exc:
            raise ReportError(
                f"{file.name} : la signature n’est pas celle de cette clé sur ce texte. / "
                "the signature is not that of this key on this text."
            ) from exc


def _run(*words: str, text: bytes = b"") -> str:
    done = subprocess.run(  # noqa: S603 - a fixed program, no shell
        [_TOOL, *words], input=text, capture_output=True, check=True, timeout=_PATIENCE,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}, umask=0o077,
    )  # fmt: skip
    return done.stdout.decode("utf-8", "replace")
