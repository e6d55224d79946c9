import asyncio
import os
from pathlib import Path

import pytest

from appliance.audit import volume
from appliance.audit.desk import Desk
from appliance.audit.event import Fact, Kind, Terminal, fact
from appliance.audit.frame import Append, Attach
from appliance.audit.volume import Disk
from appliance.settings import RecorderSettings
from tests.audit.desks import (  # noqa: F401
    STOP,
    UID,
    BrokenError,
    Client,
    ends_are_raised,
    served,
    turn,
)
from tests.audit.parts import Parts, leaves_of
from tests.recording import completion, intent


def ends(settings: RecorderSettings) -> list[tuple[str, str]]:
    events = [leaf.event for leaf in leaves_of(settings)]
    return [(event.request, event.finish) for event in events if isinstance(event, Terminal)]


def test_requests_of_a_gateway_that_comes_back_are_closed_unless_it_serves_them(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Desk, _: Parts) -> None:
        first = Client(tested)
        first.ask(Attach("gateway-0", [], 0))
        first.events(intent(1), intent(2), intent(3))
        await turn()
        tested.leave(first)
        again = Client(tested)
        again.ask(Attach("gateway-0", [intent(2).request], 0))
        again.events(completion(2), completion(3), ref=1)
        await turn()
        assert again.codes() == ["", "", "CM-JRN-02"]
        lost = [(intent(n).request, "gateway_lost") for n in (1, 3)]
        assert ends(recorder_settings) == [*lost, (intent(2).request, "stop")]

    served(recorder_settings, work)


def test_after_the_grace_what_nobody_claimed_is_closed(
    recorder_settings: RecorderSettings,
) -> None:
    async def crash(tested: Desk, _: Parts) -> None:
        Client(tested).events(intent(1), intent(2))
        await turn()

    async def after(tested: Desk, _: Parts) -> None:
        claims = Client(tested)
        claims.ask(Attach("gateway-0", [intent(1).request, "request-unknown-to-all"], 0))
        await turn()
        tested.tick()
        assert ends(recorder_settings) == []
        await asyncio.sleep(0.06)
        tested.tick()
        assert ends(recorder_settings) == [(intent(2).request, "gateway_lost")]
        claims.events(completion(1))
        await turn()
        assert len(ends(recorder_settings)) == 2

    served(recorder_settings, crash)
    served(recorder_settings, after, reattach_timeout=0.05)


def test_an_intent_sent_again_after_its_end_is_not_served_again(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        client = Client(tested)
        client.events(intent(1), completion(1), intent(1))
        await turn()
        assert [answer.index for answer in client.got] == [0, 1, 0]
        tested.leave(client)
        await asyncio.sleep(0.03)
        tested.tick()
        assert parts.volume.size == 2

    served(recorder_settings, work, reattach_timeout=0.01)


def test_a_filling_disk_is_noted_once_and_refuses_by_rank(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        client = Client(tested)
        client.events(intent(1))
        for free in (8, 7, 3):
            monkeypatch.setattr(parts.volume, "check", lambda free=free: Disk(free, 100))
            tested.tick()
            client.events(intent(10 + free), ref=10 + free)
            await turn()
        client.events(completion(1), STOP, ref=20)
        await turn()
        assert client.codes() == ["", "CM-JRN-01", "CM-JRN-01", "CM-JRN-01", "", ""]
        facts = [leaf.event for leaf in leaves_of(recorder_settings)]
        notes = [event.data for event in facts if isinstance(event, Fact)]
        assert notes == [{"disk": "no_models", "free_bytes": 8}, {}]

    served(recorder_settings, work)


def test_the_next_segment_is_prepared_before_it_is_needed(
    recorder_settings: RecorderSettings,
) -> None:
    small = recorder_settings.model_copy(update={"segment_bytes": 40_000})

    async def work(tested: Desk, _: Parts) -> None:
        client = Client(tested)
        for number in range(400):
            client.events(
                fact(Kind.AUDIT_SEARCH, "ada", f"search-{number:012}"), ref=number + 1
            )
            await turn()
            if number % 50 == 49:
                tested.tick()
                await asyncio.sleep(0.02)
        assert len(client.got) == 400

    path = recorder_settings.directory / "journal" / "0000000000000000"
    os.truncate(path, 40_000)
    served(small, work)
    assert len(volume.read(recorder_settings.directory)) == 400
    files = [path for path in path.parent.iterdir() if path.name.isdigit()]
    assert len(files) > 2
    assert {file.stat().st_size for file in files} == {40_000}  # none was made in haste


def test_no_room_for_a_segment_is_no_end(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        def full() -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(type(parts.volume), "wants_next", True)
        monkeypatch.setattr(parts.volume, "prepare", full)
        client = Client(tested)
        client.events(intent(1))
        await turn()
        await asyncio.sleep(0.02)
        client.events(completion(1), ref=2)
        await turn()
        assert client.codes() == ["", ""]

    served(recorder_settings, work)


def test_content_keys_are_durable_within_a_tick(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(tested: Desk, _: Parts) -> None:
        synced: list[str] = []

        def sync(fd: int) -> None:
            synced.append(Path(f"/proc/self/fd/{fd}").readlink().parent.name)

        monkeypatch.setattr(os, "fdatasync", sync)
        client = Client(tested)
        client.events(intent(1))
        await turn()
        ending = completion(1, content="sealed")
        client.ask(Append([ending], 2, {ending.id: b"key"}))
        await turn()
        assert synced == ["journal", "journal"]
        tested.tick()
        assert synced == ["journal", "journal", "sealed"]

    served(recorder_settings, work)
