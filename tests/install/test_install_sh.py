"""install.sh without root and without Debian 13: words, refusals, what it hands over."""

import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

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
    assert SCRIPT.index("sync\n") < SCRIPT.index('>"$mark"') < SCRIPT.index("exec env -i")


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
