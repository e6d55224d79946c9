"""The program that makes and renews certificates, with the stock openssl."""

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROGRAM = (
    Path(__file__).parents[2]
    / "playbooks"
    / "roles"
    / "pki"
    / "files"
    / "casemate-certificates"
)
USERS, ADMIN = "casemate.site.internal", "admin.casemate.site.internal"


def run(
    folder: Path, authority: str = "built-in", users: str = USERS
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(PROGRAM), str(folder), authority, "Préfecture", users, ADMIN],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )


def leaf(folder: Path, front: str = "users") -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{front}.crt").read_bytes())


def certify(folder: Path, days: tuple[int, int], name: str = USERS) -> bytes:
    """Return a certificate for the key of the users' front, as another authority makes it."""
    key = serialization.load_pem_private_key((folder / "users.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 1)
    return (
        builder.not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


@pytest.fixture
def made(tmp_path: Path) -> Path:
    assert run(tmp_path).returncode == 0
    return tmp_path


def test_the_authority_is_made_once_and_the_second_run_makes_nothing(made: Path) -> None:
    result = run(made)
    assert (result.returncode, result.stdout) == (0, "")


def test_keys_are_the_owners_alone_and_certificates_are_public(made: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in made.iterdir()}
    private = {"ca.key", "users.key", "admin.key", "users.pem", "admin.pem"}
    assert {name for name, mode in modes.items() if mode == 0o400} == private
    assert {mode for name, mode in modes.items() if name not in private} == {0o644}


def test_a_leaf_lives_397_days_and_is_verified_by_the_authority(made: Path) -> None:
    life = leaf(made).not_valid_after_utc - leaf(made).not_valid_before_utc
    assert life == timedelta(days=397)
    check = ["openssl", "verify", "-x509_strict", "-CAfile", str(made / "ca.crt")]
    fronts = [str(made / "users.crt"), str(made / "admin.crt")]
    assert subprocess.run([*check, *fronts], capture_output=True, check=False).returncode == 0


def test_the_authority_vouches_for_the_two_names_only(made: Path) -> None:
    authority = x509.load_pem_x509_certificate((made / "ca.crt").read_bytes())
    bound = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert bound.critical
    permitted = bound.value.permitted_subtrees or []
    assert [name.value for name in permitted] == [USERS, ADMIN]


@pytest.mark.parametrize(
    "days",
    [pytest.param((-400, -3), id="ended"), pytest.param((-370, 20), id="ends in 20 days")],
)
def test_a_certificate_is_renewed_with_a_new_key(made: Path, days: tuple[int, int]) -> None:
    old = (made / "users.key").read_bytes()
    (made / "users.crt").write_bytes(certify(made, days))
    assert run(made).stdout == "made users.pem\n"
    assert leaf(made).not_valid_after_utc > datetime.now(UTC) + timedelta(days=390)
    assert (made / "users.key").read_bytes() != old


def test_a_front_that_changes_its_name_gets_a_new_certificate(made: Path) -> None:
    assert run(made, users="ia.site.internal").stdout == "made users.pem\n"


def test_the_pem_of_a_front_is_made_again_when_it_is_lost(made: Path) -> None:
    (made / "admin.pem").unlink()
    assert run(made).stdout == "made admin.pem\n"


def test_the_sites_own_authority_is_awaited_then_taken(tmp_path: Path) -> None:
    first = run(tmp_path, "site")
    assert first.returncode == 3
    assert first.stdout == ""
    assert {"made users.csr", "made admin.csr"} < set(first.stderr.splitlines())
    assert not (tmp_path / "ca.key").exists()
    (tmp_path / "users.chain").write_bytes(certify(tmp_path, (0, 300)))
    second = run(tmp_path, "site")
    assert (second.returncode, second.stdout) == (3, "made users.pem\n")
    assert second.stderr == "awaited admin.chain\n"


@pytest.mark.parametrize(
    ("days", "name"),
    [
        pytest.param((-20, -1), USERS, id="ended"),
        pytest.param((0, 300), "other.example", id="another name"),
    ],
)
def test_a_chain_that_does_not_fit_is_refused(
    tmp_path: Path, days: tuple[int, int], name: str
) -> None:
    run(tmp_path, "site")
    (tmp_path / "users.chain").write_bytes(certify(tmp_path, days, name))
    result = run(tmp_path, "site")
    assert result.returncode == 3
    assert "refused users.chain" in result.stderr
    assert not (tmp_path / "users.pem").exists()


def test_a_chain_of_another_key_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "site")
    chain = certify(tmp_path, (0, 300))
    (tmp_path / "users.key").unlink()
    (tmp_path / "users.chain").write_bytes(chain)
    assert "refused users.chain" in run(tmp_path, "site").stderr
