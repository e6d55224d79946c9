import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.site import machine
from appliance.site.machine import (
    available_memory,
    free_ports,
    held,
    is_free,
    lacking,
    observe,
)


def test_a_port_that_somebody_listens_on_is_occupied(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = int(server.getsockname()[1])

        assert not is_free(port)
        assert observe(
            tmp_path, [port], installed=True, vectors=False, running=None
        ).occupied == {port}
        held_by_us = observe(tmp_path, [port, 0], installed=True, vectors=False, running=4242)
        assert held_by_us.occupied == frozenset()
    assert is_free(port)


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(5))) == 5


def test_what_is_absent_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {"no-such-program": "nothing", "libnosuch.so.9": "nothing", "sh": "dash"}
    monkeypatch.setattr(machine, "PACKAGES", absent)

    assert machine.missing() == {"no-such-program", "libnosuch.so.9"}


def test_memory_is_in_bytes() -> None:
    assert available_memory() > 1 << 27


def test_a_folder_is_held_once_and_the_holder_is_named(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom appliance.site.machine import held\n"
        "with held(pathlib.Path(sys.argv[1])) as holder: print(holder)\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    with held(tmp_path) as holder:
        assert holder is None
        second = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert second.stdout.strip() == str(os.getpid())
    after = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert after.stdout.strip() == "None"


def test_a_model_folder_lacks_what_vllm_would_not_find(tmp_path: Path) -> None:
    every = ("params.json", "consolidated*.safetensors", "tekken.json")
    assert lacking(tmp_path / "none") == lacking(tmp_path) == every
    (tmp_path / "params.json").touch()
    (tmp_path / "consolidated-00001-of-00002.safetensors").touch()
    assert lacking(tmp_path) == ("tekken.json",)
    (tmp_path / "tokenizer.model.v3").touch()
    assert lacking(tmp_path) == ()
