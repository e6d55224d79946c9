"""Each damage is named alike by `casemate bundle verify` and VERIFY.sh, with one exit code."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.bundle.commands import app
from appliance.bundle.store import State, Store
from appliance.errors import CODES
from tests.bundle.bundles import build, make_root
from tests.bundle.damages import CASES, Case

IDS = [case.name for case in CASES]
SHELL = "dash"


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("intact") / "casemate"
    build(folder)
    return folder


@pytest.fixture
def copy(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(intact, tmp_path / "casemate"))


def site(root: Path, case: Case) -> None:
    root.mkdir()
    if case.after is not None:
        state = State(root=make_root(), last=(case.after, "0" * 64))
        Store(root).write_state(state)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_casemate_names_it(copy: Path, tmp_path: Path, case: Case) -> None:
    folders = case.prepare(copy)
    site(tmp_path / "site", case)
    words = ["verify", *map(str, folders), "--root", str(tmp_path / "site")]
    words += ["--fingerprint", make_root().fingerprint()] if case.sheet else []
    done = CliRunner().invoke(app, words)
    assert done.exit_code == case.code, done.output
    assert [word for word in case.words(folders) if word not in done.output] == []
    found = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert found["ok"] is (case.code == 0)
    if case.code:
        assert found["exit"] == case.code
        assert found["code"] in CODES
        assert found["french"] != found["english"]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_verify_sh_names_it(copy: Path, case: Case) -> None:
    folders = case.prepare(copy)
    words = ["-r", make_root().fingerprint()] if case.sheet else []
    words += ["-n", str(case.after)] if case.after else []
    done = verify_sh(folders[0], *words, *map(str, folders[1:]))
    said = done.stdout + done.stderr
    assert done.returncode == case.code, said
    assert [word for word in case.words(folders) if word not in said] == []
    assert ("REFUSED" in done.stderr) is (case.code != 0)


def verify_sh(
    folder: Path, *words: str, shell: str = SHELL, path: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run VERIFY.sh as an engineer does, from another folder."""
    return subprocess.run(
        [shell, "-u", str(folder / "VERIFY.sh"), *words],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PATH": path or os.environ["PATH"], "TMPDIR": str(folder.parent)},
    )


TOOLS = ["cat", "comm", "cut", "date", "dirname", "du", "fold", "mktemp", "rm", "sha256sum",
         "sort", "ssh-keygen", "tail", "tr"]  # fmt: skip


def test_verify_sh_needs_sh_ssh_keygen_and_coreutils_only(copy: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    shell = shutil.which(SHELL)
    assert shell is not None
    done = verify_sh(copy, shell=shell, path=str(tools))
    assert (done.returncode, done.stderr) == (0, "")
    (tools / "comm").unlink()
    assert "comm" in verify_sh(copy, shell=shell, path=str(tools)).stderr


def test_verify_sh_shows_the_fingerprint_of_the_sheet_in_groups_of_four(copy: Path) -> None:
    done = verify_sh(copy)
    fingerprint = make_root().fingerprint()
    assert " ".join(fingerprint[n : n + 4] for n in range(0, 64, 4)) in done.stdout


def test_verify_sh_accepts_the_fingerprint_as_it_is_printed(copy: Path) -> None:
    fingerprint = make_root().fingerprint().upper()
    spelled = " ".join(fingerprint[n : n + 4] for n in range(0, 64, 4))
    assert verify_sh(copy, "-r", spelled).returncode == 0
    assert verify_sh(copy, "-r", spelled[:-1] + "x").returncode == 4


@pytest.mark.parametrize("words", [["-x"], ["-n", "seven"], ["-n"]], ids=str)
def test_verify_sh_says_how_it_is_used(copy: Path, words: list[str]) -> None:
    assert verify_sh(copy, *words).returncode == 2


def test_verify_sh_writes_nothing_on_the_medium(copy: Path) -> None:
    before = sorted(copy.rglob("*"))
    assert verify_sh(copy).returncode == 0
    assert sorted(copy.rglob("*")) == before
