"""What the demo decides before and around its programs; the whole of it runs in tests/stack."""

import asyncio
import json
import os
import time
from pathlib import Path

import pytest
from rich.console import Console

from appliance.errors import ApplianceError
from appliance.site import demo
from appliance.site.board import Board
from appliance.site.demo import Stack, Wish, prepared
from appliance.site.preflight import NotReadyError


def test_a_folder_that_runs_already_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match=r"tourne déjà .*4242"):
        prepared(Wish(tmp_path / "demo", vectors=False), running=4242)

    assert not any((tmp_path / "demo").iterdir())


def test_an_occupied_port_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.site.machine.is_free", lambda _: False)
    with pytest.raises(NotReadyError, match="Le port 8080 est occupé"):
        prepared(Wish(tmp_path / "demo", port=8080, vectors=False), running=None)

    assert not any((tmp_path / "demo").iterdir())


def test_a_folder_that_is_no_model_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="modèle au format Mistral"):
        prepared(Wish(tmp_path / "demo", model=tmp_path, vectors=False), running=None)

    assert not any((tmp_path / "demo").iterdir())


def test_who_drives_a_stack_reads_where_it_is_and_what_runs(tmp_path: Path) -> None:
    wish = Wish(tmp_path, vectors=False)
    layout = prepared(wish, running=None)
    stack = Stack(layout, wish, Board(Console(quiet=True), time.monotonic))
    stack._write_settings()
    stack._note({"recorder": 17})
    told = json.loads(layout.folder.stack.read_text("utf-8"))

    assert told["origin"] == layout.origin
    assert told["pids"] == {"recorder": 17}
    assert told["supervisor"] == os.getpid()
    assert {
        "recorder",
        "reader",
        "console",
        "worker",
        "events",
        "indexer",
        "heartbeat",
        "engine",
        "gateway-0",
        "gateway-1",
    } <= set(told["settings"])


def test_programs_inherit_nothing_but_where_programs_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_CALLER", "x")
    layout = prepared(Wish(tmp_path, vectors=False), running=None)

    assert set(demo._environment(layout.folder)) == {"PATH", "HOME", "LANG", "PYTHONUNBUFFERED"}


def test_of_several_failures_one_is_told() -> None:
    async def fails(text: str) -> None:
        raise ApplianceError(text)

    async def both() -> None:
        async with asyncio.TaskGroup() as together:
            together.create_task(fails("no port"))
            together.create_task(fails("no port"))

    with pytest.raises(ApplianceError, match="no port"):
        asyncio.run(demo._first_error(both()))
