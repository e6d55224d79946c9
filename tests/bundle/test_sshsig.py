import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.bundle.sshsig import (
    MANIFEST_NAMESPACE,
    ROOT_NAMESPACE,
    PublicKey,
    load_private,
    sign,
    verify,
)
from appliance.errors import FormatError, VerificationError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MESSAGE = b"manifest\n"


def key_file(folder: Path, kind: str = "ed25519", password: str = "") -> Path:
    path = folder / f"key-{kind}"
    command = ["ssh-keygen", "-q", "-t", kind, "-N", password, "-C", "release", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def stock_verify(folder: Path, signature: bytes, message: bytes, namespace: str) -> int:
    """Ask ssh-keygen whether our key signed the message."""
    (folder / "allowed").write_text(f"vendor {PublicKey.of(KEY).line()}\n")
    (folder / "sig").write_bytes(signature)
    command = ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "vendor", "-n", namespace]
    done = subprocess.run(
        [*command, "-s", "sig"], input=message, cwd=folder, capture_output=True, check=False
    )
    return done.returncode


def test_stock_ssh_keygen_accepts_our_signature_and_only_it(tmp_path: Path) -> None:
    ours = sign(KEY, MESSAGE, MANIFEST_NAMESPACE)
    assert stock_verify(tmp_path, ours, MESSAGE, MANIFEST_NAMESPACE) == 0
    assert stock_verify(tmp_path, ours, MESSAGE + b" ", MANIFEST_NAMESPACE) != 0
    assert stock_verify(tmp_path, ours, MESSAGE, ROOT_NAMESPACE) != 0


def test_we_accept_a_signature_of_stock_ssh_keygen(tmp_path: Path) -> None:
    path, data = key_file(tmp_path), tmp_path / "data"
    data.write_bytes(MESSAGE)
    command = [
        "ssh-keygen",
        "-q",
        "-Y",
        "sign",
        "-f",
        str(path),
        "-n",
        MANIFEST_NAMESPACE,
        str(data),
    ]
    subprocess.run(command, check=True, capture_output=True)
    theirs = data.with_suffix(".sig").read_bytes()
    public = PublicKey.parse(path.with_suffix(".pub").read_text())
    assert verify(theirs, MESSAGE, MANIFEST_NAMESPACE) == public
    assert theirs == sign(load_private(path.read_bytes()), MESSAGE, MANIFEST_NAMESPACE)


def test_fingerprint_is_the_one_that_ssh_keygen_shows(tmp_path: Path) -> None:
    public = key_file(tmp_path).with_suffix(".pub")
    shown = subprocess.run(["ssh-keygen", "-l", "-f", public], capture_output=True, check=True)
    assert PublicKey.parse(public.read_text()).fingerprint() in shown.stdout.decode()


def test_a_key_with_a_password_is_left_to_ssh_keygen(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="password"):
        load_private(key_file(tmp_path, password="long enough").read_bytes())


def test_only_ed25519_is_accepted(tmp_path: Path) -> None:
    path = key_file(tmp_path, "ecdsa")
    with pytest.raises(FormatError):
        load_private(path.read_bytes())
    with pytest.raises(FormatError):
        PublicKey.parse(path.with_suffix(".pub").read_text())


def test_signing_twice_gives_the_same_bytes() -> None:
    one = sign(KEY, MESSAGE, MANIFEST_NAMESPACE)
    assert one == sign(KEY, MESSAGE, MANIFEST_NAMESPACE)
    assert verify(one, MESSAGE, MANIFEST_NAMESPACE) == PublicKey.of(KEY)


def test_another_message_or_namespace_is_refused() -> None:
    one = sign(KEY, MESSAGE, MANIFEST_NAMESPACE)
    with pytest.raises(VerificationError):
        verify(one, MESSAGE + b"\n", MANIFEST_NAMESPACE)
    with pytest.raises(VerificationError):
        verify(one, MESSAGE, ROOT_NAMESPACE)


def test_no_flipped_byte_of_a_signature_passes_for_the_same_key() -> None:
    whole = sign(KEY, MESSAGE, MANIFEST_NAMESPACE)
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x04
        try:
            found = verify(bytes(flipped), MESSAGE, MANIFEST_NAMESPACE)
        except (FormatError, VerificationError):
            continue
        raise AssertionError(place, found)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s + s,
        lambda s: s[:-40],
        lambda s: b" " + s,
        lambda s: s.replace(b"\n", b"\r\n"),
        lambda s: s.replace(b"SSH SIGNATURE", b"PGP SIGNATURE"),
        lambda s: b"\xe9" + s,
        lambda _: b"",
        lambda s: s + b"\n" * 5000,
    ],
    ids=range(8),
)  # fmt: skip
def test_bytes_that_are_not_one_signature_are_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(FormatError):
        verify(change(sign(KEY, MESSAGE, MANIFEST_NAMESPACE)), MESSAGE, MANIFEST_NAMESPACE)


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-rsa AAAA", "ssh-ed25519 !!!!"])
def test_a_line_that_is_no_key_is_refused(line: str) -> None:
    with pytest.raises(FormatError):
        PublicKey.parse(line)
