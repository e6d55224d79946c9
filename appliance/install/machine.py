"""What is observed of the machine that is installed."""

import os
import platform
import shutil
import time
from pathlib import Path

from appliance.bundle.rehearsed import is_rehearsed, recorded
from appliance.install.preflight import Facts

_OS_RELEASE, _MEMORY, _INIT = (
    Path("/etc/os-release"),
    Path("/proc/meminfo"),
    Path("/proc/1/comm"),
)


def observe(store: Path, profile: str, created: int, size: int) -> Facts:
    """Observe the machine.

    Args:
        store: Folder of the store, which may not exist yet.
        profile: cpu or gpu.
        created: When the bundle was made, seconds since 1970; 0: not known yet.
        size: Bytes of the release; 0: not known yet, or already in the store.
    """
    release = _fields(_OS_RELEASE.read_text("utf-8"), "=")
    memory = _fields(_MEMORY.read_text("utf-8"), ":")
    return Facts(
        uid=os.geteuid(),
        os=(release.get("ID", ""), release.get("VERSION_ID", "")),
        arch=platform.machine(),
        systemd=_INIT.read_text("utf-8").strip() == "systemd",
        clock=int(time.time()),
        created=created,
        free=shutil.disk_usage(_existing(store)).free,
        bundle=size,
        memory=int(memory["MemTotal"].split()[0]) * 1024,
        profile=profile,
        rehearsed=is_rehearsed(profile, recorded()),
    )


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _fields(text: str, separator: str) -> dict[str, str]:
    pairs = (row.split(separator, 1) for row in text.splitlines() if separator in row)
    return {name.strip(): value.strip().strip('"') for name, value in pairs}
