from pathlib import Path

import pytest

from appliance.install.preflight import GIB, Facts
from tests.install.stage import Stage

READY = Facts(
    uid=0, os=("debian", "13"), arch="x86_64", systemd=True, clock=1_700_100_000,
    created=1_700_000_000, free=100 * GIB, bundle=5 * GIB, memory=16 * GIB, profile="cpu",
    rehearsed=True,
)  # fmt: skip


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Lend a stage, on a machine that passes the checks."""
    monkeypatch.setattr("appliance.install.work.observe", lambda *_: READY)
    return Stage(tmp_path)
