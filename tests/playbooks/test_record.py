"""The check of an installed environment against the record of its wheels."""

import base64
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "playbooks" / "roles" / "release" / "files" / "record.py"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    packages = tmp_path / "lib" / "python3.13" / "site-packages"
    (packages / "one-1.dist-info").mkdir(parents=True)
    (packages / "one.py").write_text("x = 1\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).rstrip(b"=").decode()
    (packages / "one-1.dist-info" / "RECORD").write_text(
        f"one.py,sha256={digest},6\none-1.dist-info/RECORD,,\n__pycache__/one.cpython-313.pyc,,\n"
    )
    return tmp_path


def run(environment: Path) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, str(PROGRAM), str(environment)],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout


def test_an_environment_as_its_wheels_made_it_passes(environment: Path) -> None:
    assert run(environment) == (0, "")


def test_a_changed_file_is_named(environment: Path) -> None:
    (environment / "lib/python3.13/site-packages/one.py").write_text("x = 2\n")
    assert run(environment) == (1, "changed: one.py\n")


def test_a_missing_file_is_named(environment: Path) -> None:
    (environment / "lib/python3.13/site-packages/one.py").unlink()
    assert run(environment) == (1, "missing: one.py\n")


def test_a_file_without_a_digest_is_named(environment: Path) -> None:
    record = environment / "lib/python3.13/site-packages/one-1.dist-info/RECORD"
    record.write_text("one.py,,\n")
    assert run(environment) == (1, "no digest: one.py\n")


def test_an_environment_without_wheels_is_refused(environment: Path) -> None:
    (environment / "lib/python3.13/site-packages/one-1.dist-info/RECORD").unlink()
    assert run(environment) == (1, "no wheel is installed\n")
