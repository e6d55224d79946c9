import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.settings import SECRET_BYTES, read_secret
from appliance.site.credentials import HISTORY, NAMES, PASSWORDS, CredentialError, make


def test_what_is_missing_is_made_and_named_and_nothing_is_made_twice(tmp_path: Path) -> None:
    assert make(tmp_path, ["database", "site-secret"]) == ["database", "site-secret"]
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert make(tmp_path, ["site-secret", HISTORY, "database"]) == [HISTORY]
    assert {path: path.read_bytes() for path in before} == before


def test_each_secret_is_its_owners_alone_and_long_enough(tmp_path: Path) -> None:
    make(tmp_path, NAMES)
    assert {path.name for path in tmp_path.iterdir()} == {*NAMES, f"{HISTORY}.pub"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o400}
    assert all(len(read_secret(path)) >= SECRET_BYTES for path in tmp_path.iterdir())
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == len(NAMES) + 1


def test_a_password_can_be_written_on_one_line(tmp_path: Path) -> None:
    make(tmp_path, PASSWORDS)
    for name in PASSWORDS:
        text = (tmp_path / name).read_text("ascii")
        assert text.isprintable()
        assert text == text.strip()


def test_the_public_half_is_that_of_the_private_one(tmp_path: Path) -> None:
    make(tmp_path, [HISTORY])
    private = X25519PrivateKey.from_private_bytes((tmp_path / HISTORY).read_bytes())
    public = private.public_key().public_bytes_raw()
    assert (tmp_path / f"{HISTORY}.pub").read_bytes() == public


def test_a_pair_that_was_cut_short_is_made_whole_again(tmp_path: Path) -> None:
    make(tmp_path, [HISTORY])
    (tmp_path / HISTORY).unlink()  # the power went between the two files
    assert make(tmp_path, [HISTORY]) == [HISTORY]
    test_the_public_half_is_that_of_the_private_one(tmp_path)


def test_a_secret_that_no_process_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="root-password: no such secret"):
        make(tmp_path, ["root-password"])
    assert not list(tmp_path.iterdir())
