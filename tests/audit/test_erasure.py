"""Keys are destroyed between two records, and whatever ends in between is gone on with."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from appliance.audit import erased_marks, erasure, volume
from appliance.audit.desk import Desk
from appliance.audit.erased_marks import Marks
from appliance.audit.erasure import Erasures, Rules, TooYoungError
from appliance.audit.event import Event, Fact, Kind, Leaf, fact
from appliance.audit.visa import VisaError
from appliance.errors import FormatError, VerificationError
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


def start(parts: Parts, rules: Rules = Rules()) -> Erasures:  # noqa: B008 - frozen
    return Erasures(parts.writer, parts.publisher, rules)


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
        start(parts).carry_out()
        assert keys(parts, ends) == [False, False, True, True, True, True]
        assert told(parts)[-1] == ("erased", {"erase": 2 * REQUESTS, "keys": 2})
    with opened(recorder_settings) as parts:
        start(parts).carry_out()
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


MONTH = 31 * 86_400 * 1_000_000  # microseconds


@pytest.mark.parametrize(("months", "code"), [(5, "CM-JRN-50"), (7, "")])
def test_what_has_to_be_kept_is_not_erased_whoever_asks(
    recorder_settings: RecorderSettings, months: int, code: str
) -> None:
    with opened(recorder_settings) as parts:
        ends = fill(parts)
        at = parts.writer._clock()
        erasures = start(parts, Rules(6, clock=lambda: (at[0] + months * MONTH, at[1])))
        asked = erase(first=0, end=ends[2])
        if code:
            with pytest.raises(TooYoungError) as caught:
                erasures.check(asked)
            assert caught.value.code == code
        else:
            erasures.check(asked)
        erasures.check(erase(first=0, end=ends[0]))  # a range without a key: nothing goes


def test_one_young_content_in_the_range_saves_the_others(
    recorder_settings: RecorderSettings,
) -> None:
    """A clock that was wrong for an hour makes neighbours of young and old."""
    with opened(recorder_settings) as parts:
        now, mono = parts.writer._clock()
        years = [3, 3, 0, 3]
        ends = []
        for number, age in enumerate(years):
            parts.writer._clock = lambda at=now - age * 12 * MONTH: (at, mono)  # type: ignore[misc]
            parts.append(intent(number))
            end = completion(number, content="sealed")
            ends.append(parts.writer.append(end, 1000, key(number))[0])
        parts.writer.commit()
        parts.publish()
        erasures = start(parts, Rules(6, clock=lambda: (now, mono)))
        erasures.check(erase(first=0, end=ends[1] + 1))
        erasures.check(erase(first=ends[2] + 1, end=ends[3] + 1))
        with pytest.raises(TooYoungError, match=f"record {ends[2]} "):
            erasures.check(erase(first=0, end=ends[3] + 1))


def test_the_recorder_s_floor_is_that_of_its_settings(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        ends = fill(parts)
        client = Client(tested)
        client.events(erase(first=0, end=ends[2]))
        await turn()
        assert client.codes() == ["CM-JRN-50"]
        assert all(keys(parts, ends))
        assert told(parts) == []

    served(recorder_settings, work, content_floor_months=6)


def test_too_many_contents_at_once_are_refused(
    recorder_settings: RecorderSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(recorder_settings) as parts:
        ends = fill(parts)
        monkeypatch.setattr(erasure, "KEYS_MAX", 2)
        with pytest.raises(FormatError, match="at most 2"):
            start(parts, Rules(6)).check(erase(first=0, end=ends[2] + 1))


@pytest.mark.parametrize("published", [False, True], ids=["in the tail", "published"])
def test_a_store_that_came_back_from_a_backup_is_erased_again(
    recorder_settings: RecorderSettings, tmp_path: Path, *, published: bool
) -> None:
    sealed, backup = recorder_settings.directory / "sealed", tmp_path / "backup"
    with opened(recorder_settings) as parts:
        ends = fill(parts)
    shutil.copytree(sealed, backup)
    with opened(recorder_settings) as parts:
        erasures = start(parts)
        for first, end in ((0, ends[0] + 1), (ends[2], ends[3] + 1)):
            asked = erase(first=first, end=end)
            asked.id = f"erase-{first:-<20}"
            erasures.take(parts.append(asked)[0], asked)
            erasures.carry_out()
        gone = keys(parts, ends)
        if published:
            parts.publish()
    shutil.rmtree(sealed)
    shutil.copytree(backup, sealed)
    with opened(recorder_settings) as parts:
        assert all(keys(parts, ends))
        start(parts).carry_out()
        assert keys(parts, ends) == gone == [False, True, False, False, True, True]
        assert [data["keys"] for name, data in told(parts) if name == "erased"] == [1, 2, 1, 2]
        size = parts.writer.admission.size
        marks = erased_marks.read(sealed)
        assert marks
        assert marks.ranges == [(0, ends[0] + 1), (ends[2], ends[3] + 1)]
    with opened(recorder_settings) as parts:
        start(parts).carry_out()
        assert parts.writer.admission.size == size


def test_a_log_from_before_the_marks_is_looked_through_once(
    recorder_settings: RecorderSettings,
) -> None:
    mark = recorder_settings.directory / "sealed" / "erased"
    with opened(recorder_settings) as parts:
        ends = fill(parts)
        parts.append(erase(first=0, end=ends[1]))
        parts.publish()
    mark.unlink()
    for _ in range(2):
        with opened(recorder_settings) as parts:
            start(parts).carry_out()
            assert keys(parts, ends) == [False, True, True, True, True, True]
            assert [name for name, _ in told(parts)] == ["erase", "erased"]
    marks = erased_marks.read(mark.parent)
    assert marks == Marks(2 * REQUESTS, [(0, ends[1])])


def visa(first: int, end: int, **changes: Any) -> Event:
    said = {"gate": "elimination", "first": first, "end": end, **changes}
    return fact(Kind.GATE_DECIDE, "dpo", f"visa-{first}-{end}".ljust(20, "-"), **said)


def test_where_a_visa_is_asked_for_an_erasure_stays_within_it(
    recorder_settings: RecorderSettings,
) -> None:
    with opened(recorder_settings) as parts:
        ends = fill(parts)
        (given,) = parts.append(visa(0, ends[3]))
        rules = start(parts, Rules(visa=True))
        rules.check(erase(first=0, end=ends[3], visa=given))
        rules.check(erase(first=2, end=ends[1], visa=given))
        for bad in (
            {"end": ends[3]},
            {"end": ends[3], "visa": "0"},
            {"end": ends[3], "visa": 10**6},
            {"end": ends[3], "visa": -1},
            {"end": ends[3], "visa": ends[0]},
            {"end": ends[3] + 1, "visa": given},
        ):
            with pytest.raises(VisaError) as caught:
                rules.check(erase(first=0, **bad))
            assert caught.value.code == "CM-JRN-56"


def test_the_recorder_asks_for_the_visa_of_its_settings(
    recorder_settings: RecorderSettings,
) -> None:
    async def work(tested: Desk, parts: Parts) -> None:
        ends = fill(parts)
        client = Client(tested)
        client.events(erase(first=0, end=ends[2]))
        client.events(visa(0, ends[2]), ref=2)
        await turn()
        allowed = erase(first=0, end=ends[2], visa=client.got[1].index)
        client.events(allowed, ref=3)
        await turn()
        assert client.codes() == ["CM-JRN-56", "", ""]
        assert keys(parts, ends) == [False, False, True, True, True, True]

    served(recorder_settings, work, content_visa=True, content_floor_months=0)
