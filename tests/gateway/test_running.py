"""The requests that a worker serves."""

from typing import Any

from appliance.gateway.running import Running
from tests.gateway.test_call import call


class Task:
    def __init__(self) -> None:
        self.cancelled = 0

    def cancel(self) -> bool:
        self.cancelled += 1
        return True


def running(*calls: Any) -> Running:
    made = Running()
    for one in calls:
        made.add(one)
    return made


def test_a_request_is_live_from_its_intent_to_its_durable_end() -> None:
    one = call()
    made = running(one)
    assert made.live() == [one.id]
    made.discard(one)
    made.discard(one)
    assert made.live() == []
    assert len(made) == 0


def test_a_stop_ends_what_waits_and_leaves_what_settles() -> None:
    task = Task()
    waiting, settling = call(id="a" * 16, task=task), call(id="b" * 16)
    running(waiting, settling).stop()
    assert task.cancelled == 1
    assert waiting.stopped
    assert not settling.stopped
