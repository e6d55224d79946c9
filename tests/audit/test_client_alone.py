import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.audit import client as client_module
from appliance.audit.client import RecorderClient, RecorderError, unserved
from appliance.audit.event import Fact
from appliance.audit.frame import Answer, Unpacker, pack
from appliance.errors import FormatError
from appliance.settings import RecorderSettings
from tests.recording import completion, intent


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)


# against a recorder that is played: answers late, never, or nonsense

Serve = Callable[[list[dict[str, Any]], Callable[[Answer], None]], Awaitable[None]]


async def played(path: Path, script: Callable[["Played"], Awaitable[None]]) -> None:
    tested = Played()
    server = await asyncio.get_running_loop().create_unix_server(lambda: tested, str(path))
    try:
        await script(tested)
    finally:
        server.close()


class Played(asyncio.Protocol):
    """Keeps the frames, says what it is told to."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.connections = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self._unpacker = transport, Unpacker()
        self.connections += 1
        self.say(Answer(0, stopped=False))

    def data_received(self, data: bytes) -> None:
        self.frames += map(msgspec.json.decode, self._unpacker.feed(data))

    def say(self, *answers: Answer) -> None:
        self.transport.write(pack(msgspec.json.encode(answers)))

    def appended(self) -> list[tuple[int, str]]:
        """Return the refs and types of the events that came."""
        found = [(f["ref"], f["events"]) for f in self.frames if f["op"] == "append"]
        return [
            (ref + n, event["type"]) for ref, events in found for n, event in enumerate(events)
        ]


def with_played(path: Path, work: Callable[[RecorderClient, Played], Awaitable[None]],
                **options: Any) -> None:  # fmt: skip
    async def script(recorder: Played) -> None:
        tested = RecorderClient(path, "gateway-0", **options)
        await tested.connect()
        try:
            await work(tested, recorder)
        finally:
            await tested.close()

    asyncio.run(played(path, script))


@pytest.fixture
def path(recorder_settings: RecorderSettings) -> Path:
    return recorder_settings.socket


INTENT, INTERRUPTED = "casemate.llm.request.v1", "casemate.llm.interrupted.v1"


def test_an_intent_admitted_after_it_was_given_up_is_closed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "INTENT_TIMEOUT", 0.1)

    async def work(tested: RecorderClient, recorder: Played) -> None:
        with pytest.raises(RecorderError):
            await tested.append(intent(1))
        ref, _ = recorder.appended()[0]
        recorder.say(Answer(ref, 7, "leaf"))
        await until(lambda: len(recorder.appended()) == 2)
        assert recorder.appended()[1][1] == INTERRUPTED
        ending = recorder.frames[-1]["events"][0]
        assert (ending["request"], ending["spend"]) == (intent(1).request, {})

    with_played(path, work)


def test_an_intent_refused_after_it_was_given_up_is_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "INTENT_TIMEOUT", 0.1)

    async def work(tested: RecorderClient, recorder: Played) -> None:
        with pytest.raises(RecorderError):
            await tested.append(intent(1))
        ref, _ = recorder.appended()[0]
        recorder.say(Answer(ref, error="CM-BUD-02"))
        asked = tested.append(intent(2))
        await until(lambda: len(recorder.appended()) == 2)
        recorder.say(Answer(recorder.appended()[1][0], 8))
        await asked
        assert [kind for _, kind in recorder.appended()] == [INTENT, INTENT]

    with_played(path, work)


def test_an_intent_whose_caller_was_cancelled_is_closed(path: Path) -> None:
    async def work(tested: RecorderClient, recorder: Played) -> None:
        asked = tested.append(intent(1))
        await until(lambda: bool(recorder.appended()))
        asked.cancel()
        recorder.say(Answer(recorder.appended()[0][0], 7))
        await until(lambda: len(recorder.appended()) == 2)
        assert recorder.appended()[1][1] == INTERRUPTED

    with_played(path, work)


def test_at_each_connection_the_client_tells_what_is_alive(path: Path) -> None:
    live = [intent(1).request]

    async def work(tested: RecorderClient, recorder: Played) -> None:
        asked = tested.append(intent(2))
        await until(lambda: bool(recorder.appended()))
        recorder.transport.abort()
        await until(lambda: len(recorder.appended()) == 2)
        attaches = [frame for frame in recorder.frames if frame["op"] == "attach"]
        requests = [sorted(frame["live"]) for frame in attaches]
        assert requests == [live, [*live, intent(2).request]]
        assert {frame["gateway"] for frame in attaches} == {"gateway-0"}
        refs = [ref for ref, _ in recorder.appended()]
        assert refs[0] == refs[1]
        recorder.say(Answer(refs[1], 5))
        assert (await asked).index == 5

    with_played(path, work, live=lambda: live)


def test_a_request_given_up_is_not_alive_at_the_next_connection(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "INTENT_TIMEOUT", 0.1)

    async def work(tested: RecorderClient, recorder: Played) -> None:
        with pytest.raises(RecorderError):
            await tested.append(intent(1))
        recorder.transport.abort()
        await until(lambda: recorder.connections == 2)
        await until(lambda: recorder.frames[-1]["op"] == "attach")
        assert recorder.frames[-1]["live"] == []
        assert len(recorder.appended()) == 1

    with_played(path, work)


def test_an_end_waits_longer_than_an_intent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "INTENT_TIMEOUT", 0.1)

    async def work(tested: RecorderClient, recorder: Played) -> None:
        ending, asked = tested.append(completion(1)), tested.append(intent(2))
        with pytest.raises(RecorderError):
            await asked
        assert not ending.done()
        recorder.say(Answer(recorder.appended()[0][0], 7))
        assert (await ending).index == 7
        with pytest.raises(RecorderError):
            await tested.append(completion(3))

    with_played(path, work, patience=0.6)


@pytest.mark.parametrize("data", [pack(b"{"), b"\xff" * 8], ids=["not JSON", "too long"])
def test_nonsense_from_the_recorder_ends_the_connection(path: Path, data: bytes) -> None:
    async def work(tested: RecorderClient, recorder: Played) -> None:
        recorder.transport.write(data)
        await until(lambda: recorder.connections == 2)
        asked = tested.append(completion(1))
        await until(lambda: bool(recorder.appended()))
        recorder.say(Answer(recorder.appended()[0][0], 3))
        assert (await asked).index == 3

    with_played(path, work)


def test_events_of_one_turn_share_frames_and_keys_travel_with_them(path: Path) -> None:
    async def work(tested: RecorderClient, recorder: Played) -> None:
        asked: Sequence[asyncio.Future[Answer]] = [tested.append(intent(n)) for n in range(300)]
        question = asyncio.ensure_future(tested.status())
        await asyncio.sleep(0)
        ending = tested.append(completion(1, content="sealed"), b"key")
        await until(lambda: len(recorder.appended()) == 301)
        appends = [frame for frame in recorder.frames if frame["op"] == "append"]
        assert [len(frame["events"]) for frame in appends][:2] == [256, 44]
        assert [frame["op"] for frame in recorder.frames].count("status") == 1
        assert appends[-1]["sealed"] == {completion(1).id: "a2V5"}
        assert all(frame["sent"] > 0 for frame in appends)
        refs = [ref for ref, _ in recorder.appended()]
        assert len(set(refs)) == 301
        recorder.say(*[Answer(ref, ref) for ref in refs])
        await asyncio.gather(*asked, ending)
        question.cancel()

    with_played(path, work)


def test_an_event_that_cannot_be_written_fails_alone(path: Path) -> None:
    async def work(tested: RecorderClient, recorder: Played) -> None:
        asked = [tested.append(intent(1)), tested.append(intent(2, actor="\ud800"))]
        asked.append(tested.append(intent(3)))
        with pytest.raises(FormatError, match="cannot be written"):
            await asked[1]
        await until(lambda: len(recorder.appended()) == 2)
        recorder.say(*[Answer(ref, ref) for ref, _ in recorder.appended()])
        await asyncio.gather(asked[0], asked[2])

    with_played(path, work)


def test_closing_fails_what_waits(path: Path) -> None:
    async def work(tested: RecorderClient, _: Played) -> None:
        ending = tested.append(completion(1))
        await tested.close()
        with pytest.raises(RecorderError):
            await ending

    with_played(path, work)


def test_an_end_that_was_not_served_spends_nothing() -> None:
    event = unserved(intent(1, label=3))
    assert (event.request, event.spend, event.label) == (intent(1).request, {}, 3)
    assert not isinstance(event, Fact)
