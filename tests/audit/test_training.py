"""Exports to learn on say what their page says that they do."""

import subprocess
from pathlib import Path

import pytest

from appliance.audit.exported import verify
from appliance.audit.training import EXERCISES, TrainingError, write
from tests.audit.logs import START


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("training") / "exercices"
    write(out, START)
    return out


def test_each_exercise_ends_as_its_page_says(folder: Path) -> None:
    policy = ("--policy", str(folder / "POLITIQUE"))
    for one in EXERCISES:
        more = [str(folder / word) if word.endswith(".note") else word for word in one.more]
        code, _, facts = verify(str(folder / one.folder), *policy, *more)
        remarks = [remark["remark"] for remark in facts.get("remarks", [])]
        assert (code, facts.get("fault") or next(iter(remarks), "—")) == (
            one.exit_code, one.said,
        ), one.folder  # fmt: skip


def test_the_lines_of_the_page_are_run_as_they_stand(folder: Path) -> None:
    lines = [one.strip() for one in (folder / "A-LIRE.txt").read_text().splitlines()]
    tried = [one for one in lines if one.startswith("python3")]
    assert len(tried) == len(EXERCISES)
    for line, one in zip(tried[:2], EXERCISES, strict=False):
        done = subprocess.run(
            ["env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", line], cwd=folder,
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == one.exit_code, done.stderr


def test_every_folder_is_an_exercise_and_marked_as_one(folder: Path) -> None:
    found = {path.name for path in folder.iterdir() if path.is_dir()}
    assert found == {one.folder for one in EXERCISES}
    for name in found:
        assert '"label": "EXERCICE"' in (folder / name / "export.json").read_text()


def test_a_folder_that_exists_is_left_alone(folder: Path) -> None:
    with pytest.raises(TrainingError):
        write(folder, START)
