"""The log on a small disk of its own, in a mount namespace: it fills; it comes back read-only.

As root, as `make deep` is: a tmpfs stands for the volume of the log, and nobody else sees it.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.audit.event import Kind, fact
from appliance.settings import RecorderSettings
from tests import recording
from tests.recording import RawClient, completion, intent, new_log, settings_file

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

MIB = 1 << 20
SIZE = 64 * MIB
# A log is copied onto the small disk, then the program runs there; $1 is the disk, $2 the log.
MOUNTED = (
    'mount -t tmpfs -o size={size},{how} tmpfs "$1.new" && cp -a "$1/." "$1.new"'
    ' && mount --move "$1.new" "$1" && {then} exec "$2" -c "$3" "$4"'
)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[RecorderSettings]:
    """Return a log with an open request."""
    settings = new_log(tmp_path, segment_bytes=MIB, checkpoint_interval=0.2)
    with recording.running(settings), RawClient(settings.socket) as client:
        client.append(intent(1))
        client.ask("prove", index=1)
    (tmp_path / "log.new").mkdir()
    yield settings
    shutil.rmtree(settings.socket.parent, ignore_errors=True)


def argv(settings: RecorderSettings, then: str = "") -> list[str]:
    script = MOUNTED.format(size=SIZE, how="mode=0750", then=then)
    return [
        "unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
        str(settings.directory), sys.executable, recording._MAIN, str(settings_file(settings)),
    ]  # fmt: skip


@contextmanager
def small(settings: RecorderSettings) -> Iterator[tuple[Path, "subprocess.Popen[bytes]"]]:
    """Run the recorder on a disk of 64 MiB; lend its root as others reach it."""
    settings.socket.unlink(missing_ok=True)
    process = subprocess.Popen(argv(settings), cwd=recording.ROOT, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not recording._answers(settings.socket):
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield Path(f"/proc/{process.pid}/root") / str(settings.directory)[1:], process
    finally:
        recording.end(process)


def fill(disk: Path, free: float) -> None:
    """Leave this part of the disk free, with a file of somebody else's."""
    found = shutil.disk_usage(disk)
    wanted = int(found.free - free * found.total)
    with (disk / "anchors-of-others").open("ab") as file:
        file.write(bytes(max(0, wanted)))


def until(client: RawClient, degraded: str) -> None:
    deadline = time.monotonic() + 20
    while client.ask("status")["body"]["degraded"] != degraded:
        assert time.monotonic() < deadline, degraded
        time.sleep(0.1)


def taken(answer: dict[str, Any]) -> bool:
    return "index" in answer


def login(number: int) -> Any:
    return fact(Kind.AUTH_LOGIN, "ada", f"login-{number:020}")


def denied(number: int) -> Any:
    return fact(Kind.AUTH_DENIED, "", f"denied-{number:020}")


def test_a_filling_disk_refuses_by_rank_and_ends_what_was_begun(
    settings: RecorderSettings,
) -> None:
    with small(settings) as (disk, process), RawClient(settings.socket) as client:
        until(client, "")
        assert taken(client.append(intent(2)))
        fill(disk, 0.15)
        until(client, "disk_warn")
        assert taken(client.append(intent(3)))
        fill(disk, 0.08)
        until(client, "disk_no_models")
        refused = client.append(intent(4))
        assert (refused["error"], taken(refused)) == ("CM-JRN-01", False)
        assert taken(client.append(denied(1)))
        assert taken(client.append(login(1)))
        fill(disk, 0.03)
        until(client, "disk_reserved")
        assert not taken(client.append(denied(2)))
        assert taken(client.append(login(2)))  # who repairs the site is recorded
        assert taken(client.append(completion(2)))  # what was begun is ended
        fill(disk, 0)
        assert taken(client.append(completion(3)))  # in room that was kept for it
        assert process.poll() is None
        (disk / "anchors-of-others").unlink()
        until(client, "")
        assert taken(client.append(intent(5)))


def read_only(settings: RecorderSettings) -> list[str]:
    return argv(settings, 'mount -o remount,ro "$1" &&')


def one_file_read_only(settings: RecorderSettings) -> list[str]:
    return argv(settings, 'mount --bind "$1/journal" "$1/journal" && '
                          'mount -o remount,bind,ro "$1/journal" &&')  # fmt: skip


@pytest.mark.parametrize("how", [read_only, one_file_read_only])
def test_a_volume_that_came_back_read_only_is_not_served_from(
    settings: RecorderSettings, how: Callable[[RecorderSettings], list[str]]
) -> None:
    began = time.monotonic()
    done = subprocess.run(
        how(settings), cwd=recording.ROOT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert b"Read-only file system" in done.stderr
    assert not recording._answers(settings.socket)
    assert time.monotonic() - began < 30
