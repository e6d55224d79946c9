"""Whether systemd can hold units to their ports is asked of the process, not of a package."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]
from ansible.template import Templar, trust_as_template  # type: ignore[import-untyped]

from tests.playbooks.rendering import ROLES, variables

TASKS = ROLES / "apt_repository" / "tasks"
ASK = variables("apt_repository")["__apt_repository_ask_filters"]
HAS = "7f00-7f10 r-xp 00000000 fe:00 5 /usr/lib/x86_64-linux-gnu/libbpf.so.1.5.0\n"
LACKS = "7f00-7f10 r-xp 00000000 fe:00 5 /usr/lib/systemd/libsystemd-core-257.so\n"


def tasks(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((TASKS / name).read_text("utf-8"))
    return found


def asked(tmp_path: Path, maps: str) -> int:
    """Return how the question ends on a machine whose first process has these maps."""
    assert ASK[-1] == "/proc/1/maps"
    (tmp_path / "maps").write_text(maps)
    done = subprocess.run([*ASK[:-1], str(tmp_path / "maps")], capture_output=True, check=False)
    return done.returncode


def holds(condition: str, status: int) -> bool:
    values = {"__apt_repository_filters": {"rc": status}}
    templar = Templar(loader=DataLoader(), variables=values)
    return bool(templar.evaluate_conditional(trust_as_template(condition)))


@pytest.mark.parametrize(
    ("maps", "again"),
    [
        pytest.param(LACKS, True, id="the library came after systemd"),
        pytest.param(LACKS + HAS, False, id="it was there from the start"),
        pytest.param(HAS.replace("\n", " (deleted)\n"), False, id="a newer one replaced it"),
    ],
)
def test_systemd_starts_again_only_where_it_has_not_found_the_library(
    tmp_path: Path, maps: str, *, again: bool
) -> None:
    listed = tasks("configure.yml")
    names = [task["name"] for task in listed]
    at = names.index("Ask the first process whether it has found it")
    install, ask, restart = listed[at - 1 : at + 2]
    assert install["ansible.builtin.apt"]["name"] == "libbpf1"
    assert restart["ansible.builtin.systemd_service"] == {"daemon_reexec": True}
    assert "notify" not in install, "a handler is lost when the power is cut before it"
    status = asked(tmp_path, maps)
    assert not holds(ask["failed_when"], status)
    assert holds(restart["when"], status) is again


def test_a_process_that_cannot_be_asked_stops_the_role() -> None:
    (ask,) = (t for t in tasks("configure.yml") if t.get("register", "").endswith("filters"))
    assert holds(ask["failed_when"], 2)


def test_the_verification_refuses_a_first_process_without_it(tmp_path: Path) -> None:
    (verify,) = (t for t in tasks("verify.yml") if "first process" in t["name"])
    assert verify["ansible.builtin.command"]["argv"] == "{{ __apt_repository_ask_filters }}"
    assert "failed_when" not in verify
    assert (asked(tmp_path, LACKS), asked(tmp_path, HAS)) == (1, 0)
