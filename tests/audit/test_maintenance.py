import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.audit import volume
from appliance.audit.event import Kind
from appliance.audit.maintenance import alone, become_owner, held
from appliance.audit.segments import VolumeError
from appliance.settings import RecorderSettings
from tests.audit.parts import leaves_of
from tests.recording import RawClient, intent, running


def test_a_log_that_is_held_is_written_and_signed_as_the_recorder_does(
    recorder_settings: RecorderSettings,
) -> None:
    with running(recorder_settings), RawClient(recorder_settings.socket) as client:
        client.append(intent(1))
    with held(recorder_settings) as log:
        log.writer.record(Kind.AUDIT_DEGRADED, disk="plenty")
        log.publish()
        assert log.publisher.head.size == len(leaves_of(recorder_settings))
    with running(recorder_settings), RawClient(recorder_settings.socket) as client:
        assert client.append(intent(1))["index"] == 1


def test_one_process_holds_a_log_at_a_time(recorder_settings: RecorderSettings) -> None:
    with held(recorder_settings), pytest.raises(VolumeError, match="another recorder"):
        held(recorder_settings).__enter__()
    with alone(recorder_settings.directory):
        for refused in (held(recorder_settings), alone(recorder_settings.directory)):
            with pytest.raises(VolumeError, match="recorder"):
                refused.__enter__()
    with pytest.raises(VolumeError, match="No such"):
        alone(recorder_settings.directory / "away").__enter__()


def test_a_lock_is_given_back_when_the_work_fails(recorder_settings: RecorderSettings) -> None:
    with pytest.raises(ZeroDivisionError), alone(recorder_settings.directory):
        raise ZeroDivisionError
    with volume.locked(recorder_settings.directory, recorder_settings.segment_bytes):
        pass


def test_a_folder_that_is_away_has_no_owner(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="No such"):
        become_owner(tmp_path / "away")


BECOME = """
import os, sys
from pathlib import Path
from appliance.audit.maintenance import become_owner
os.geteuid = lambda: 0
os.setgroups = os.setgid = os.setuid = lambda of: print("set", of)
become_owner(Path(sys.argv[1]))
print(oct(os.umask(0)))
"""


def test_root_becomes_the_owner_of_the_log_before_it_touches_anything(tmp_path: Path) -> None:
    """Take the calls down: no test changes its own user."""
    argv = [sys.executable, "-c", BECOME, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found = tmp_path.stat()
    owned = ["set []", f"set {found.st_gid}", f"set {found.st_uid}"] if os.getuid() else []
    assert done.stdout.split("\n")[:-1] == [*owned, "0o27"]
