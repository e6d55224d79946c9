"""Duties beside requests: one that fails stops no other."""

import asyncio

import pytest

from appliance.gateway import upkeep
from appliance.gateway.upkeep import Upkeep


def test_duties_are_done_again_and_again_whatever_one_of_them_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upkeep, "TICK", 0.01)
    done: list[str] = []

    def broken() -> None:
        done.append("broken")
        raise ZeroDivisionError

    async def main() -> None:
        async with Upkeep(broken, lambda: done.append("sound")):
            await asyncio.sleep(0.2)
        count = len(done)
        await asyncio.sleep(0.05)
        assert len(done) == count

    asyncio.run(main())
    assert done.count("sound") > 2
    assert done.count("broken") > 2
    assert "duty failed" in caplog.text
