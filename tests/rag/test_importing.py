import asyncio
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from appliance.rag.importing import FolderError, Imported, files_of, import_folder
from appliance.rag.objects import Objects
from tests.rag.library import declare, transaction


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "documents"
    for name, text in {
        "rh/a.md": "# A",
        "rh/2026/b.txt": "B",
        "rh/.cache/c.txt": "C",
        "rh/vide.txt": "",
        "absente/d.txt": "D",
        ".git/e.txt": "E",
        "libre.txt": "F",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "rh/lien.txt").symlink_to(root / "libre.txt")
    (root / "lien").symlink_to(root / "rh")
    return root


def test_folders_are_collections_and_links_and_dot_files_are_left_out(folder: Path) -> None:
    found = [(slug, name) for slug, name, _ in files_of(folder)]
    assert found == [
        ("absente", "d.txt"), ("rh", "2026/b.txt"), ("rh", "a.md"), ("rh", "vide.txt"),
    ]  # fmt: skip


def test_each_file_is_deposited_once_and_one_refusal_stops_no_other(
    worker_database: str, folder: Path, tmp_path: Path
) -> None:
    transaction(worker_database, None, lambda c: declare(c, "rh", 1))
    objects = Objects(tmp_path / "objects", b"k" * 32)

    async def run() -> list[Imported]:
        async with await AsyncConnection.connect(worker_database, autocommit=True) as conn:
            return [one async for one in import_folder(conn, objects, folder)]

    first, second = asyncio.run(run()), asyncio.run(run())
    assert [one.problem[:9] for one in first] == ["CM-DOC-01", "", "", "CM-DOC-03"]
    assert [one.present for one in first] == [False] * 4
    assert [one.present for one in second] == [False, True, True, False]
    assert [one.document for one in second] == [one.document for one in first]


@pytest.mark.parametrize("inside", [[], ["vide"], ["vide/sous"]])
def test_nothing_to_import_is_said(tmp_path: Path, inside: list[str]) -> None:
    for name in inside:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(FolderError):
        list(files_of(tmp_path))
    with pytest.raises(FolderError):
        list(files_of(tmp_path / "absent"))
