"""install.sh without root and without Debian 13: words, refusals, what it hands over."""

import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest

from appliance.errors import CODES

SCRIPT = files("appliance.install").joinpath("templates/install.sh").read_text("utf-8")
NETWORK = ("apt", "curl", "wget", "http", "git ", "ssh ", "pip download")


def dash(script: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", "-c", script, "install.sh", *words],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def function(name: str) -> str:
    start = SCRIPT.index(f"\n{name}() {{")
    return SCRIPT[start : SCRIPT.index("\n}\n", start) + 3]


def test_the_shell_of_debian_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "install.sh"
    path.write_text(SCRIPT)
    done = subprocess.run(["/bin/sh", "-n", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_in_it_can_fetch() -> None:
    code = "\n".join(line for line in SCRIPT.splitlines() if not line.startswith("#"))
    assert [word for word in NETWORK if word in code] == []
    assert "--no-index --no-deps --require-hashes --only-binary=:all:" in code
    assert code.count("env -i") == 3, "venv, pip, casemate"


def test_what_is_run_of_the_medium_was_verified_before() -> None:
    assert SCRIPT.index('verify "$@" ||') < SCRIPT.index('"$controller/bin/python" "$pip/pip"')


def test_the_mark_of_a_whole_installer_is_written_last() -> None:
    assert SCRIPT.index("sync &&") < SCRIPT.index('>"$mark"') < SCRIPT.index("exec env -i")


@pytest.mark.parametrize(
    ("words", "handed"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param(["--answers", "a b.toml"], [], id="not for it"),
        pytest.param(["--medium", "/m 2"], ["/m 2"], id="a medium with a space"),
        pytest.param(["--medium=/m2", "--medium", "/m3"], ["/m2", "/m3"], id="two media"),
        pytest.param(
            ["--medium", "/m2", "--root-fingerprint", "01 23", "--json"],
            ["-r", "01 23", "/m2"],
            id="fingerprint",
        ),
        pytest.param(["--root-fingerprint=0123"], ["-r", "0123"], id="fingerprint, joined"),
    ],
)
def test_verify_gets_the_fingerprint_and_the_other_media(
    tmp_path: Path, words: list[str], handed: list[str]
) -> None:
    (tmp_path / "VERIFY.sh").write_text('printf "%s\\n" "$@"\n')
    done = dash(f'set -eu\nhere={tmp_path}\n{function("verify")}\nverify "$@"', *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == (handed or [""])


def test_a_refusal_of_verify_is_that_of_the_installer(tmp_path: Path) -> None:
    (tmp_path / "VERIFY.sh").write_text("exit 4\n")
    ends = 'verify "$@" || exit $?\necho more'
    done = dash(f"set -eu\nhere={tmp_path}\n{function('verify')}\n{ends}")
    assert (done.returncode, done.stdout) == (4, "")


def test_another_python_is_refused_in_both_languages() -> None:
    script = SCRIPT.replace("(3, 13)", "(3, 99)").replace('[ "$(id -u)" = 0 ]', "true")
    done = dash(script)
    assert done.returncode == 1
    assert "celui de Debian 13" in done.stderr
    assert "that of Debian 13" in done.stderr


def test_a_missing_tool_is_named() -> None:
    script = SCRIPT.replace("for tool in python3", "for tool in no-such-tool python3")
    done = dash(script.replace('[ "$(id -u)" = 0 ]', "true"))
    assert done.returncode == 1
    assert "no-such-tool" in done.stderr


def test_it_is_for_root_only() -> None:
    done = dash(SCRIPT.replace("$(id -u)", "1000"))
    assert done.returncode == 1
    assert "superutilisateur" in done.stderr


def staged(
    tmp_path: Path, *, free: int | str, pip: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run the script with a pip of ours, on a disk that has so many bytes left."""
    medium, programs = tmp_path / "medium", tmp_path / "programs"
    (medium / "bootstrap").mkdir(parents=True, exist_ok=True)
    programs.mkdir(exist_ok=True)
    (medium / "VERIFY.sh").write_text("echo verified\n")
    (medium / "bootstrap" / "bootstrap.lock").write_text("wanted\n")
    with zipfile.ZipFile(medium / "bootstrap" / "pip-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pip/__main__.py", pip)
    (medium / "bootstrap" / "x-1-py3-none-any.whl").write_bytes(bytes(1_000_000))
    (programs / "df").write_text(f"#!/bin/sh\necho Avail\necho {free}\n")
    (programs / "df").chmod(0o755)
    (programs / "python3").symlink_to(sys.executable)
    script = SCRIPT.replace("here=$(CDPATH=", f"here={medium} #")
    script = script.replace("base=/opt/casemate", f"base={tmp_path / 'opt' / 'casemate'}")
    script = script.replace("PATH=/usr", f"PATH={programs}:/usr").replace("(3, 13)", "(3, 0)")
    script = script.replace("sys.version_info[:2] != (3, 0)", "False")
    return dash(script.replace('[ "$(id -u)" = 0 ]', "true"))


def mark(tmp_path: Path) -> Path:
    return tmp_path / "opt" / "casemate" / "controller" / ".made-from"


def test_a_disk_too_small_for_the_installer_is_named_before_the_medium_is_read(
    tmp_path: Path,
) -> None:
    done = staged(tmp_path, free=19_000_000)
    assert done.returncode == 1
    assert f"CM-INS-09 {CODES['CM-INS-09'].title} sur {tmp_path}/opt/casemate" in done.stderr
    assert "il faut 21 Mo, 19 sont libres" in done.stderr
    assert "21 MB are needed, 19 are free" in done.stderr
    assert f"(df -h {tmp_path}, df -i {tmp_path})" in done.stderr
    assert "verified" not in done.stdout
    assert not (tmp_path / "opt").exists()


def test_what_a_half_made_installer_takes_is_room_for_the_next(tmp_path: Path) -> None:
    half = mark(tmp_path).with_name("half")
    half.parent.mkdir(parents=True)
    half.write_bytes(bytes(2_000_000))
    done = staged(tmp_path, free=19_000_000)
    assert "CM-INS" not in done.stderr
    assert not half.exists()
    assert mark(tmp_path).is_file()


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("OSError: [Errno 28] No space left on device", id="full"),
        pytest.param("OSError: [Errno 122] Disk quota exceeded", id="quota"),
    ],
)
def test_a_disk_that_fills_up_meanwhile_is_named_too(tmp_path: Path, said: str) -> None:
    done = staged(tmp_path, free=30_000_000, pip=f"raise SystemExit({said!r})")
    assert done.returncode == 1
    assert said in done.stderr
    assert f"CM-INS-09 Place insuffisante sur {tmp_path}/opt/casemate" in done.stderr
    assert not mark(tmp_path).exists(), "the next start makes it again"


def test_another_reason_is_shown_with_its_code_and_what_to_do(tmp_path: Path) -> None:
    done = staged(tmp_path, free=30_000_000, pip="raise SystemExit('THESE PACKAGES DO NOT')")
    assert done.returncode == 1
    assert done.stderr.index("THESE PACKAGES DO NOT") < done.stderr.index("CM-INS-80 ")
    assert CODES["CM-INS-80"].remedy in done.stderr
    assert "CM-INS-09" not in done.stderr
    assert not mark(tmp_path).exists()


def test_a_disk_that_cannot_be_measured_stops_nothing(tmp_path: Path) -> None:
    done = staged(tmp_path, free="-", pip="print('installed')")
    assert "CM-INS" not in done.stderr
    assert mark(tmp_path).is_file()
