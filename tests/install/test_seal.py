import stat
import subprocess
from pathlib import Path

import pytest

from appliance.install.seal import (
    NAMESPACE,
    ReportError,
    fingerprint,
    public,
    public_line,
    sign,
    site_key,
    verify,
)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return site_key(tmp_path / "secrets/report-key")


@pytest.fixture
def report(tmp_path: Path, key: Path) -> Path:
    path = tmp_path / "report.md"
    path.write_text("# Procès-verbal\n")
    sign(key, path)
    return path


def signature(report: Path) -> Path:
    return report.with_name("report.md.sig")


def test_the_key_is_made_once_for_its_owner_alone(key: Path) -> None:
    before = key.read_bytes()
    assert site_key(key).read_bytes() == before
    assert stat.S_IMODE(key.stat().st_mode) == 0o400
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in key.parent.iterdir()) == [
        "report-key",
        "report-key.pub",
    ]


def test_a_key_half_made_by_a_power_cut_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / ".report-key.new").write_text("torn")
    assert public_line(site_key(folder / "report-key")).startswith("ssh-ed25519 ")


def test_the_stock_tool_verifies_a_report(key: Path, report: Path, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f"site {public_line(key)}\n")
    words: list[str | Path] = [
        "ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "site", "-n", NAMESPACE,
        "-s", signature(report),
    ]  # fmt: skip
    done = subprocess.run(words, input=report.read_bytes(), capture_output=True, check=True)
    assert b'Good "report@casemate" signature for site' in done.stdout


def test_a_report_that_was_signed_is_accepted(key: Path, report: Path) -> None:
    verify(report, signature(report), public_line(key))


def test_a_changed_report_is_refused(key: Path, report: Path) -> None:
    report.write_text("# Procès-verbal \n")
    with pytest.raises(ReportError, match=r"report\.md"):
        verify(report, signature(report), public_line(key))


def test_the_signature_of_another_key_is_refused(report: Path, tmp_path: Path) -> None:
    other = site_key(tmp_path / "other/report-key")
    with pytest.raises(ReportError):
        verify(report, signature(report), public_line(other))


def test_a_signature_of_another_namespace_is_refused(key: Path, report: Path) -> None:
    signature(report).unlink()
    words: list[str | Path] = [
        "ssh-keygen",
        "-Y",
        "sign",
        "-f",
        key,
        "-n",
        "bundle@casemate",
        report,
    ]
    subprocess.run(words, capture_output=True, check=True)
    with pytest.raises(ReportError):
        verify(report, signature(report), public_line(key))


def test_a_report_without_a_signature_is_refused(key: Path, report: Path) -> None:
    signature(report).unlink()
    with pytest.raises(ReportError):
        verify(report, signature(report), public_line(key))


def test_the_fingerprint_is_the_one_every_ssh_tool_prints(key: Path) -> None:
    words: list[str | Path] = ["ssh-keygen", "-lf", public(key)]
    printed = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    assert fingerprint(public(key)) == printed.split()[1]
    assert fingerprint(public(key)).startswith("SHA256:")
