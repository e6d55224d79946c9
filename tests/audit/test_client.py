import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from appliance.audit import client as client_module
from appliance.audit.client import RecorderClient, RecorderError, RefusedError, new_id
from appliance.audit.event import Interrupted, Kind, fact, is_id
from appliance.audit.key import Signer
from appliance.settings import RecorderSettings
from tests.audit.parts import leaves_of
from tests.recording import ORIGIN, SEED, completion, end, intent, running, start

Process = subprocess.Popen[bytes]
STOP = fact(Kind.SERVICE_STOP, "rssi", "stop-00000000001")


@asynccontextmanager
async def connected(
    settings: RecorderSettings, name: str = "gateway-0", **options: Any
) -> AsyncIterator[RecorderClient]:
    tested = RecorderClient(settings.socket, name, **options)
    await tested.connect()
    try:
        yield tested
    finally:
        await tested.close()


def ended(settings: RecorderSettings) -> list[tuple[str, str]]:
    events = [leaf.event for leaf in leaves_of(settings)]
    return [(e.request, e.finish) for e in events if isinstance(e, Interrupted)]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)


def test_ids_are_ids_and_all_different() -> None:
    made = {new_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(map(is_id, made))


@pytest.mark.usefixtures("recorder")
def test_an_event_is_durable_when_it_is_answered(recorder_settings: RecorderSettings) -> None:
    async def work() -> None:
        async with connected(recorder_settings) as tested:
            place = await tested.append(intent(1))
            stored = leaves_of(recorder_settings)[place.index]
            assert stored.event == intent(1)
            assert stored.uid == os.getuid()
            again = await tested.append(intent(1))
            assert (again.index, again.leaf) == (place.index, place.leaf)

    asyncio.run(work())


@pytest.mark.usefixtures("recorder")
def test_events_of_one_turn_keep_their_order(recorder_settings: RecorderSettings) -> None:
    async def work() -> None:
        async with connected(recorder_settings) as tested:
            events = [e for n in range(400) for e in (intent(n), completion(n))]
            places = await tested.append_all(events)
            first = places[0].index
            assert [place.index for place in places] == list(range(first, first + 800))

    asyncio.run(work())


@pytest.mark.usefixtures("recorder")
def test_a_refusal_carries_the_code_of_the_table(recorder_settings: RecorderSettings) -> None:
    async def work() -> None:
        async with connected(recorder_settings) as tested:
            answers = await asyncio.gather(
                tested.append(intent(1)), tested.append(completion(9)),
                tested.append(intent(2, actor="a" * 201)), tested.append(STOP),
                tested.append(intent(3)), return_exceptions=True,
            )  # fmt: skip
            codes = [getattr(answer, "code", "") for answer in answers]
            assert codes == ["", "CM-JRN-02", "CM-NET-01", "", "CM-MOD-05"]
            assert isinstance(answers[1], RefusedError)

    asyncio.run(work())


@pytest.mark.usefixtures("recorder")
def test_questions_are_answered(recorder_settings: RecorderSettings) -> None:
    async def work() -> None:
        async with connected(recorder_settings) as tested:
            places = await tested.append_all([intent(n) for n in range(600)])
            ending = await tested.append(completion(1, content="sealed"), b"sealed")
            assert await tested.sealed(ending.index) == b"sealed"
            leaves = await tested.read(0, 10_000)
            assert [leaf.text() for leaf in leaves_of(recorder_settings)] == leaves
            assert await tested.read(-3, 2) == leaves[-3:-1]
            index = places[300].index
            leaf, proof = await tested.prove(index)
            assert leaf == leaves[index]
            head = proof.verify(leaf, Signer(ORIGIN, SEED).verifier)
            state = await tested.status(["site"])
            assert state.size == head.size == len(leaves)
            assert state.budgets["site"].used == 7
            for question in (tested.prove(9999), tested.sealed(0)):
                with pytest.raises(RefusedError) as refused:
                    await question
                assert refused.value.code == "CM-JRN-04"

    asyncio.run(work())


@pytest.mark.usefixtures("recorder")
def test_the_switch_is_heard_by_every_client(recorder_settings: RecorderSettings) -> None:
    async def work() -> None:
        heard: list[bool] = []
        async with (
            connected(recorder_settings, on_stop=heard.append) as gateway,
            connected(recorder_settings, "console") as console,
        ):
            await console.append(STOP)
            await until(lambda: gateway.stopped and console.stopped)
            async with connected(recorder_settings, "late", on_stop=heard.append) as late:
                assert late.stopped
            for actor in ("ada", "bob"):
                await console.append(fact(Kind.SERVICE_APPROVE, actor, new_id()))
            await until(lambda: not gateway.stopped)
            assert heard == [True, True, False]

    asyncio.run(work())


def test_without_a_recorder_connecting_fails_in_time(
    recorder_settings: RecorderSettings,
) -> None:
    async def work() -> None:
        tested = RecorderClient(recorder_settings.socket, "gateway-0", patience=0.2)
        with pytest.raises(RecorderError):
            await tested.connect()

    asyncio.run(work())


def test_a_user_who_is_not_in_the_table_is_told(recorder_settings: RecorderSettings) -> None:
    other = recorder_settings.model_copy(
        update={"clients": {os.getuid() + 1: frozenset({"*"})}}
    )

    async def work() -> None:
        tested = RecorderClient(other.socket, "gateway-0")
        with pytest.raises(RefusedError, match="table of clients"):
            await tested.connect()

    with running(other):
        asyncio.run(work())


def test_what_has_no_answer_is_sent_again_to_the_next_recorder(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine takes its time to start the second one: no age is judged here.
    monkeypatch.setattr(client_module, "INTENT_TIMEOUT", 30)
    recorder_settings = recorder_settings.model_copy(update={"append_timeout": 30})

    async def work() -> None:
        first = start(recorder_settings)
        live: list[str] = []
        async with connected(recorder_settings, live=lambda: live) as tested:
            opened = await tested.append(intent(1))
            live.append(intent(1).request)
            first.send_signal(signal.SIGSTOP)
            ending = tested.append(completion(1))
            asked = tested.append(intent(2))
            await asyncio.sleep(0.05)
            end(first)
            with contextlib.ExitStack() as stack:
                second = await asyncio.to_thread(start, recorder_settings)
                stack.callback(end, second)
                places = await asyncio.gather(ending, asked)
                assert (await tested.append(intent(1))).index == opened.index
                assert (await tested.append(completion(1))).index == places[0].index
        events = [leaf.event for leaf in leaves_of(recorder_settings)]
        for event in (intent(1), intent(2), completion(1)):
            assert events.count(event) == 1
        assert ended(recorder_settings) == []

    asyncio.run(work())


def test_a_recorder_that_hangs_is_given_up_and_what_waited_too_long_is_not_admitted(
    recorder: Process, recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "INTENT_TIMEOUT", 2.5)  # the recorder's is 2

    async def work() -> None:
        async with connected(recorder_settings, patience=60) as tested:
            recorder.send_signal(signal.SIGSTOP)
            async with asyncio.timeout(30):
                with pytest.raises(RecorderError):
                    await tested.append(intent(1))
            recorder.send_signal(signal.SIGCONT)
            await tested.append(intent(2))
        events = [leaf.event for leaf in leaves_of(recorder_settings)]
        assert intent(1) not in events
        assert intent(2) in events

    asyncio.run(work())
