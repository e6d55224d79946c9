"""The calendar of keys; the process itself is tried in tests/gateway/test_consent.py."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.audit.client import RecorderError
from appliance.audit.event import Event, Fact
from appliance.audit.reading.month_keys import MonthKeys, month_after
from appliance.audit.reading.serving import published, rotate

MONTH = f"{datetime.now(UTC):%Y-%m}"


class Recorder:
    """Takes records, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.events: list[Fact] = []
        self._away = away

    async def append(self, event: Event) -> None:
        if self._away:
            raise RecorderError("away")
        assert isinstance(event, Fact)
        self.events.append(event)


def turn(folder: Path, recorder: Any, kept: int = 12) -> MonthKeys:
    keys = MonthKeys(folder, bytes(32))
    asyncio.run(rotate(keys, recorder, folder / "public", kept))
    return keys


def test_a_month_makes_one_key_and_one_record(tmp_path: Path) -> None:
    recorder = Recorder()
    keys = turn(tmp_path, recorder)
    turn(tmp_path, recorder)
    assert published(tmp_path / "public") == keys.make(MONTH)
    assert [(e.kind.split(".")[2], e.data["month"]) for e in recorder.events] == [
        ("issue", MONTH)
    ]


def test_no_key_is_published_without_a_record(tmp_path: Path) -> None:
    with pytest.raises(RecorderError):
        turn(tmp_path, Recorder(away=True))
    assert published(tmp_path / "public") == b""


def test_old_keys_go_after_their_record_and_the_others_stay(tmp_path: Path) -> None:
    old = [month_after(MONTH, -n) for n in (30, 14, 13, 12)]
    keys = MonthKeys(tmp_path, bytes(32))
    for month in old:
        keys.make(month)
    with pytest.raises(RecorderError):
        turn(tmp_path, Recorder(away=True))
    assert keys.months() == [*old, MONTH]
    recorder = Recorder()
    turn(tmp_path, recorder)
    assert keys.months() == [*old[2:], MONTH]
    assert [e.data["month"] for e in recorder.events if "revoke" in e.kind] == old[:2]
