"""A desk in the loop of a test, with clients that keep what they are sent."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

import pytest

from appliance.audit import desk
from appliance.audit.desk import Desk
from appliance.audit.event import Event, Kind, fact
from appliance.audit.frame import Answer, Append, Request
from appliance.audit.peer import Peer
from appliance.settings import RecorderSettings
from tests.audit.parts import Parts, opened

UID = 1000
STOP = fact(Kind.SERVICE_STOP, "rssi", "stop-00000000001")


class Client(Peer):
    """A peer without a connection: keeps what it is sent."""

    def __init__(self, of: Desk, uid: int = UID) -> None:
        super().__init__(of.receive, of.leave)
        self.uid = uid
        self.got: list[Answer] = []
        self._arrived = asyncio.Event()

    def send(self, answers: Sequence[Answer]) -> None:
        self.got += answers
        self._arrived.set()

    async def has(self, count: int) -> None:
        while len(self.got) < count:
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), 10)

    def ask(self, request: Request) -> None:
        self._receive(self, request)

    def events(self, *events: Event, ref: int = 1, **fields: int) -> None:
        self.ask(Append(list(events), ref, **fields))  # type: ignore[arg-type]

    def codes(self) -> list[str]:
        return [answer.error for answer in self.got]


class BrokenError(Exception):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def ends_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(exc: BaseException) -> NoReturn:
        raise BrokenError from exc

    monkeypatch.setattr(desk, "die", die)


Work = Callable[[Desk, Parts], Awaitable[None]]


def served(settings: RecorderSettings, work: Work, **changes: object) -> None:
    """Run `work` with a desk on the log of the settings."""
    settings = settings.model_copy(update={"clients": {UID: frozenset({"*"})}} | changes)

    async def run(parts: Parts) -> None:
        await work(Desk(parts.writer, parts.publisher, settings), parts)

    with opened(settings) as parts:
        asyncio.run(run(parts))


async def turn() -> None:
    """Let the loop do what is scheduled."""
    for _ in range(3):
        await asyncio.sleep(0)
