import os
import platform
from pathlib import Path

from appliance.bundle.rehearsed import is_rehearsed, recorded
from appliance.install.machine import observe
from appliance.install.preflight import checks


def test_what_this_machine_is(tmp_path: Path) -> None:
    facts = observe(tmp_path / "not/there/yet", "cpu", 12, 34)
    assert facts.uid == os.geteuid()
    assert facts.arch == platform.machine()
    assert facts.os[0]
    assert facts.memory > 1 << 28
    assert facts.free > 0
    assert (facts.created, facts.bundle, facts.profile) == (12, 34, "cpu")
    assert facts.rehearsed
    assert observe(tmp_path, "gpu", 0, 0).rehearsed == is_rehearsed("gpu", recorded())
    assert facts.clock > 1_700_000_000
    assert [check.id for check in checks(facts)] == [
        "root", "target", "systemd", "clock", "room", "memory",
    ]  # fmt: skip
