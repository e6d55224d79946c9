import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.bundle.fetch import FetchError
from appliance.bundle.sources import ASSETS, changed, export
from tests.bundle.workplace import commit

TIME = 1_795_000_000


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    top = tmp_path / "repository"
    (top / "playbooks").mkdir(parents=True)
    (top / "playbooks" / "site.yml").write_text("---\n")
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    (top / ".gitignore").write_text("vendor/\n")
    commit(top, TIME)
    return top


def test_what_is_committed_travels_with_its_modes_and_nothing_else(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "playbooks" / "site.yml").write_text("changed\n")
    (repository / "notes.txt").write_text("mine\n")
    found = export(repository, tmp_path / "out")
    assert (tmp_path / "out" / "playbooks" / "site.yml").read_text() == "---\n"
    assert not (tmp_path / "out" / "notes.txt").exists()
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o100
    assert set(found.changed) == {"playbooks/site.yml", "notes.txt"}


def test_the_commit_and_its_time_are_those_of_the_build(
    repository: Path, tmp_path: Path
) -> None:
    head = subprocess.run(
        ["git", "-C", repository, "rev-parse", "HEAD"], capture_output=True, check=True
    )
    found = export(repository, tmp_path / "out")
    assert (found.commit, found.created) == (head.stdout.decode().strip(), TIME)
    assert found.changed == ()


def test_the_built_assets_travel_although_git_does_not_hold_them(
    repository: Path, tmp_path: Path
) -> None:
    (repository / ASSETS).mkdir(parents=True)
    (repository / ASSETS / "icons.json").write_text("{}")
    (repository / ASSETS / ".built").write_text("stamp")
    found = export(repository, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out" / ASSETS).iterdir()] == ["icons.json"]
    assert found.changed == ()


def test_built_assets_are_nobody_s_change_even_where_git_shows_them(
    repository: Path, tmp_path: Path
) -> None:
    (repository / ".gitignore").write_text("")
    (repository / ASSETS).mkdir(parents=True)
    (repository / ASSETS / "icons.json").write_text("{}")
    assert export(repository, tmp_path / "out").changed == (".gitignore",)
    shutil.rmtree(repository / ASSETS)
    (repository / ASSETS).symlink_to(tmp_path)
    assert changed(repository) == [".gitignore"]
    (repository / f"{ASSETS}.md").write_text("mine")
    assert changed(repository) == [".gitignore", f"{ASSETS}.md"]


def test_each_changed_file_is_named_whole(repository: Path) -> None:
    (repository / "new folder").mkdir()
    (repository / "new folder" / "é.txt").write_text("mine")
    (repository / "run.sh").rename(repository / "go.sh")
    assert sorted(changed(repository)) == ["go.sh", "new folder/é.txt", "run.sh"]


def test_a_folder_that_git_does_not_know_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: /nonexistent\n")
    with pytest.raises(FetchError, match="git failed") as refused:
        export(tmp_path, tmp_path / "out")
    assert refused.value.code == "CM-INS-32"
