"""Figures of `make deep`, in the file that CASEMATE_RESULTS names; nowhere without it.

The file says when, on how many cores and which kernel, and holds one slice a test.
"""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def record(slice_: str, figures: dict[str, Any]) -> None:
    """Add a slice to the file, or put it in the place of the one of the same name."""
    name = os.environ.get("CASEMATE_RESULTS")
    if not name:
        return
    file = Path(name)
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    found["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    found["machine"] = {"cores": len(os.sched_getaffinity(0)), "kernel": platform.release()}
    found[slice_] = figures
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
