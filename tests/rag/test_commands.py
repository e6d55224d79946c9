import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from appliance.rag.commands import documents_app, worker_app
from tests.rag.library import declare, transaction
from tests.rag.parts import Upstreams, short_folder, worker_settings

runner = CliRunner()


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture
def settings(folder: Path, worker_database: str) -> Path:
    transaction(worker_database, None, lambda c: declare(c, "rh", 1))
    return worker_settings(folder, worker_database, Upstreams(folder), folder / "recorder.sock")


def test_an_import_says_what_became_of_each_file(folder: Path, settings: Path) -> None:
    (folder / "in/rh").mkdir(parents=True)
    (folder / "in/rh/a.txt").write_text("A")
    words = ["import", str(folder / "in"), "--settings", str(settings)]
    first = runner.invoke(documents_app, words)
    assert (first.exit_code, first.stdout) == (0, "rh/a.txt : déposé\n")
    again = runner.invoke(documents_app, words)
    assert (again.exit_code, again.stdout) == (0, "rh/a.txt : déjà présent\n")
    for_programs = runner.invoke(documents_app, [*words, "--json"])
    told = json.loads(for_programs.stdout)
    assert (told["state"], told["collection"], told["name"]) == ("present", "rh", "a.txt")


def test_a_refused_file_is_an_error_of_the_command(folder: Path, settings: Path) -> None:
    (folder / "in/absente").mkdir(parents=True)
    (folder / "in/absente/a.txt").write_text("A")
    words = ["import", str(folder / "in"), "--settings", str(settings), "--json"]
    done = runner.invoke(documents_app, words)
    assert done.exit_code == 1
    assert json.loads(done.stdout)["state"] == "refused"


def test_the_worker_asks_for_its_settings() -> None:
    assert runner.invoke(worker_app, ["run"]).exit_code == 2
