"""Keys are destroyed between two records, and whatever ends in between is gone on with."""

import os
from typing import Any

import pytest

from appliance.audit import volume
from appliance.audit.desk import Desk
from appliance.audit.erasure import Erasures
from appliance.audit.event import Event, Fact, Kind, Leaf, fact
from appliance.errors import VerificationError
from appliance.settings import RecorderSettings
from tests.audit.desks import BrokenError, Client, ends_are_raised, served, turn  # noqa: F401
from tests.audit.parts import Parts, opened
from tests.recording import completion, intent

REQUESTS = 6


def erase(**data: Any) -> Event:
    return fact(Kind.CONTENT_ERASE, "worker", "erase-".ljust(20, "-"), **data)


def fill(parts: Parts, count: int = REQUESTS) -> list[int]:
    """Write requests whose ends bring keys; return the indexes of these."""
    found: list[int] = []
    for number in range(count):
        parts.append(intent(number))
        found.append(
            parts.writer.append(completion(number, content="sealed"), 1000, key(number))[0]
        )
    parts.writer.commit()
    return found


def key(number: int) -> bytes:
    return f"key {number}".encode() * 9


def keys(parts: Parts, indexes: list[int]) -> list[bool]:
    """Tell of each record whether its key is there."""
    sealed = parts.volume.sealed

    def is_there(number: int, index: int) -> bool:
        try:
            return sealed.read(index) == key(number)
        except VerificationError:
            return False

    return [is_there(number, index) for number, index in enumerate(indexes)]


def told(parts: Parts) -> list[tuple[str, dict[str, str | int]]]:
    stored = volume.read(parts.volume.directory)
    events = [Leaf.parse(leaf).event for leaf in stored]
    return [
        (e.kind.split(".")[2], e.data)
        for e in events
        if isinstance(e, Fact) and ".content." in e.kind
    ]


def test_the_keys_of_the_range_are_destroyed_and_no_other(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        ends = fill(parts)
        client = Client(tested)
        client.events(erase(first=ends[1], end=ends[3] + 1, count=3))
        await turn()
        assert client.codes() == [""]
        assert keys(parts, ends) == [True, False, False, False, True, True]
        asked = {"first": ends[1], "end": ends[3] + 1, "count": 3}
        assert told(parts) == [
            ("erase", asked), ("erased", {"erase": client.got[0].index, "keys": 3}),
        ]  # fmt: skip

    served(recorder_settings, work)


def test_the_log_says_so_before_and_who_asked_hears_it_after(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        ends = fill(parts)
        client, sealed = Client(tested), parts.volume.sealed
        seen: list[tuple[bool, int]] = []
        real = sealed.destroy

        def destroy(first: int, end: int) -> int:
            seen.append((parts.volume.size > 2 * REQUESTS, len(client.got)))
            return real(first, end)

        monkeypatch.setattr(sealed, "destroy", destroy)
        client.events(erase(first=0, end=ends[0] + 1))
        await turn()
        assert seen == [(True, 0)]
        assert len(client.got) == 1
        assert parts.volume.size == 2 * REQUESTS + 2

    served(recorder_settings, work)


def test_what_was_asked_before_the_end_of_the_process_is_done_at_the_next_start(
    recorder_settings: RecorderSettings,
) -> None:
    with opened(recorder_settings) as parts:
        ends = fill(parts)
        parts.publish()
        parts.append(erase(first=0, end=ends[2]))
    with opened(recorder_settings) as parts:
        Erasures(parts.writer).carry_out()
        assert keys(parts, ends) == [False, False, True, True, True, True]
        assert told(parts)[-1] == ("erased", {"erase": 2 * REQUESTS, "keys": 2})
    with opened(recorder_settings) as parts:
        Erasures(parts.writer).carry_out()
        assert len(told(parts)) == 2


def test_asking_again_destroys_nothing_more(recorder_settings: RecorderSettings) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        ends = fill(parts)
        client = Client(tested)
        client.events(erase(first=0, end=ends[2]))
        await turn()
        client.events(erase(first=0, end=ends[2]), ref=2)
        await turn()
        first, second = client.got
        assert (first.index, first.leaf) == (second.index, second.leaf)
        assert keys(parts, ends) == [False, False, True, True, True, True]
        assert [data.get("keys") for name, data in told(parts) if name == "erased"] == [2, 0]

    served(recorder_settings, work)


@pytest.mark.parametrize(
    "data",
    [
        {"first": 0, "end": 2 * REQUESTS + 1}, {"first": 3, "end": 3}, {"first": -1, "end": 3},
        {"first": 3}, {"end": 3}, {"first": "0", "end": 3},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_range_of_records_is_refused(
    recorder_settings: RecorderSettings, data: dict[str, int]
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        ends = fill(parts)
        client = Client(tested)
        client.events(erase(**data))
        await turn()
        assert client.codes() == ["CM-NET-01"]
        assert all(keys(parts, ends))
        assert told(parts) == []

    served(recorder_settings, work)


def test_an_event_without_a_range_destroys_nothing(recorder_settings: RecorderSettings) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        ends = fill(parts)
        client = Client(tested)
        client.events(erase(count=3, months=12))
        await turn()
        assert client.codes() == [""]
        assert all(keys(parts, ends))
        assert [name for name, _ in told(parts)] == ["erase"]

    served(recorder_settings, work)


def test_a_disk_error_while_keys_are_destroyed_ends_the_process(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        ends = fill(parts)
        client = Client(tested)
        client.events(erase(first=0, end=ends[2]))
        real = os.fdatasync
        synced: list[int] = []

        def second_fails(fd: int) -> None:
            synced.append(fd)
            if len(synced) == 2:
                raise OSError("disk error")
            real(fd)

        monkeypatch.setattr(os, "fdatasync", second_fails)
        with pytest.raises(BrokenError):
            tested._commit()
        assert client.got == []

    served(recorder_settings, work)
