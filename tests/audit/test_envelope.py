"""An export encrypted to its auditor: opened by the steps beside it, and by nobody else."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from appliance.audit import envelope
from appliance.audit.contents import Order
from appliance.audit.envelope import EnvelopeError, check
from appliance.audit.export import Exported, export
from tests.audit import exports, logs
from tests.audit.exports import log_of

LEAVES = logs.leaves(logs.exchanges(30))
NOW = logs.START
KINDS = {
    "rsa": ["-newkey", "rsa:2048"],
    "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
}


def person(folder: Path, kind: str = "ec", name: str = "auditrice") -> Path:
    """Return the certificate of somebody, whose key is beside it."""
    path = folder / f"{name}.pem"
    argv = ["openssl", "req", "-x509", *KINDS[kind], "-nodes", "-days", "30"]
    argv += ["-subj", f"/CN={name}", "-keyout", str(folder / f"{name}.key"), "-out", str(path)]
    subprocess.run(argv, capture_output=True, check=True)
    return path


def sealed(folder: Path, certificate: Path, **more: object) -> Exported:
    log = log_of(folder, LEAVES, [len(LEAVES)])
    made = int(time.time()) * 1_000_000
    wanted: dict[str, object] = {"formats": frozenset({"jsonl"}), "made": made, **more}
    order = Order(0, len(LEAVES) - 1, recipient=certificate, **wanted)  # type: ignore[arg-type]
    return export(log, folder / "out", order)


def opened(export: Path, key: Path) -> subprocess.CompletedProcess[bytes]:
    """Do what OUVRIR.txt says, literally."""
    steps = re.findall(r"^ {4}(\S.*)$", (export / "OUVRIR.txt").read_text(), re.MULTILINE)
    argv = ["env", "-i", "PATH=/usr/bin:/bin", f"CLE={key}", "sh", "-e", "-c", "\n".join(steps)]
    return subprocess.run(argv, cwd=export, capture_output=True, check=False)


@pytest.mark.parametrize("kind", KINDS)
def test_the_steps_beside_it_open_it_and_it_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(envelope, "PART_BYTES", 100_000)
    done = sealed(tmp_path, person(tmp_path, kind), label="Usage interne")
    assert done.folder.name == "export-audit.example-demo-0-60-usage-interne.chiffre"
    assert len(list(done.folder.glob("*.p7m"))) > 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == [done.folder.name]
    assert "Usage interne" in (done.folder / "OUVRIR.txt").read_text()
    assert opened(done.folder, tmp_path / "auditrice.key").returncode == 0
    plain = done.folder / done.folder.name.removesuffix(".chiffre")
    assert exports.judged(plain, tmp_path / "POLICY")[0] == 0
    assert not list(done.folder.glob("*.tar"))


def test_nothing_of_it_can_be_read_without_the_key(tmp_path: Path) -> None:
    done = sealed(tmp_path, person(tmp_path))
    data = b"".join(path.read_bytes() for path in done.folder.iterdir())
    for word in (b"casemate.llm", b"checkpoint", logs.ORIGIN.encode() + b"\n"):
        assert word not in data
    person(tmp_path, name="other")
    assert opened(done.folder, tmp_path / "other.key").returncode != 0


def test_a_part_that_was_changed_is_not_opened(tmp_path: Path) -> None:
    done = sealed(tmp_path, person(tmp_path))
    (part,) = done.folder.glob("*.p7m")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    assert opened(done.folder, tmp_path / "auditrice.key").returncode == 1
    sums = (done.folder / "OUVRIR.txt").read_text().replace("sha256sum", "true sha256sum")
    (done.folder / "OUVRIR.txt").write_text(sums)
    assert opened(done.folder, tmp_path / "auditrice.key").returncode == 1  # by its tag


def test_a_certificate_that_is_none_or_past_is_refused_first(tmp_path: Path) -> None:
    certificate = person(tmp_path)
    far = 4_000_000_000 * 1_000_000
    with pytest.raises(EnvelopeError, match="holds from"):
        check(certificate.read_bytes(), far)
    with pytest.raises(EnvelopeError, match="not a certificate"):
        check(b"-----BEGIN CERTIFICATE-----\n", NOW)
    with pytest.raises(EnvelopeError, match="holds from"):
        sealed(tmp_path, certificate, made=far)
    assert not (tmp_path / "out").exists()


def test_a_key_that_cannot_encrypt_leaves_nothing_that_looks_done(tmp_path: Path) -> None:
    argv = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=x"]
    argv += ["-keyout", str(tmp_path / "k"), "-out", str(tmp_path / "c.pem")]
    subprocess.run(argv, capture_output=True, check=True)
    with pytest.raises(EnvelopeError, match="does not encrypt"):
        sealed(tmp_path, tmp_path / "c.pem")
    assert all(path.name.endswith(".part") for path in (tmp_path / "out").iterdir())


def test_an_encrypted_export_is_not_overwritten(tmp_path: Path) -> None:
    certificate = person(tmp_path)
    done = sealed(tmp_path, certificate)
    shutil.copytree(done.folder, tmp_path / "kept")
    order = Order(
        0, 60, recipient=certificate, formats=frozenset(),
        made=int(time.time()) * 1_000_000,
    )  # fmt: skip
    with pytest.raises(EnvelopeError, match="not overwritten"):
        export(tmp_path / "log", tmp_path / "out", order)
