"""Said before the downloads, by a Python without any package."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.site import early, machine
from appliance.site.machine import held
from appliance.site.preflight import NotReadyError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have memory and packages enough, whatever this machine has."""
    monkeypatch.setattr(machine, "available_memory", lambda: 1 << 40)
    monkeypatch.setattr(machine, "PACKAGES", {})


def refuse(clone: Path, port: int = 0, model: str = "") -> None:
    early.refuse(clone, clone / "demo", port, model, vectors=True)


def installed(tmp_path: Path) -> Path:
    (tmp_path / ".venv-vllm").mkdir()
    (tmp_path / ".venv-vllm" / ".installed").touch()
    return tmp_path


def test_a_machine_that_can_is_not_refused(tmp_path: Path) -> None:
    refuse(installed(tmp_path))


def test_an_occupied_port_is_refused(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(NotReadyError, match="est occupé"):
            refuse(installed(tmp_path), other.getsockname()[1])


def test_the_first_time_needs_the_room_of_the_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 5 << 30})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(NotReadyError, match=r"il en faut 15,0 Gio"):
        refuse(tmp_path)
    refuse(installed(tmp_path))


def test_a_second_demo_in_the_folder_is_refused_and_the_first_one_named(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    with held(tmp_path / "demo"), pytest.raises(NotReadyError, match=f"{os.getpid()}"):
        refuse(installed(tmp_path))


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="modèle au format Mistral"):
        refuse(installed(tmp_path), model=str(tmp_path))


def test_it_runs_without_a_package_and_says_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        bare = [sys.executable, "-E", "-s", "-S", "-B", "-m", "appliance.site.early"]
        words = [str(tmp_path), port, "", "non"]
        done = subprocess.run(
            [*bare, *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith("casemate : ")
    assert f"Le port {port} est occupé : libérez-le" in done.stderr
