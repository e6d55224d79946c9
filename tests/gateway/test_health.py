"""Health: each part by its state."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from appliance.audit.client import RecorderError
from appliance.gateway.health import Examination, Health
from appliance.identity.revocation import STALE


class Played:
    """A part with attributes."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


async def well() -> None:
    """Answer."""


async def away() -> None:
    raise RecorderError("away")


async def silent() -> None:
    await asyncio.sleep(60)


def look(status: Any = well, *, age: float = 1, **changes: Any) -> Health:
    state = {"stopped": False, "ready": True, "embedder": None, "reachable": True} | changes
    recorder = Played(status=status, stopped=state["stopped"])
    engines = Played(chat={"m": Played(ready=state["ready"])}, embedder=state["embedder"])
    history = Played(reachable=state["reachable"])
    parts = recorder, engines, history, Played(read_at=100.0 - age)
    return asyncio.run(Examination(*cast("Any", parts)).look(100.0))


def test_all_is_well() -> None:
    assert msgspec.structs.asdict(look()) == {
        "status": "ready", "stopped": False, "recorder": "ready", "database": "ready",
        "identity": "ready", "engines": {"m": "ready"}, "vectors": "absent",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (look(away), {"recorder": "away", "status": "degraded"}),
        (look(stopped=True), {"status": "stopped", "stopped": True}),
        (look(age=STALE / 2), {"database": "away", "identity": "ready", "status": "degraded"}),
        (look(age=STALE + 1), {"identity": "away", "status": "degraded"}),
        (look(reachable=False), {"database": "away"}),
        (look(ready=False), {"engines": {"m": "away"}, "status": "degraded"}),
        (look(ready=None), {"engines": {"m": "unknown"}}),
        (look(embedder=Played(ready=None)), {"vectors": "warming", "status": "ready"}),
        (look(embedder=Played(ready=False)), {"vectors": "warming"}),
        (look(embedder=Played(ready=True)), {"vectors": "ready"}),
    ],
)
def test_each_part_is_told(found: Health, expected: dict[str, object]) -> None:
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_silent_recorder_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.gateway.health.PATIENCE", 0.05)
    assert look(silent).recorder == "away"
