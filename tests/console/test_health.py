import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from appliance.audit.client import RecorderError
from appliance.audit.frame import Anchored
from appliance.console.gateway import Health
from appliance.console.health import Watch, engine_is_away


class Played:
    """A gateway and a recorder that say what they are told to."""

    def __init__(self, health: Health | None, *, stopped: bool | None = False) -> None:
        self.answer, self.stopped, self.asked = health, stopped, 0
        self.anchored: Anchored | None = None

    async def health(self) -> Health | None:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answer

    async def status(self) -> Any:
        if self.stopped is None:
            raise RecorderError("away")
        fields = {
            "size": 9,
            "checkpoint_size": 8,
            "checkpoint_at": 10**15,
            "root": b"r",
            "stopped": self.stopped,
            "anchored": self.anchored,
        }
        return msgspec.defstruct("State", list(fields))(**fields)


def look(played: Played, times: int = 1) -> Any:
    async def work() -> Any:
        watch = Watch(cast("Any", played), cast("Any", played))
        looks = await asyncio.gather(*(watch.look() for _ in range(times)))
        return looks[-1]

    return asyncio.run(work())


def test_everybody_shares_one_look() -> None:
    played = Played(Health(engines={"m": "ready"}))
    look(played, times=50)
    assert played.asked == 1


def test_forgetting_looks_again() -> None:
    played = Played(Health())

    async def work() -> None:
        watch = Watch(cast("Any", played), cast("Any", played))
        await watch.look()
        watch.forget()
        await watch.look()

    asyncio.run(work())
    assert played.asked == 2


@pytest.mark.parametrize(
    ("health", "stopped", "expected"),
    [
        (Health(engines={"m": "ready"}, vectors="ready"), False, (True, False, True, "ready")),
        (
            Health(engines={"m": "away"}, vectors="warming"),
            False,
            (False, False, True, "warming"),
        ),
        (Health(engines={"m": "away", "n": "ready"}), False, (True, False, True, "ready")),
        (Health(stopped=True), False, (True, True, True, "ready")),
        (Health(), True, (True, True, True, "ready")),
        (None, False, (True, False, True, "ready")),
        (Health(), None, (True, False, False, "ready")),
    ],
    ids=[
        "usual",
        "no engine",
        "one engine",
        "stopped",
        "stopped by the log",
        "no gateway",
        "no log",
    ],
)
def test_the_state_is_what_gateway_and_recorder_say(
    health: Health | None, stopped: Any, expected: tuple[object, ...]
) -> None:
    state, proof = look(Played(health, stopped=stopped))
    assert (state.engine, state.stopped, state.recorder, state.vectors) == expected
    assert (proof is None) == (stopped is None)
    if proof:
        assert (proof.size, proof.signed) == (9, 8)


def test_the_time_of_the_last_anchor_is_the_one_that_the_log_knows() -> None:
    played = Played(Health())
    assert look(played)[1].anchored is None
    played.anchored = Anchored(7, 1_800_000_000, "witness")
    assert look(played)[1].anchored == datetime.fromtimestamp(1_800_000_000, UTC)


def test_an_engine_not_asked_yet_is_not_away() -> None:
    assert not engine_is_away(Health(engines={"m": "unknown"}))
    assert not engine_is_away(Health())
    assert not engine_is_away(None)
